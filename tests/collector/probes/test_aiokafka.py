"""aiokafka: messages sent, taken many at once and one by one, connections and logins, the stream's own topics."""

import asyncio
import gc
import gzip
import os
import pickle
import ssl
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from backwatch.collector import names
from backwatch.collector.probes.aiokafka import AiokafkaProbe
from backwatch.collector.runtime.record import CONSUMER, PRODUCER
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.aiokafka import login
from tests.contract.exercises.kafka import Bomb
from tests.services.brokers.topics import create
from tests.services.overlays import overlay
from tests.services.server import Server

MakeTopic = Callable[..., str]
ROOT = Path(__file__).parents[3]
OLDEST = aiokafka.__version__ == "0.10.0"


@pytest.fixture
def recording() -> Iterator[Recording]:
    with watching(AiokafkaProbe) as told:
        yield told


async def send(server: Server, topic: str, *values: bytes, **more: Any) -> None:
    async with AIOKafkaProducer(bootstrap_servers=server.bootstrap, **more) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, b"key", headers=[("h", b"1")])


def reading(server: Server, *topics: str, **more: Any) -> Any:
    consumer = AIOKafkaConsumer(bootstrap_servers=server.bootstrap, auto_offset_reset="earliest", **more)
    consumer.assign([TopicPartition(topic, 0) for topic in topics])
    return consumer


async def many(consumer: Any, count: int) -> list[Any]:
    got: list[Any] = []
    for _ in range(40):
        got += [one for records in (await consumer.getmany(timeout_ms=500)).values() for one in records]
        if len(got) >= count:
            break
    return got


