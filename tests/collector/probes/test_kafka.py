"""kafka-python: one record per message sent and per poll and topic; connections, logins and brokers as they are."""

import contextlib
import gzip
import pickle
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as kafka_errors
from kafka.admin import NewTopic
from kafka.structs import TopicPartition

from backwatch.collector import names
from backwatch.collector.probes.kafka import KafkaProbe
from tests.collector.probes.recording import Recording, Told, watching
from tests.contract.exercises.kafka import Bomb, login
from tests.services.server import Server

MakeTopic = Callable[..., str]
QUICKLY: dict[str, Any] = {"bootstrap_timeout_ms": 1500}


@pytest.fixture
def recording() -> Iterator[Recording]:
    with watching(KafkaProbe) as told:
        yield told


@pytest.fixture
def producer(recording: Recording, kafka: Server) -> Iterator[Any]:
    made = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    yield made
    made.close(timeout=5)


def reading(kafka: Server, *topics: str, **more: Any) -> Any:
    """A consumer of all there is in these topics, each of one partition."""
    made = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap, group_id=None, auto_offset_reset="earliest", consumer_timeout_ms=15_000,
        **more,
    )  # fmt: skip
    made.assign([TopicPartition(topic, 0) for topic in topics])
    return made


def polled(consumer: Any, count: int) -> list[Any]:
    got: list[Any] = []
    deadline = time.monotonic() + 30
    while len(got) < count and time.monotonic() < deadline:
        got += [one for records in consumer.poll(timeout_ms=500).values() for one in records]
    return got


def filled(kafka: Server, topic: str, *values: bytes, **more: Any) -> str:
    """The topic, with these messages in it that nobody watched."""
    sending = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=50, **more)
    for value in values:
        sending.send(topic, value)
    sending.close()
    return topic


def test_a_message_is_one_record_told_when_it_is_acknowledged(
    recording: Recording, producer: Any, kafka_topic: MakeTopic
) -> None:
    topic = kafka_topic()
    for _ in range(50):
        producer.send(topic, b"12345", b"key", headers=[("h", b"1")])
    producer.flush()
    sent = recording.of("send")
    assert len(sent) == 50
    assert {(one.sent, one.received, one.estimated) for one in sent} == {(10, -1, True)}
    assert all(one.caller is not None and one.error is None for one in sent)
    assert sent[0].attributes()[names.MESSAGING_SYSTEM] == "kafka"


def test_every_way_to_pass_a_message_is_the_drivers(
    recording: Recording, producer: Any, kafka_topic: MakeTopic
) -> None:
    topic = kafka_topic()
    futures = [
        producer.send(topic, b"v", b"k", [("h", b"x")], 0, 1_700_000_000_000),
        producer.send(topic, value=b"v", key=b"k", headers=[("h", b"x")], partition=0, timestamp_ms=1_700_000_000_000),
        producer.send(topic=topic, value=b"v", key=b"k", headers=[("h", b"x")]),
    ]
    assert [future.get(timeout=20).topic for future in futures] == [topic] * 3
    assert len(recording.of("send")) == 3


def test_the_apps_callbacks_are_called_as_without_us(
    recording: Recording, producer: Any, kafka_topic: MakeTopic
) -> None:
    topic, seen = kafka_topic(), list[Any]()
    future = producer.send(topic, b"v")
    assert future.add_callback(lambda word, sent: seen.append((word, sent.topic)), "ok") is future
    producer.flush()
    assert seen == [("ok", topic)]


def test_a_message_that_is_refused_is_told_with_its_error(
    recording: Recording, producer: Any, kafka_topic: MakeTopic
) -> None:
    with pytest.raises(kafka_errors.MessageSizeTooLargeError):
        producer.send(kafka_topic(), b"x" * 2_000_000)
    (told,) = recording.of("send")
    assert isinstance(told.error, kafka_errors.MessageSizeTooLargeError)
    assert told.facts[names.STATUS_CODE] == "10"


