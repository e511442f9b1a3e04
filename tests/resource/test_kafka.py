"""Kafka, attached through each of its client libraries, on real and on hostile brokers."""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from backwatch.attack.protocols.kafka import TOPIC, KafkaLog, TopicMessage
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios.kafka.rogue_broker import RogueCluster
from backwatch.resource import Resource, ResourceMisconfigured, ResourceUnsafe
from tests.resource.attaching import Serve, attach_url
from tests.services.server import Server

Exchange = Callable[[Resource, str], bytes]
VALUE = b'{"order": 7}'


def exchange_kafka_python(resource: Resource, topic: str) -> bytes:
    with closing(resource.client(kind="producer")) as producer:
        producer.send(topic, VALUE).get(timeout=20)
    with closing(resource.client(kind="consumer", auto_offset_reset="earliest")) as consumer:
        consumer.subscribe([topic])
        found = consumer.poll(timeout_ms=20_000)
        return next(record.value for records in found.values() for record in records)


def exchange_aiokafka(resource: Resource, topic: str) -> bytes:
    async def run() -> bytes:
        async with await resource.aclient(kind="producer") as producer:
            await producer.send_and_wait(topic, VALUE)
        consumer = await resource.aclient(kind="consumer", topics=[topic], auto_offset_reset="earliest")
        async with consumer:
            return (await asyncio.wait_for(consumer.getone(), 20)).value

    return asyncio.run(run())


def exchange_confluent(resource: Resource, topic: str) -> bytes:
    producer = resource.client(kind="producer")
    producer.produce(topic, VALUE)
    assert producer.flush(10) == 0
    config = {"group.id": f"attached-{topic}", "auto.offset.reset": "earliest"}
    with closing(resource.client(kind="consumer", config=config)) as consumer:
        consumer.subscribe([topic])
        return consumer.poll(20).value()


DRIVERS: dict[str, tuple[str, Exchange]] = {
    "kafka-python": ("kafka", exchange_kafka_python), "aiokafka": ("aiokafka", exchange_aiokafka),
    "confluent-kafka": ("confluent_kafka", exchange_confluent),
}  # fmt: skip
every_driver = pytest.mark.parametrize(("driver", "exchange"), DRIVERS.values(), ids=DRIVERS)
in_python = pytest.mark.parametrize(("driver", "exchange"), list(DRIVERS.values())[:2], ids=list(DRIVERS)[:2])


@every_driver
@pytest.mark.services("kafka")
def test_record_is_exchanged_after_a_scram_login(
    kafka: Server, kafka_topic: Callable[..., str], driver: str, exchange: Exchange
) -> None:
    url = f"kafka://{kafka.user}:{kafka.password}@127.0.0.1:{kafka.sasl_port}"
    assert exchange(attach_url(url, driver=driver, ca=kafka.ca_file), kafka_topic()) == VALUE


@every_driver
@pytest.mark.services("kafka")
def test_foreign_authority_is_refused(kafka: Server, driver: str, exchange: Exchange) -> None:
    resource = attach_url(f"kafka://127.0.0.1:{kafka.tls_port}", driver=driver, connect_timeout_s=2)
    with pytest.raises(ResourceUnsafe, match="certificate") as caught:
        exchange(resource, "orders")
    assert caught.value.check == "tls"


@in_python
@pytest.mark.services("kafka")
def test_broker_in_plaintext_is_refused(kafka: Server, driver: str, exchange: Exchange) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        exchange(attach_url(kafka.url, driver=driver, connect_timeout_s=2, read_timeout_s=5), "orders")
    assert caught.value.check == "tls"


@every_driver
@pytest.mark.services("kafka")
def test_observing_changes_nothing_on_plaintext(
    kafka: Server, kafka_topic: Callable[..., str], driver: str, exchange: Exchange
) -> None:
    assert exchange(attach_url(kafka.url, driver=driver, mode="observe"), kafka_topic()) == VALUE


