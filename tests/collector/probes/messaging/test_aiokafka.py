"""aiokafka: messages sent, received together and one by one, connections and logins, the stream's own topics."""

import asyncio
import gc
import gzip
import pickle
import ssl
import weakref
from collections.abc import Callable
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
from tests.collector.probes.recording import Recording
from tests.contract.exercises.aiokafka import login
from tests.contract.exercises.kafka import Bomb
from tests.services.brokers.topics import create
from tests.services.overlays import not_overlaid, run_tests_with
from tests.services.server import Server

PROBES = (AiokafkaProbe,)
MakeTopic = Callable[..., str]
OLDEST = aiokafka.__version__ == "0.10.0"


async def send(server: Server, topic: str, *values: bytes, **more: Any) -> None:
    async with AIOKafkaProducer(bootstrap_servers=server.bootstrap, **more) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, b"key", headers=[("h", b"1")])


def new_consumer(server: Server, *topics: str, **more: Any) -> Any:
    consumer = AIOKafkaConsumer(bootstrap_servers=server.bootstrap, auto_offset_reset="earliest", **more)
    consumer.assign([TopicPartition(topic, 0) for topic in topics])
    return consumer


async def receive_many(consumer: Any, count: int) -> list[Any]:
    got: list[Any] = []
    for _ in range(40):
        got += [call for records in (await consumer.getmany(timeout_ms=500)).values() for call in records]
        if len(got) >= count:
            break
    return got


