"""Typical calls of an app that uses aiokafka, over TLS with a login."""

import asyncio
import gzip
import json
import pickle
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from backwatch.collector import names
from tests.contract.exercises.kafka import Bomb, ensure
from tests.services.server import Server

SERVICES = ("kafka",)
UNKNOWN = frozenset({names.SERVER_ID}) if aiokafka.__version__ < "0.13" else frozenset[str]()
"""Facts that this version of the driver cannot tell: before 0.13 it does not ask for the cluster's identifier."""
TOPIC = "exercise-aio-orders"
JSON_TOPIC = "exercise-aio-documents"


def login(server: Server, **more: Any) -> dict[str, Any]:
    """Options of a client that logs in over verified TLS."""
    return {
        "bootstrap_servers": f"localhost:{server.sasl_port}", "security_protocol": "SASL_SSL",
        "ssl_context": ssl.create_default_context(cafile=server.ca_file), "sasl_mechanism": "PLAIN",
        "sasl_plain_username": server.user, "sasl_plain_password": server.password, **more,
    }  # fmt: skip


def calls(services: dict[str, Any]) -> list[object]:
    server: Server = services["kafka"]
    ensure(server, TOPIC, JSON_TOPIC)
    return asyncio.run(_all(server))


async def _all(server: Server) -> list[object]:
    return [*await _administer(server), *await _produce(server), *await _consume(server), *await _iterate(server)]


async def _administer(server: Server) -> list[object]:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    seen: list[object] = [{TOPIC, JSON_TOPIC} <= set(await admin.list_topics())]
    await admin.close()
    return seen


async def _produce(server: Server) -> list[object]:
    seen: list[object] = []
    async with AIOKafkaProducer(**login(server, compression_type="gzip", linger_ms=50)) as producer:
        futures = [
            await producer.send(TOPIC, b"a" * 500, b"key", partition=0),
            await producer.send(topic=TOPIC, value=b"a" * 500, key=b"key", headers=[("h", b"1")], partition=0),
            await producer.send(TOPIC, b"!" + pickle.dumps(Bomb()), None, 1),
            await producer.send(JSON_TOPIC, json.dumps({"a": 1}).encode(), partition=0),
        ]
        await producer.flush()
        for future in futures:
            sent = await future
            seen.append((sent.topic, sent.partition))
        batch = producer.create_batch()
        for value in (b"1", b"2"):
            batch.append(key=None, value=value, timestamp=None)
        sent = await (await producer.send_batch(batch, TOPIC, partition=0))
        seen.append((sent.topic, sent.partition))
        try:
            await producer.send(TOPIC, b"x" * 2_000_000)
        except KafkaError as error:
            seen.append(type(error).__name__)
    return seen


def _consumer(server: Server, **more: Any) -> Any:
    return AIOKafkaConsumer(**login(server, group_id="exercise-aio", enable_auto_commit=False, **more))


async def _consume(server: Server) -> list[object]:
    """Return the last messages of both partitions."""
    consumer = _consumer(server)
    await consumer.start()
    partitions = [TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    for one, back in zip(partitions, (4, 1), strict=True):
        consumer.seek(one, ends[one] - back)
    got: list[Any] = []
    for _ in range(60):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            got += records
        if len(got) >= 5:
            break
    seen: list[Any] = sorted((one.topic, one.partition, one.value) for one in got)
    await consumer.commit({partitions[0]: ends[partitions[0]]})
    seen.append(await consumer.committed(partitions[0]) == ends[partitions[0]])
    seen.append(await consumer.getmany(timeout_ms=0))
    await consumer.stop()
    return seen


async def _iterate(server: Server) -> list[object]:
    """Return one message, by iteration, deserialised."""
    consumer = _consumer(server, value_deserializer=json.loads)
    await consumer.start()
    one = TopicPartition(JSON_TOPIC, 0)
    consumer.assign([one])
    consumer.seek(one, (await consumer.end_offsets([one]))[one] - 1)
    seen: list[object] = [(await anext(consumer)).value]
    await consumer.stop()
    return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    server: Server = services["kafka"]
    ensure(server, TOPIC, JSON_TOPIC)

    async def sending(topic: Any, *args: Any, patience_ms: int = 10_000) -> object:
        async with AIOKafkaProducer(**login(server, request_timeout_ms=patience_ms)) as producer:
            return await producer.send_and_wait(topic, *args)

    async def nowhere() -> object:
        producer = AIOKafkaProducer(bootstrap_servers="localhost:1")
        try:
            return await producer.start()
        finally:
            await producer.stop()

    async def refused() -> object:
        producer = AIOKafkaProducer(**login(server, sasl_plain_password="wrong"))
        try:
            return await producer.start()
        finally:
            await producer.stop()

    async def stopped() -> object:
        consumer = _consumer(server)
        await consumer.start()
        await consumer.stop()
        return await consumer.getone()

    async def refused_by_the_app() -> object:
        async with AIOKafkaProducer(bootstrap_servers=server.bootstrap) as producer:
            await producer.send_and_wait(JSON_TOPIC, b"{}", partition=0)
        consumer = _consumer(server, value_deserializer=gzip.decompress)
        await consumer.start()
        one = TopicPartition(JSON_TOPIC, 0)
        consumer.assign([one])
        consumer.seek(one, (await consumer.end_offsets([one]))[one] - 1)
        try:
            return await consumer.getone()
        finally:
            await consumer.stop()

    def run(coroutine: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> Callable[[], object]:
        return lambda: asyncio.run(coroutine(*args))

    return [
        run(partial(sending, patience_ms=2_000), "exercise-no-such-topic", b"x"), run(sending, TOPIC, 5),
        run(sending, TOPIC), run(nowhere), run(refused), run(stopped), run(refused_by_the_app),
    ]  # fmt: skip