def attach_hostile(served: tuple[HostileServer, str], driver: str, **settings: Any) -> Resource:
    service, ca_file = served
    url = f"kafka://shop:only-on-loopback@localhost:{service.port}?sasl_mechanism=PLAIN"
    return attach_url(url, **{"ca": ca_file, "driver": driver, "connect_timeout_s": 3, "read_timeout_s": 3, **settings})


def produce(resource: Resource) -> None:
    options = {"enable_idempotence": False, "retries": 0}
    with closing(resource.client(kind="producer", **options)) as producer:
        producer.send(TOPIC, b"two apples").get(timeout=5)


def produce_async(resource: Resource) -> None:
    async def run() -> None:
        producer = await resource.aclient(kind="producer")
        await producer.start()
        try:
            await producer.send_and_wait(TOPIC, b"two apples")
        finally:
            await producer.stop()

    asyncio.run(run())


@pytest.mark.parametrize(("driver", "send"), [("kafka", produce), ("aiokafka", produce_async)], ids=["kafka", "aio"])
def test_rogue_broker_is_sent_nothing(serve: Serve, driver: str, send: Callable[[Resource], None]) -> None:
    served = serve(RogueCluster)
    served[0].record()
    served[0].turn()
    with pytest.raises(ResourceUnsafe, match=r"names the broker 127\.0\.0\.1") as caught:
        send(attach_hostile(served, driver))
    assert caught.value.check == "hosts"
    assert served[0].collect_leaks() == []


def repeat(call: Callable[[], object], timeout_s: float = 15) -> None:
    """Call until it raises."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        call()


def test_rogue_broker_is_refused_while_a_producer_lives(serve: Serve) -> None:
    served = serve(RogueCluster)
    options = {"enable_idempotence": False, "retries": 0, "metadata_max_age_ms": 200}
    with closing(attach_hostile(served, "kafka").client(kind="producer", **options)) as producer:
        producer.send(TOPIC, b"two apples").get(timeout=5)
        served[0].record()
        served[0].hostile = True
        with pytest.raises(ResourceUnsafe) as caught:
            repeat(lambda: producer.send(TOPIC, b"two apples").get(timeout=5))
    assert caught.value.check == "hosts"
    assert served[0].collect_leaks() == []


class _Flood(KafkaLog):
    def message(self, offset: int) -> TopicMessage:
        return TopicMessage(value=b"x" * (8 << 20)) if self.hostile else super().message(offset)


def test_flood_is_refused(serve: Serve) -> None:
    from kafka.structs import TopicPartition

    served = serve(_Flood)
    resource = attach_hostile(served, "kafka", max_reply_bytes=1 << 20)
    options = {"auto_offset_reset": "earliest", "group_id": None}
    with closing(resource.client(kind="consumer", **options)) as consumer:
        consumer.assign([TopicPartition(TOPIC, 0)])
        assert consumer.poll(timeout_ms=5_000, max_records=1)
        served[0].hostile = True
        with pytest.raises(ResourceUnsafe) as caught:
            repeat(lambda: consumer.poll(timeout_ms=100))
    assert caught.value.check == "max_reply_bytes"


@pytest.mark.parametrize("options", [{"security_protocol": "PLAINTEXT"}, {"ssl_check_hostname": False}], ids=["a", "b"])
def test_option_around_the_policy_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ResourceUnsafe):
        attach_url("kafka://mq.example", driver="kafka").client(kind="producer", **options)


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("kafka://u:p@mq.example?sasl_mechanism=PLAIN", {"tls": "off"}),
        ("kafka://u:p@mq.example?sasl_mechanism=PLAIN", {"auth": "strong"}),
    ],
)
def test_weak_login_is_refused(url: str, settings: dict[str, str]) -> None:
    with pytest.raises(ResourceUnsafe) as caught:
        attach_url(url, driver="kafka", **settings).client(kind="producer")
    assert caught.value.check == "auth"


def test_kind_of_client_must_be_named() -> None:
    with pytest.raises(ResourceMisconfigured, match="producer, consumer, admin"):
        attach_url("kafka://localhost", driver="kafka").client()
