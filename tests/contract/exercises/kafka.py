"""Typical calls of an app that uses kafka-python, over TLS with a login, on every generation of the driver."""

import gzip
import json
import os
import pickle
import ssl
from collections.abc import Callable
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.cluster import ClusterMetadata
from kafka.errors import KafkaError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata, TopicPartition

from backwatch.collector import names
from tests.services.server import Server

SERVICES = ("kafka",)
UNKNOWN = frozenset() if hasattr(ClusterMetadata(), "cluster_id") else frozenset({names.SERVER_ID})
"""Facts that this version of the driver cannot tell: before 2.1 it does not ask for the cluster's identifier."""
TOPIC = "exercise-orders"
JSON_TOPIC = "exercise-documents"
_kept: list[KafkaProducer] = []
"""Producers are not collected here: from 2.1 on their ``__del__`` replaces the driver's logger."""


class Bomb:
    """A hostile producer's payload; it is never loaded here."""

    def __reduce__(self) -> Any:
        return vars(os)["system"], ("false",)


def login(server: Server, **more: Any) -> dict[str, Any]:
    """Options of a client that logs in over verified TLS."""
    return {
        "bootstrap_servers": f"localhost:{server.sasl_port}", "security_protocol": "SASL_SSL",
        "ssl_context": ssl.create_default_context(cafile=server.ca_file), "sasl_mechanism": "PLAIN",
        "sasl_plain_username": server.user, "sasl_plain_password": server.password, **more,
    }  # fmt: skip


def offset(number: int) -> OffsetAndMetadata:
    """Return the value in the form that this driver version expects."""
    wanted: tuple[Any, ...] = (number, "", -1)
    return OffsetAndMetadata(*wanted[: len(OffsetAndMetadata._fields)])


def ensure(server: Server, *topics: str) -> list[object]:
    """Create missing topics."""
    seen: list[object] = []
    admin = KafkaAdminClient(**login(server))
    for topic in topics:
        try:
            admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
        except TopicAlreadyExistsError as error:
            seen.append(type(error).__name__)
    seen.append(set(topics) <= set(admin.list_topics()))
    admin.close()
    return seen


def calls(services: dict[str, Any]) -> list[object]:
    server: Server = services["kafka"]
    ensure(server, TOPIC, JSON_TOPIC)
    return [*ensure(server, TOPIC, JSON_TOPIC), *_produce(server), *_consume(server), *_iterate(server)]


def _produce(server: Server) -> list[object]:
    seen: list[object] = []
    producer = KafkaProducer(**login(server, compression_type="gzip", linger_ms=50))
    _kept.append(producer)
    futures = [
        producer.send(TOPIC, b"a" * 500, b"key", partition=0),
        producer.send(topic=TOPIC, value=b"a" * 500, key=b"key", headers=[("h", b"1")], partition=0),
        producer.send(TOPIC, b"!" + pickle.dumps(Bomb()), None, None, 1),
        producer.send(JSON_TOPIC, json.dumps({"a": 1}).encode(), partition=0),
    ]
    producer.flush()
    for future in futures:
        sent = future.get(timeout=30)
        seen.append((sent.topic, sent.partition, sent.serialized_key_size, sent.serialized_value_size))
    try:
        producer.send(TOPIC, b"x" * 2_000_000)
    except KafkaError as error:
        seen.append(type(error).__name__)
    producer.close()
    return seen


def _consumer(server: Server, **more: Any) -> Any:
    return KafkaConsumer(**login(
        server, group_id="exercise", enable_auto_commit=False, consumer_timeout_ms=20_000, **more,
    ))  # fmt: skip


def _consume(server: Server) -> list[object]:
    """Return the last messages of both partitions, by ``poll``."""
    consumer = _consumer(server)
    partitions = [TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    for one, back in zip(partitions, (2, 1), strict=True):
        consumer.seek(one, ends[one] - back)
    got: list[Any] = []
    for _ in range(60):
        for records in consumer.poll(timeout_ms=500).values():
            got += records
        if len(got) >= 3:
            break
    seen: list[Any] = sorted((one.topic, one.partition, bytes(one.value)) for one in got)
    consumer.commit({partitions[0]: offset(ends[partitions[0]])})
    consumer.commit_async({partitions[0]: offset(ends[partitions[0]])})
    seen.append(consumer.committed(partitions[0]) == ends[partitions[0]])
    seen.append(consumer.poll(timeout_ms=0))
    consumer.close()
    return seen


def _iterate(server: Server) -> list[object]:
    """Return one message, by iteration, deserialised."""
    consumer = _consumer(server, value_deserializer=json.loads)
    one = TopicPartition(JSON_TOPIC, 0)
    consumer.assign([one])
    consumer.seek(one, consumer.end_offsets([one])[one] - 1)
    seen: list[object] = [next(consumer).value]
    consumer.close()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server: Server = services["kafka"]
    patient: dict[str, Any] = {"max_block_ms": 10_000}
    in_vain: dict[str, Any] = {"max_block_ms": 300}
    if "bootstrap_timeout_ms" in KafkaProducer.DEFAULT_CONFIG:
        patient["bootstrap_timeout_ms"] = 10_000
        in_vain["bootstrap_timeout_ms"] = 300

    def sending(topic: Any, *args: Any, **options: Any) -> Callable[[], object]:
        def send() -> object:
            producer = KafkaProducer(**login(server, **{**patient, **options}))
            try:
                return producer.send(topic, *args).get(timeout=10)
            finally:
                producer.close(timeout=1)

        return send

    def nowhere() -> object:
        return KafkaProducer(bootstrap_servers="localhost:1", **in_vain)

    def closed() -> object:
        consumer = KafkaConsumer(bootstrap_servers=server.bootstrap)
        consumer.close()
        return consumer.poll()

    def refused_by_the_app() -> object:
        ensure(server, JSON_TOPIC)
        consumer = _consumer(server, value_deserializer=gzip.decompress)
        one = TopicPartition(JSON_TOPIC, 0)
        consumer.assign([one])
        consumer.seek(one, consumer.end_offsets([one])[one] - 1)
        try:
            return next(consumer)
        finally:
            consumer.close()

    def wrong_admin() -> object:
        admin = KafkaAdminClient(bootstrap_servers=server.bootstrap)
        try:
            return admin.delete_topics(["exercise-no-such-topic"])
        finally:
            admin.close()

    return [
        sending("exercise-no-such-topic", b"x", max_block_ms=300), sending(["exercise"], b"x"), sending(TOPIC, 5),
        sending(TOPIC), nowhere, closed, refused_by_the_app, wrong_admin,
    ]  # fmt: skip
