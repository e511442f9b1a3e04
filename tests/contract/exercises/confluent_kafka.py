"""Typical calls of an app that uses confluent-kafka, over TLS with a login."""

import pickle
from collections.abc import Callable
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from backwatch.collector import names
from tests.contract.exercises.kafka import Bomb, ensure
from tests.services.server import Server

SERVICES = ("kafka",)
UNKNOWN = frozenset[str]() if hasattr(confluent_kafka.Producer, "produce_batch") else frozenset({names.ROWS_AFFECTED})
"""Facts that this version of the driver cannot tell: batches came with 2.12."""
TOPIC = "exercise-c-orders"


def login(server: Server, **more: Any) -> dict[str, Any]:
    """Options of a client that logs in over verified TLS."""
    return {
        "bootstrap.servers": f"localhost:{server.sasl_port}", "security.protocol": "SASL_SSL",
        "ssl.ca.location": server.ca_file, "sasl.mechanisms": "PLAIN", "sasl.username": server.user,
        "sasl.password": server.password, "log_level": 0, **more,
    }  # fmt: skip


def calls(services: dict[str, Any]) -> list[object]:
    server: Server = services["kafka"]
    ensure(server, TOPIC)
    return [*_administer(server), *_produce(server), *_consume(server)]


def _administer(server: Server) -> list[object]:
    admin = AdminClient(login(server))
    seen: list[object] = [TOPIC in admin.list_topics(timeout=20).topics]
    futures = admin.delete_topics(["exercise-no-such-topic"]).values()
    return [*seen, *(type(one.exception(timeout=20)).__name__ for one in futures)]


def _produce(server: Server) -> list[object]:
    seen: list[Any] = []

    def on_delivery(error: Any, message: Any) -> None:
        seen.append((error, message.topic(), message.partition(), message.value()))

    producer = confluent_kafka.Producer(login(server))
    producer.produce(TOPIC, b"a" * 500, b"key", 0, on_delivery)
    producer.produce(topic=TOPIC, value="text", key="key", partition=0, on_delivery=on_delivery, headers={"h": b"1"})
    producer.produce(TOPIC, b"!" + pickle.dumps(Bomb()), partition=1, callback=on_delivery)
    producer.flush(20)
    seen.append(producer.flush(20))
    if hasattr(producer, "produce_batch"):
        seen.append(producer.produce_batch(TOPIC, [{"value": b"1"}, {"value": b"2"}], partition=0))
        producer.flush(20)
    try:
        producer.produce(TOPIC, b"x" * 2_000_000)
    except KafkaException as error:
        seen.append(error.args[0].code())
    return sorted(seen, key=repr)


def _consume(server: Server) -> list[object]:
    """Return the last messages of both partitions."""
    consumer = confluent_kafka.Consumer(login(server, **{"group.id": "exercise-c", "enable.auto.commit": False}))
    back = {0: 2, 1: 1}
    ends = {at: consumer.get_watermark_offsets(TopicPartition(TOPIC, at), timeout=20)[1] for at in back}
    consumer.assign([TopicPartition(TOPIC, at, ends[at] - count) for at, count in back.items()])
    got: list[Any] = [consumer.poll(20)]
    while len(got) < 3:
        got += consumer.consume(3 - len(got), 20)
    seen: list[Any] = sorted((one.topic(), one.partition(), one.value()) for one in got)
    consumer.commit(offsets=[TopicPartition(TOPIC, 0, ends[0])], asynchronous=False)
    seen.append(consumer.committed([TopicPartition(TOPIC, 0)], timeout=20)[0].offset == ends[0])
    consumer.close()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server: Server = services["kafka"]
    unreachable: dict[str, Any] = {"bootstrap.servers": "localhost:1", "log_level": 0}

    def sending(*args: Any) -> object:
        return confluent_kafka.Producer(login(server)).produce(*args)

    def closed() -> object:
        consumer = confluent_kafka.Consumer(login(server, **{"group.id": "exercise-c"}))
        consumer.close()
        return consumer.poll(1)

    def wrong_commit() -> object:
        consumer = confluent_kafka.Consumer(login(server, **{"group.id": "exercise-c"}))
        try:
            return consumer.commit(asynchronous=False)
        finally:
            consumer.close()

    return [
        lambda: confluent_kafka.Producer(unreachable).list_topics(timeout=0.5),
        lambda: AdminClient(unreachable).list_topics(timeout=0.5),
        lambda: sending(TOPIC, b"x" * 2_000_000), lambda: sending(TOPIC, 5), sending, closed, wrong_commit,
        lambda: confluent_kafka.Producer({"no.such.option": 1}), lambda: confluent_kafka.Consumer({}),
    ]  # fmt: skip