def test_a_message_is_one_record_told_when_it_is_acknowledged(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    asyncio.run(send(kafka, kafka_topic(), *[b"12345"] * 20))
    sent = recording.of("send")
    assert len(sent) == 20
    assert {(one.sent, one.received, one.estimated, one.kind) for one in sent} == {(10, -1, True, PRODUCER)}
    assert all(one.caller is not None and one.caller.site is not None for one in sent)


def test_what_the_app_serialises_is_counted_as_it_goes_out(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    asyncio.run(send(kafka, kafka_topic(), b"x", value_serializer=lambda _: b"y" * 100))  # pyright: ignore[reportArgumentType]
    assert [one.sent for one in recording.of("send")] == [105]


def test_a_batch_that_the_app_made_is_one_record(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    async def run(topic: str) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
            batch = producer.create_batch()
            for _ in range(7):
                batch.append(key=None, value=b"x" * 10, timestamp=None)
            await (await producer.send_batch(batch, topic, partition=0))

    asyncio.run(run(kafka_topic()))
    (told,) = recording.of("send")
    assert told.rows_affected == 7
    assert told.sent > 70


def test_a_message_that_is_refused_is_told_with_its_error(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    with pytest.raises(kafka_errors.MessageSizeTooLargeError):
        asyncio.run(send(kafka, kafka_topic(), b"x" * 2_000_000))
    (told,) = recording.of("send")
    assert isinstance(told.error, kafka_errors.MessageSizeTooLargeError)
    assert told.facts[names.STATUS_CODE] == "10"


def test_asyncio_still_tells_of_a_failure_that_nobody_looked_at(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    told: list[str] = []

    async def run(topic: str) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=5_000_000) as producer:
            await producer.send(topic, b"x" * 1_500_000)  # more than the broker takes
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(run(kafka_topic()))
    assert told == ["Future exception was never retrieved"]
    assert [type(one.error) for one in recording.of("send")] == [kafka_errors.MessageSizeTooLargeError]


def test_many_at_once_are_one_record_per_topic(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    async def run(first: str, second: str) -> None:
        await send(kafka, first, *[b"12345"] * 30)
        await send(kafka, second, b"1")
        async with reading(kafka, first, second) as consumer:
            assert len(await many(consumer, 31)) == 31

    asyncio.run(run(kafka_topic("a"), kafka_topic("b")))
    told = recording.of("poll")
    assert {one.facts[names.MESSAGING_DESTINATION] for one in told} == {"?-a", "?-b"}
    assert sum(one.rows_returned for one in told) == 31
    assert sum(one.received for one in told) == 30 * 10 + 6
    assert {one.kind for one in told} == {CONSUMER}


def test_messages_taken_one_by_one_are_told_together_and_none_is_left_out(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    async def run(topic: str) -> None:
        await send(kafka, topic, *[b"12345"] * 50)
        async with reading(kafka, topic) as consumer:
            for _ in range(25):
                await consumer.getone()
            async for message in consumer:
                if message.offset == 49:
                    break

    asyncio.run(run(kafka_topic()))
    told = recording.of("poll")
    assert len(told) < 6
    assert (sum(one.rows_returned for one in told), sum(one.received for one in told)) == (50, 500)


def test_what_a_burst_left_is_told_while_the_app_waits_for_more(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, now: list[float]
) -> None:

    async def run(topic: str) -> None:
        await send(kafka, topic, *[b"12345"] * 3)
        async with reading(kafka, topic) as consumer, asyncio.timeout(60):
            for _ in range(3):
                await consumer.getone()
            now[0] += 1.0
            for _ in range(10):  # the loop tells within a second, where it is not kept from it
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(consumer.getone(), 1.0)
                if len(recording.of("poll")) == 2:
                    break
            assert [one.rows_returned for one in recording.of("poll")] == [1, 2]

    asyncio.run(run(kafka_topic()))
    assert {one.kind for one in recording.of("poll")} == {CONSUMER}
    assert recording.of("poll")[-1].caller.site.function.endswith("run")  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize("many_at_once", [True, False])
def test_the_forms_of_what_is_taken_are_told_each_once_with_the_record_they_came_in(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, many_at_once: bool
) -> None:
    async def take(consumer: Any, count: int) -> None:
        if many_at_once:
            assert len(await many(consumer, count)) == count
        else:
            for _ in range(count):
                await consumer.getone()

    async def run(topic: str) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        async with producer, reading(kafka, topic) as consumer:
            await producer.send_and_wait(topic, b"<order/>")
            await take(consumer, 1)
            for at in range(5):
                order = b'{"order": %d}' % at
                await producer.send_and_wait(topic, order, key=b"7", headers=[("traceparent", b"00-0a-0b-01")])
            await take(consumer, 5)

    asyncio.run(run(kafka_topic()))
    told = [one.facts[names.MESSAGE_FORMS] for one in recording.of("poll")]
    assert told[0] == "xml"
    assert set(told[1:]) == {"json+key+trace"}


def test_waiting_in_vain_is_no_record(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    async def run(topic: str) -> None:
        async with reading(kafka, topic) as consumer:
            assert await consumer.getmany(timeout_ms=100) == {}
            for waiting in (consumer.getone, lambda: consumer.getmany(timeout_ms=5000)):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(waiting(), 0.2)

    asyncio.run(run(kafka_topic()))
    assert recording.of("poll") == []


@pytest.mark.parametrize("one_by_one", [True, False])
def test_what_the_app_deserialises_is_recognised_as_it_came(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, one_by_one: bool
) -> None:
    async def run(topic: str, reader: Callable[[bytes], Any]) -> None:
        async with reading(kafka, topic, value_deserializer=reader) as consumer:
            await (consumer.getone() if one_by_one else many(consumer, 1))

    topic = kafka_topic()
    asyncio.run(send(kafka, topic, pickle.dumps(Bomb())))
    asyncio.run(run(topic, len))
    with pytest.raises(gzip.BadGzipFile):
        asyncio.run(run(topic, gzip.decompress))
    told = recording.of("poll")
    assert [type(one.error) for one in told] == [type(None), gzip.BadGzipFile]
    assert all(str(one.facts[names.PAYLOAD_GLOBALS]).endswith(".system") for one in told)


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_batch_that_swells_tells_both_its_sizes(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, one_by_one: bool
) -> None:
    async def run(topic: str) -> None:
        await send(kafka, topic, b"\0" * 500_000, compression_type="gzip")
        async with reading(kafka, topic) as consumer:
            await (consumer.getone() if one_by_one else many(consumer, 1))

    asyncio.run(run(kafka_topic()))
    (told,) = recording.of("poll")
    assert 0 < int(told.facts[names.PAYLOAD_WIRE]) < 5_000
    assert int(told.facts[names.PAYLOAD_SIZE]) > 500_000


def test_a_session_is_told_as_it_is(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    async def run(topic: str) -> None:
        async with AIOKafkaProducer(**login(kafka, sasl_mechanism="SCRAM-SHA-256")) as producer:
            await producer.send_and_wait(topic, b"x")

    asyncio.run(run(kafka_topic()))
    (told,) = recording.of("send")
    session = told.session
    assert (session.encrypted, session.tls_version, session.verified) == (True, "1.3", "full")
    assert (session.account, session.auth_method) == ("app", "scram-sha-256")
    assert (session.address, session.peer_address, session.peer_port) == ("localhost", "127.0.0.1", kafka.sasl_port)
    assert len(session.certificate_sha256) == 64
    assert OLDEST or session.server_id
    first = recording.of("connect")[0]
    assert first.sent > 500
    assert first.received > 1000
    assert recording.of("metadata")[0].facts[names.TOPOLOGY] == f"127.0.0.1:{kafka.sasl_port}"
    assert kafka.password not in repr([one.attributes() for one in recording.calls])


def test_a_login_that_fails_is_told_with_what_was_true_of_it(recording: Recording, kafka: Server) -> None:
    async def run() -> None:
        producer = AIOKafkaProducer(**login(kafka, sasl_plain_password="canary-wrong"))
        try:
            await producer.start()
        finally:
            await producer.stop()

    with pytest.raises(kafka_errors.KafkaError):
        asyncio.run(run())
    told = recording.of("connect")[0]
    assert isinstance(told.error, kafka_errors.KafkaError)
    assert (told.session.account, told.session.encrypted, told.session.verified) == ("app", True, "full")
    assert "canary" not in repr([one.attributes() for one in recording.calls])


def test_a_certificate_that_nobody_vouches_for_is_told(recording: Recording, kafka: Server) -> None:
    async def run() -> None:
        context = ssl.create_default_context()
        admin = AIOKafkaAdminClient(
            bootstrap_servers=f"localhost:{kafka.tls_port}", security_protocol="SSL", ssl_context=context
        )
        await admin.start()

    with pytest.raises(kafka_errors.KafkaConnectionError):
        asyncio.run(run())
    told = recording.of("connect")[0]
    assert isinstance(told.error, ssl.SSLCertVerificationError)
    assert (told.session.requested, told.session.encrypted) == ("verify-full", None)


def test_a_broker_that_is_not_there_is_told_and_nothing_is_guessed(recording: Recording) -> None:
    async def run() -> None:
        producer = AIOKafkaProducer(bootstrap_servers="localhost:1")
        try:
            await producer.start()
        finally:
            await producer.stop()

    with pytest.raises(kafka_errors.KafkaConnectionError):
        asyncio.run(run())
    told = recording.of("connect")[0]
    assert isinstance(told.error, OSError)
    assert told.session.encrypted is None


def test_transactions_and_commits_are_calls(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, kafka_prefix: str
) -> None:
    async def run(topic: str) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=kafka_prefix) as producer:
            for end in (producer.commit_transaction, producer.abort_transaction):
                await producer.begin_transaction()
                await producer.send_and_wait(topic, b"x")
                await end()
        async with AIOKafkaConsumer(
            topic, bootstrap_servers=kafka.bootstrap, group_id=kafka_prefix, enable_auto_commit=False
        ) as consumer:
            await consumer.commit()

    asyncio.run(run(kafka_topic()))
    told = [one.operation for one in recording.calls if one.operation not in ("connect", "metadata", "send")]
    assert told == ["commit_transaction", "abort_transaction", "commit"]


def test_no_value_is_told(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    async def run(topic: str) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
            await producer.send_and_wait(topic, b"canary-v", b"canary-k", headers=[("canary-h", b"canary")])
        async with reading(kafka, topic) as consumer:
            await consumer.getone()

    asyncio.run(run(kafka_topic()))
    assert "canary" not in repr([one.attributes() for one in recording.calls])


def test_the_streams_topics_are_never_told(recording: Recording, kafka_without_topics: Server) -> None:
    server = kafka_without_topics
    create(server, names.TOPIC_CALLS, 1)

    async def run() -> None:
        await send(server, names.TOPIC_CALLS, b"x", b"y")
        async with reading(server, names.TOPIC_CALLS) as consumer:
            await consumer.getone()
            await many(consumer, 1)

    asyncio.run(run())
    assert {one.operation for one in recording.calls} == {"connect", "metadata"}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_client_that_nobody_holds_any_more_is_let_go(recording: Recording, kafka: Server) -> None:
    async def run() -> bool:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        producer: Any = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        await producer.client.bootstrap()
        await producer.client.ready(next(iter(producer.client.cluster.brokers())).nodeId)
        producer.client._sync_task.cancel()
        await asyncio.sleep(0)
        gone = weakref.ref(next(iter(producer.client._conns.values())))
        producer._closed = True
        del producer
        await asyncio.sleep(0)
        gc.collect()
        return gone() is None

    assert asyncio.run(run())
    assert recording.of("connect")


@pytest.mark.timeout(300)
@pytest.mark.skipif(OLDEST, reason="this is the oldest")
def test_the_oldest_aiokafka_is_told_likewise(kafka: Server) -> None:
    told = (
        f"kafka://{kafka.user}:{kafka.password}@{kafka.host}:{kafka.port}/"
        f"?tls_port={kafka.tls_port}&sasl_port={kafka.sasl_port}&ca_file={kafka.ca_file}"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore",
         "tests/collector/probes/test_aiokafka.py", "tests/contract/test_every_probe.py", "-k", "aiokafka"],
        cwd=ROOT, capture_output=True, text=True, timeout=250, check=False,
        env={**os.environ, "PYTHONPATH": str(overlay("aiokafka==0.10.0")), "BACKWATCH_TEST_KAFKA_URL": told},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