def test_a_message_that_is_given_up_later_is_told_with_its_error(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    topic = kafka_topic()
    sending = KafkaProducer(
        bootstrap_servers=kafka.bootstrap, max_request_size=5_000_000, batch_size=5_000_000, enable_idempotence=False
    )
    future = sending.send(topic, b"x" * 1_500_000)  # more than the broker takes
    with pytest.raises(kafka_errors.KafkaError):
        future.get(timeout=30)
    sending.close()
    (told,) = recording.of("send")
    assert isinstance(told.error, kafka_errors.KafkaError)


def test_a_poll_is_one_record_per_topic_and_never_one_per_message(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    first = filled(kafka, kafka_topic("a"), *[b"12345"] * 300)
    second = filled(kafka, kafka_topic("b"), *[b"1"] * 7)
    recording.calls.clear()
    with contextlib.closing(reading(kafka, first, second)) as consumer:
        assert len(polled(consumer, 307)) == 307
    told = recording.of("poll")
    assert len(told) <= 10
    assert {one.facts[names.MESSAGING_DESTINATION] for one in told} == {"?-a", "?-b"}
    assert sum(one.rows_returned for one in told) == 307
    assert sum(one.received for one in told) == 300 * 5 + 7
    assert all(one.estimated and one.sent == -1 for one in told)


def test_the_forms_of_what_a_poll_brings_are_told_each_once_and_by_topic(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    orders, audit = kafka_topic("orders"), kafka_topic("audit")
    with contextlib.closing(KafkaProducer(bootstrap_servers=kafka.bootstrap)) as sending:
        for at in range(5):
            sending.send(orders, b'{"order": %d}' % at, key=b"7", headers=[("traceparent", b"00-0a-0b-01")])
        sending.send(orders, None, key=b"7")
        sending.send(audit, b"<order/>", headers=[("source", b"web")])
        sending.flush()
    recording.calls.clear()
    with contextlib.closing(reading(kafka, orders, audit, key_deserializer=str)) as consumer:
        assert len(polled(consumer, 7)) == 7
    told = {
        (one.facts[names.MESSAGING_DESTINATION], one.facts.get(names.MESSAGE_FORMS)) for one in recording.of("poll")
    }
    assert told <= {("?-orders", "json+key+trace"), ("?-orders", None), ("?-audit", "xml+headers")}
    assert told >= {("?-orders", "json+key+trace"), ("?-audit", "xml+headers")}


def test_iterating_is_told_by_the_polls_beneath(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = filled(kafka, kafka_topic(), *[b"x"] * 200)
    recording.calls.clear()
    with contextlib.closing(reading(kafka, topic)) as consumer:
        for at, _ in enumerate(consumer):
            if at == 199:
                break
    told = recording.of("poll")
    assert sum(one.rows_returned for one in told) == 200
    assert len(told) < 10


def test_a_poll_that_brings_nothing_is_no_record(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    with contextlib.closing(reading(kafka, kafka_topic())) as consumer:
        for _ in range(5):
            assert consumer.poll(timeout_ms=20) == {}
    assert recording.of("poll") == []


def test_what_the_app_deserialises_is_recognised_as_it_came(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    topic = filled(kafka, kafka_topic(), pickle.dumps(Bomb()))
    with contextlib.closing(reading(kafka, topic, value_deserializer=len)) as consumer:
        (message,) = polled(consumer, 1)
    assert message.value == len(pickle.dumps(Bomb()))
    (told,) = recording.of("poll")
    assert told.facts[names.PAYLOAD_FORMAT] == "pickle"
    assert str(told.facts[names.PAYLOAD_GLOBALS]).endswith(".system")


def test_a_message_that_the_apps_own_function_chokes_on_is_told(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    topic = filled(kafka, kafka_topic(), pickle.dumps(Bomb()))
    with (
        contextlib.closing(reading(kafka, topic, value_deserializer=gzip.decompress)) as consumer,
        pytest.raises(gzip.BadGzipFile),
    ):
        polled(consumer, 1)
    told = recording.of("poll")[-1]
    assert isinstance(told.error, gzip.BadGzipFile)
    assert told.facts[names.PAYLOAD_FORMAT] == "pickle"


def test_a_batch_that_swells_tells_both_its_sizes(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = filled(kafka, kafka_topic(), b"\0" * 500_000, compression_type="gzip")
    with contextlib.closing(reading(kafka, topic)) as consumer:
        assert len(polled(consumer, 1)) == 1
    (told,) = recording.of("poll")
    assert 0 < int(told.facts[names.PAYLOAD_WIRE]) < 5_000
    assert int(told.facts[names.PAYLOAD_SIZE]) > 500_000


def connects(recording: Recording) -> list[Told]:
    return [one for one in recording.of("connect") if one.error is not None]


def test_a_certificate_that_nobody_vouches_for_is_told(recording: Recording, kafka: Server) -> None:
    with pytest.raises(kafka_errors.KafkaError):
        KafkaAdminClient(bootstrap_servers=f"localhost:{kafka.tls_port}", security_protocol="SSL", **QUICKLY)
    told = connects(recording)[0]
    assert isinstance(told.error, ssl.SSLCertVerificationError)
    assert (told.session.requested, told.session.encrypted) == ("verify-full", None)
    assert (told.session.address, told.session.port) == ("localhost", kafka.tls_port)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_login_that_fails_is_told_with_what_was_true_of_it(
    recording: Recording, kafka: Server, mechanism: str
) -> None:
    wrong = login(kafka, sasl_mechanism=mechanism, sasl_plain_password="canary-wrong", **QUICKLY)
    with pytest.raises(kafka_errors.KafkaError):
        KafkaAdminClient(**wrong)
    told = connects(recording)[0]
    assert isinstance(told.error, kafka_errors.KafkaError)
    assert (told.session.account, told.session.encrypted, told.session.verified) == ("app", True, "full")
    assert told.session.auth_method == {"PLAIN": "clear-password"}.get(mechanism, "scram-sha-256")
    assert "canary" not in repr([one.attributes() for one in recording.calls])


def test_a_session_is_told_as_it_is(recording: Recording, kafka: Server) -> None:
    admin = KafkaAdminClient(**login(kafka, sasl_mechanism="SCRAM-SHA-256"))
    admin.describe_cluster()
    admin.close()
    (told,) = recording.of("describe_cluster")
    session = told.session
    assert (session.encrypted, session.tls_version, session.verified) == (True, "1.3", "full")
    assert (session.account, session.auth_method) == ("app", "scram-sha-256")
    assert (session.peer_address, session.peer_port) == ("127.0.0.1", kafka.sasl_port)
    assert len(session.certificate_sha256) == 64
    assert session.server_version[0].isdigit()
    assert session.server_id
    first = recording.of("connect")[0]
    assert first.sent > 500
    assert first.received > 1000


def test_plaintext_is_told_as_such(recording: Recording, producer: Any, kafka: Server) -> None:
    (session, *_) = [one.session for one in recording.of("connect")]
    assert (session.encrypted, session.requested, session.auth_method) == (False, "disable", "none")


def test_a_broker_that_is_not_there_is_told_and_nothing_is_guessed(recording: Recording) -> None:
    with pytest.raises(kafka_errors.KafkaError):
        KafkaAdminClient(bootstrap_servers=["localhost:1"], **QUICKLY)
    assert connects(recording)[0].session.encrypted is None


def test_a_version_that_the_app_asserts_is_none_that_was_negotiated(recording: Recording, kafka: Server) -> None:
    KafkaProducer(bootstrap_servers=kafka.bootstrap, api_version=(2, 6)).close()
    assert {one.session.server_version for one in recording.of("connect")} <= {""}


def test_brokers_are_told_where_they_are_others_than_before(
    recording: Recording, kafka: Server, producer: Any, kafka_topic: MakeTopic
) -> None:
    for name in ("a", "b", "c"):
        producer.send(kafka_topic(name), b"x").get(timeout=20)
    told = [one.facts[names.TOPOLOGY] for one in recording.of("metadata")]
    assert told.count(f"127.0.0.1:{kafka.port}") == len(told)
    before = len([one for one in recording.of("metadata") if one.session.address == "127.0.0.1"])
    producer.partitions_for(kafka_topic("d"))
    assert len([one for one in recording.of("metadata") if one.session.address == "127.0.0.1"]) - before <= 1


def test_administration_is_one_record_for_each_call(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, kafka_prefix: str
) -> None:
    topic = kafka_topic("made")
    recording.calls.clear()
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    with pytest.raises(kafka_errors.TopicAlreadyExistsError):
        admin.create_topics(new_topics=[NewTopic(topic, num_partitions=1, replication_factor=1)])
    admin.describe_topics([topic])
    admin.close()
    told = [one.statement for one in recording.calls if one.operation not in ("connect", "metadata")]
    assert told == ["create_topics ?-made", "describe_topics ?-made"]


def test_commits_are_calls(recording: Recording, kafka: Server, kafka_topic: MakeTopic, kafka_prefix: str) -> None:
    topic = filled(kafka, kafka_topic(), b"x")
    recording.calls.clear()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, group_id=kafka_prefix, auto_offset_reset="earliest",
        enable_auto_commit=False,
    )  # fmt: skip
    assert len(polled(consumer, 1)) == 1
    consumer.commit()
    consumer.commit_async().add_callback(print)
    consumer.close()
    assert [one.error for one in recording.of("commit")] == [None, None]


def test_transactions_are_told(recording: Recording, kafka: Server, kafka_topic: MakeTopic, kafka_prefix: str) -> None:
    topic = kafka_topic()
    sending = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=kafka_prefix)
    sending.init_transactions()
    for end in (sending.commit_transaction, sending.abort_transaction):
        sending.begin_transaction()
        sending.send(topic, b"x").get(timeout=20)
        end()
    sending.close()
    ends = [
        one.operation for one in recording.calls if one.operation.endswith("transactions") or "_tr" in one.operation
    ]
    assert ends == ["init_transactions", "commit_transaction", "abort_transaction"]


def test_no_value_and_no_secret_is_told(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic()
    sending = KafkaProducer(**login(kafka))
    sending.send(topic, b"canary-value", b"canary-key", [("canary-name", b"canary-header")]).get(timeout=20)
    sending.close()
    with contextlib.closing(reading(kafka, topic)) as consumer:
        polled(consumer, 1)
    told = repr([one.attributes() for one in recording.calls])
    assert "canary" not in told
    assert kafka.password not in told


def test_the_streams_topics_are_never_told(recording: Recording, kafka_without_topics: Server) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka_without_topics.bootstrap)
    admin.create_topics([NewTopic(topic, 1, 1) for topic in (names.TOPIC_SPANS, names.TOPIC_CALLS)])
    admin.close()
    sending = KafkaProducer(bootstrap_servers=kafka_without_topics.bootstrap)
    for topic in (names.TOPIC_SPANS, names.TOPIC_CALLS):
        sending.send(topic, b"x").get(timeout=20)
    sending.close()
    with contextlib.closing(reading(kafka_without_topics, names.TOPIC_SPANS)) as consumer:
        assert len(polled(consumer, 1)) == 1
    # (list_topics is the fixture's)
    assert {one.operation for one in recording.calls} - {"list_topics"} == {"connect", "metadata"}


def test_a_client_that_is_older_than_the_probe_is_told(kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic()
    sending = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    sending.send(topic, b"x").get(timeout=20)
    with watching(KafkaProbe) as recording:
        sending.send(topic, b"x").get(timeout=20)
    sending.send(topic, b"x").get(timeout=20)
    sending.close()
    (told,) = recording.calls
    assert (told.operation, told.session.address, told.session.port) == ("send", "127.0.0.1", kafka.port)
    assert told.session.encrypted is None