def test_a_message_is_recorded_once_when_it_is_acknowledged(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    asyncio.run(send(kafka, kafka_topic(), *[b"12345"] * 20))
    sent = recording.of("send")
    assert len(sent) == 20
    assert {(call.sent, call.received, call.estimated, call.kind) for call in sent} == {(10, -1, True, PRODUCER)}
    assert all(call.caller is not None and call.caller.site is not None for call in sent)


def test_serialised_bytes_are_counted_as_sent(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    asyncio.run(send(kafka, kafka_topic(), b"x", value_serializer=lambda _: b"y" * 100))  # pyright: ignore[reportArgumentType]
    assert [call.sent for call in recording.of("send")] == [105]


def test_a_batch_of_the_app_is_one_record(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    async def run(topic: str) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
            batch = producer.create_batch()
            for _ in range(7):
                batch.append(key=None, value=b"x" * 10, timestamp=None)
            await (await producer.send_batch(batch, topic, partition=0))

    asyncio.run(run(kafka_topic()))
    (call,) = recording.of("send")
    assert call.rows_affected == 7
    assert call.sent > 70


def test_a_refused_message_is_recorded_with_its_error(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    with pytest.raises(kafka_errors.MessageSizeTooLargeError):
        asyncio.run(send(kafka, kafka_topic(), b"x" * 2_000_000))
    (call,) = recording.of("send")
    assert isinstance(call.error, kafka_errors.MessageSizeTooLargeError)
    assert call.facts[names.STATUS_CODE] == "10"


def test_asyncio_still_warns_of_an_unretrieved_failure(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    warnings: list[str] = []

    async def run(topic: str) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: warnings.append(context["message"]))
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=5_000_000) as producer:
            await producer.send(topic, b"x" * 1_500_000)  # more than the broker takes
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(run(kafka_topic()))
    assert warnings == ["Future exception was never retrieved"]
    assert [type(call.error) for call in recording.of("send")] == [kafka_errors.MessageSizeTooLargeError]


def test_messages_received_together_are_one_record_per_topic(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    async def run(first: str, second: str) -> None:
        await send(kafka, first, *[b"12345"] * 30)
        await send(kafka, second, b"1")
        async with new_consumer(kafka, first, second) as consumer:
            assert len(await receive_many(consumer, 31)) == 31

    asyncio.run(run(kafka_topic("a"), kafka_topic("b")))
    calls = recording.of("poll")
    assert {call.facts[names.MESSAGING_DESTINATION] for call in calls} == {"?-a", "?-b"}
    assert sum(call.rows_returned for call in calls) == 31
    assert sum(call.received for call in calls) == 30 * 10 + 6
    assert {call.kind for call in calls} == {CONSUMER}


def test_messages_received_one_by_one_are_recorded_together(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    async def run(topic: str) -> None:
        await send(kafka, topic, *[b"12345"] * 50)
        async with new_consumer(kafka, topic) as consumer:
            for _ in range(25):
                await consumer.getone()
            async for message in consumer:
                if message.offset == 49:
                    break

    asyncio.run(run(kafka_topic()))
    calls = recording.of("poll")
    assert len(calls) < 6
    assert (sum(call.rows_returned for call in calls), sum(call.received for call in calls)) == (50, 500)


def test_the_rest_of_a_burst_is_recorded_while_the_app_waits(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, now: list[float]
) -> None:

    async def run(topic: str) -> None:
        await send(kafka, topic, *[b"12345"] * 3)
        async with new_consumer(kafka, topic) as consumer, asyncio.timeout(60):
            for _ in range(3):
                await consumer.getone()
            now[0] += 1.0
            for _ in range(10):  # the loop's timer fires within a second if the loop is free
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(consumer.getone(), 1.0)
                if len(recording.of("poll")) == 2:
                    break
            assert [call.rows_returned for call in recording.of("poll")] == [1, 2]

    asyncio.run(run(kafka_topic()))
    assert {call.kind for call in recording.of("poll")} == {CONSUMER}
    assert recording.of("poll")[-1].caller.site.function.endswith("run")  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize("many_at_once", [True, False])
def test_message_forms_are_reported_once_per_record(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, many_at_once: bool
) -> None:
    async def take(consumer: Any, count: int) -> None:
        if many_at_once:
            assert len(await receive_many(consumer, count)) == count
        else:
            for _ in range(count):
                await consumer.getone()

    async def run(topic: str) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        async with producer, new_consumer(kafka, topic) as consumer:
            await producer.send_and_wait(topic, b"<order/>")
            await take(consumer, 1)
            for at in range(5):
                order = b'{"order": %d}' % at
                await producer.send_and_wait(topic, order, key=b"7", headers=[("traceparent", b"00-0a-0b-01")])
            await take(consumer, 5)

    asyncio.run(run(kafka_topic()))
    calls = [call.facts[names.MESSAGE_FORMS] for call in recording.of("poll")]
    assert calls[0] == "xml"
    assert set(calls[1:]) == {"json+key+trace"}


def test_a_wait_without_messages_is_not_recorded(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    async def run(topic: str) -> None:
        async with new_consumer(kafka, topic) as consumer:
            assert await consumer.getmany(timeout_ms=100) == {}
            for waiting in (consumer.getone, lambda: consumer.getmany(timeout_ms=5000)):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(waiting(), 0.2)

    asyncio.run(run(kafka_topic()))
    assert recording.of("poll") == []


@pytest.mark.parametrize("one_by_one", [True, False])
def test_values_are_recognised_before_the_app_deserialises_them(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, one_by_one: bool
) -> None:
    async def run(topic: str, reader: Callable[[bytes], Any]) -> None:
        async with new_consumer(kafka, topic, value_deserializer=reader) as consumer:
            await (consumer.getone() if one_by_one else receive_many(consumer, 1))

    topic = kafka_topic()
    asyncio.run(send(kafka, topic, pickle.dumps(Bomb())))
    asyncio.run(run(topic, len))
    with pytest.raises(gzip.BadGzipFile):
        asyncio.run(run(topic, gzip.decompress))
    calls = recording.of("poll")
    assert [type(call.error) for call in calls] == [type(None), gzip.BadGzipFile]
    assert all(str(call.facts[names.PAYLOAD_GLOBALS]).endswith(".system") for call in calls)


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_compressed_batch_reports_both_its_sizes(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, one_by_one: bool
) -> None:
    async def run(topic: str) -> None:
        await send(kafka, topic, b"\0" * 500_000, compression_type="gzip")
        async with new_consumer(kafka, topic) as consumer:
            await (consumer.getone() if one_by_one else receive_many(consumer, 1))

    asyncio.run(run(kafka_topic()))
    (call,) = recording.of("poll")
    assert 0 < int(call.facts[names.PAYLOAD_WIRE]) < 5_000
    assert int(call.facts[names.PAYLOAD_SIZE]) > 500_000


def test_session_facts_match_the_connection(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    async def run(topic: str) -> None:
        async with AIOKafkaProducer(**login(kafka, sasl_mechanism="SCRAM-SHA-256")) as producer:
            await producer.send_and_wait(topic, b"x")

    asyncio.run(run(kafka_topic()))
    (call,) = recording.of("send")
    session = call.session
    assert (session.encrypted, session.tls_version, session.verified) == (True, "1.3", "full")
    assert (session.account, session.auth_method) == ("app", "scram-sha-256")
    assert (session.address, session.peer_address, session.peer_port) == ("localhost", "127.0.0.1", kafka.sasl_port)
    assert len(session.certificate_sha256) == 64
    assert OLDEST or session.server_id
    first = recording.of("connect")[0]
    assert first.sent > 500
    assert first.received > 1000
    assert recording.of("metadata")[0].facts[names.TOPOLOGY] == f"127.0.0.1:{kafka.sasl_port}"
    assert kafka.password not in repr([each.attributes() for each in recording.calls])


def test_a_failed_login_is_recorded_with_its_session_facts(recording: Recording, kafka: Server) -> None:
    async def run() -> None:
        producer = AIOKafkaProducer(**login(kafka, sasl_plain_password="canary-wrong"))
        try:
            await producer.start()
        finally:
            await producer.stop()

    with pytest.raises(kafka_errors.KafkaError):
        asyncio.run(run())
    call = recording.of("connect")[0]
    assert isinstance(call.error, kafka_errors.KafkaError)
    assert (call.session.account, call.session.encrypted, call.session.verified) == ("app", True, "full")
    assert "canary" not in repr([each.attributes() for each in recording.calls])


def test_an_untrusted_certificate_is_recorded(recording: Recording, kafka: Server) -> None:
    async def run() -> None:
        context = ssl.create_default_context()
        admin = AIOKafkaAdminClient(
            bootstrap_servers=f"localhost:{kafka.tls_port}", security_protocol="SSL", ssl_context=context
        )
        await admin.start()

    with pytest.raises(kafka_errors.KafkaConnectionError):
        asyncio.run(run())
    call = recording.of("connect")[0]
    assert isinstance(call.error, ssl.SSLCertVerificationError)
    assert (call.session.requested, call.session.encrypted) == ("verify-full", None)


def test_an_unreachable_broker_is_recorded_without_guessed_facts(recording: Recording) -> None:
    async def run() -> None:
        producer = AIOKafkaProducer(bootstrap_servers="localhost:1")
        try:
            await producer.start()
        finally:
            await producer.stop()

    with pytest.raises(kafka_errors.KafkaConnectionError):
        asyncio.run(run())
    call = recording.of("connect")[0]
    assert isinstance(call.error, OSError)
    assert call.session.encrypted is None


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
    calls = [call.operation for call in recording.calls if call.operation not in ("connect", "metadata", "send")]
    assert calls == ["commit_transaction", "abort_transaction", "commit"]


def test_no_value_is_recorded(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    async def run(topic: str) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
            await producer.send_and_wait(topic, b"canary-v", b"canary-k", headers=[("canary-h", b"canary")])
        async with new_consumer(kafka, topic) as consumer:
            await consumer.getone()

    asyncio.run(run(kafka_topic()))
    assert "canary" not in repr([call.attributes() for call in recording.calls])


def test_the_streams_own_topics_are_never_recorded(recording: Recording, kafka_without_topics: Server) -> None:
    server = kafka_without_topics
    create(server, names.TOPIC_CALLS, 1)

    async def run() -> None:
        await send(server, names.TOPIC_CALLS, b"x", b"y")
        async with new_consumer(server, names.TOPIC_CALLS) as consumer:
            await consumer.getone()
            await receive_many(consumer, 1)

    asyncio.run(run())
    assert {call.operation for call in recording.calls} == {"connect", "metadata"}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_unreferenced_client_is_garbage_collected(recording: Recording, kafka: Server) -> None:
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


@not_overlaid
def test_the_oldest_aiokafka_passes_the_same_tests(kafka: Server) -> None:
    run_tests_with(["aiokafka==0.10.0"], "aiokafka", kafka)
