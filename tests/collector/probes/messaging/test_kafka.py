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
from tests.collector.probes.recording import RecordedCall, Recording, watching
from tests.contract.exercises.kafka import Bomb, login
from tests.services.server import Server

PROBES = (KafkaProbe,)
MakeTopic = Callable[..., str]
QUICKLY: dict[str, Any] = {"bootstrap_timeout_ms": 1500}


@pytest.fixture
def producer(recording: Recording, kafka: Server) -> Iterator[Any]:
    made = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    yield made
    made.close(timeout=5)


def new_consumer(kafka: Server, *topics: str, **more: Any) -> Any:
    """Return a consumer of everything in these topics, each of one partition."""
    made = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap, group_id=None, auto_offset_reset="earliest", consumer_timeout_ms=15_000,
        **more,
    )  # fmt: skip
    made.assign([TopicPartition(topic, 0) for topic in topics])
    return made


def poll_messages(consumer: Any, count: int) -> list[Any]:
    got: list[Any] = []
    deadline = time.monotonic() + 30
    while len(got) < count and time.monotonic() < deadline:
        got += [call for records in consumer.poll(timeout_ms=500).values() for call in records]
    return got


def fill_topic(kafka: Server, topic: str, *values: bytes, **more: Any) -> str:
    """Return a topic with these messages, sent without the probe."""
    sending = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=50, **more)
    for value in values:
        sending.send(topic, value)
    sending.close()
    return topic


def test_a_message_is_recorded_once_when_it_is_acknowledged(
    recording: Recording, producer: Any, kafka_topic: MakeTopic
) -> None:
    topic = kafka_topic()
    for _ in range(50):
        producer.send(topic, b"12345", b"key", headers=[("h", b"1")])
    producer.flush()
    sent = recording.of("send")
    assert len(sent) == 50
    assert {(call.sent, call.received, call.estimated) for call in sent} == {(10, -1, True)}
    assert all(call.caller is not None and call.error is None for call in sent)
    assert sent[0].attributes()[names.MESSAGING_SYSTEM] == "kafka"


def test_every_way_to_pass_a_message_still_works(recording: Recording, producer: Any, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic()
    futures = [
        producer.send(topic, b"v", b"k", [("h", b"x")], 0, 1_700_000_000_000),
        producer.send(topic, value=b"v", key=b"k", headers=[("h", b"x")], partition=0, timestamp_ms=1_700_000_000_000),
        producer.send(topic=topic, value=b"v", key=b"k", headers=[("h", b"x")]),
    ]
    assert [future.get(timeout=20).topic for future in futures] == [topic] * 3
    assert len(recording.of("send")) == 3


def test_app_callbacks_are_called_as_without_the_probe(
    recording: Recording, producer: Any, kafka_topic: MakeTopic
) -> None:
    topic, seen = kafka_topic(), list[Any]()
    future = producer.send(topic, b"v")
    assert future.add_callback(lambda word, sent: seen.append((word, sent.topic)), "ok") is future
    producer.flush()
    assert seen == [("ok", topic)]


def test_a_refused_message_is_recorded_with_its_error(
    recording: Recording, producer: Any, kafka_topic: MakeTopic
) -> None:
    with pytest.raises(kafka_errors.MessageSizeTooLargeError):
        producer.send(kafka_topic(), b"x" * 2_000_000)
    (call,) = recording.of("send")
    assert isinstance(call.error, kafka_errors.MessageSizeTooLargeError)
    assert call.facts[names.STATUS_CODE] == "10"


def test_a_message_given_up_later_is_recorded_with_its_error(
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
    (call,) = recording.of("send")
    assert isinstance(call.error, kafka_errors.KafkaError)


def test_a_poll_is_one_record_per_topic_not_per_message(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    first = fill_topic(kafka, kafka_topic("a"), *[b"12345"] * 300)
    second = fill_topic(kafka, kafka_topic("b"), *[b"1"] * 7)
    recording.calls.clear()
    with contextlib.closing(new_consumer(kafka, first, second)) as consumer:
        assert len(poll_messages(consumer, 307)) == 307
    calls = recording.of("poll")
    assert len(calls) <= 10
    assert {call.facts[names.MESSAGING_DESTINATION] for call in calls} == {"?-a", "?-b"}
    assert sum(call.rows_returned for call in calls) == 307
    assert sum(call.received for call in calls) == 300 * 5 + 7
    assert all(call.estimated and call.sent == -1 for call in calls)


def test_message_forms_are_reported_once_per_topic_of_a_poll(
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
    with contextlib.closing(new_consumer(kafka, orders, audit, key_deserializer=str)) as consumer:
        assert len(poll_messages(consumer, 7)) == 7
    found = {
        (call.facts[names.MESSAGING_DESTINATION], call.facts.get(names.MESSAGE_FORMS)) for call in recording.of("poll")
    }
    assert found <= {("?-orders", "json+key+trace"), ("?-orders", None), ("?-audit", "xml+headers")}
    assert found >= {("?-orders", "json+key+trace"), ("?-audit", "xml+headers")}


def test_iteration_is_recorded_by_the_polls_below_it(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    topic = fill_topic(kafka, kafka_topic(), *[b"x"] * 200)
    recording.calls.clear()
    with contextlib.closing(new_consumer(kafka, topic)) as consumer:
        for at, _ in enumerate(consumer):
            if at == 199:
                break
    calls = recording.of("poll")
    assert sum(call.rows_returned for call in calls) == 200
    assert len(calls) < 10


def test_an_empty_poll_is_not_recorded(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    with contextlib.closing(new_consumer(kafka, kafka_topic())) as consumer:
        for _ in range(5):
            assert consumer.poll(timeout_ms=20) == {}
    assert recording.of("poll") == []


def test_values_are_recognised_before_the_app_deserialises_them(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic
) -> None:
    topic = fill_topic(kafka, kafka_topic(), pickle.dumps(Bomb()))
    with contextlib.closing(new_consumer(kafka, topic, value_deserializer=len)) as consumer:
        (message,) = poll_messages(consumer, 1)
    assert message.value == len(pickle.dumps(Bomb()))
    (call,) = recording.of("poll")
    assert call.facts[names.PAYLOAD_FORMAT] == "pickle"
    assert str(call.facts[names.PAYLOAD_GLOBALS]).endswith(".system")


def test_a_failing_app_deserializer_is_recorded(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = fill_topic(kafka, kafka_topic(), pickle.dumps(Bomb()))
    with (
        contextlib.closing(new_consumer(kafka, topic, value_deserializer=gzip.decompress)) as consumer,
        pytest.raises(gzip.BadGzipFile),
    ):
        poll_messages(consumer, 1)
    call = recording.of("poll")[-1]
    assert isinstance(call.error, gzip.BadGzipFile)
    assert call.facts[names.PAYLOAD_FORMAT] == "pickle"


def test_a_compressed_batch_reports_both_its_sizes(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = fill_topic(kafka, kafka_topic(), b"\0" * 500_000, compression_type="gzip")
    with contextlib.closing(new_consumer(kafka, topic)) as consumer:
        assert len(poll_messages(consumer, 1)) == 1
    (call,) = recording.of("poll")
    assert 0 < int(call.facts[names.PAYLOAD_WIRE]) < 5_000
    assert int(call.facts[names.PAYLOAD_SIZE]) > 500_000


def connects(recording: Recording) -> list[RecordedCall]:
    return [call for call in recording.of("connect") if call.error is not None]


def test_an_untrusted_certificate_is_recorded(recording: Recording, kafka: Server) -> None:
    with pytest.raises(kafka_errors.KafkaError):
        KafkaAdminClient(bootstrap_servers=f"localhost:{kafka.tls_port}", security_protocol="SSL", **QUICKLY)
    call = connects(recording)[0]
    assert isinstance(call.error, ssl.SSLCertVerificationError)
    assert (call.session.requested, call.session.encrypted) == ("verify-full", None)
    assert (call.session.address, call.session.port) == ("localhost", kafka.tls_port)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_failed_login_is_recorded_with_its_session_facts(recording: Recording, kafka: Server, mechanism: str) -> None:
    wrong = login(kafka, sasl_mechanism=mechanism, sasl_plain_password="canary-wrong", **QUICKLY)
    with pytest.raises(kafka_errors.KafkaError):
        KafkaAdminClient(**wrong)
    call = connects(recording)[0]
    assert isinstance(call.error, kafka_errors.KafkaError)
    assert (call.session.account, call.session.encrypted, call.session.verified) == ("app", True, "full")
    assert call.session.auth_method == {"PLAIN": "clear-password"}.get(mechanism, "scram-sha-256")
    assert "canary" not in repr([each.attributes() for each in recording.calls])


def test_session_facts_match_the_connection(recording: Recording, kafka: Server) -> None:
    admin = KafkaAdminClient(**login(kafka, sasl_mechanism="SCRAM-SHA-256"))
    admin.describe_cluster()
    admin.close()
    (call,) = recording.of("describe_cluster")
    session = call.session
    assert (session.encrypted, session.tls_version, session.verified) == (True, "1.3", "full")
    assert (session.account, session.auth_method) == ("app", "scram-sha-256")
    assert (session.peer_address, session.peer_port) == ("127.0.0.1", kafka.sasl_port)
    assert len(session.certificate_sha256) == 64
    assert session.server_version[0].isdigit()
    assert session.server_id
    first = recording.of("connect")[0]
    assert first.sent > 500
    assert first.received > 1000


def test_plaintext_is_reported_as_unencrypted(recording: Recording, producer: Any, kafka: Server) -> None:
    (session, *_) = [call.session for call in recording.of("connect")]
    assert (session.encrypted, session.requested, session.auth_method) == (False, "disable", "none")


def test_an_unreachable_broker_is_recorded_without_guessed_facts(recording: Recording) -> None:
    with pytest.raises(kafka_errors.KafkaError):
        KafkaAdminClient(bootstrap_servers=["localhost:1"], **QUICKLY)
    assert connects(recording)[0].session.encrypted is None


def test_a_configured_version_is_not_reported_as_negotiated(recording: Recording, kafka: Server) -> None:
    KafkaProducer(bootstrap_servers=kafka.bootstrap, api_version=(2, 6)).close()
    assert {call.session.server_version for call in recording.of("connect")} <= {""}


def test_brokers_are_recorded_when_they_change(
    recording: Recording, kafka: Server, producer: Any, kafka_topic: MakeTopic
) -> None:
    for name in ("a", "b", "c"):
        producer.send(kafka_topic(name), b"x").get(timeout=20)
    calls = [call.facts[names.TOPOLOGY] for call in recording.of("metadata")]
    assert calls.count(f"127.0.0.1:{kafka.port}") == len(calls)
    before = len([call for call in recording.of("metadata") if call.session.address == "127.0.0.1"])
    producer.partitions_for(kafka_topic("d"))
    assert len([call for call in recording.of("metadata") if call.session.address == "127.0.0.1"]) - before <= 1


def test_each_admin_call_is_one_record(
    recording: Recording, kafka: Server, kafka_topic: MakeTopic, kafka_prefix: str
) -> None:
    topic = kafka_topic("made")
    recording.calls.clear()
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    with pytest.raises(kafka_errors.TopicAlreadyExistsError):
        admin.create_topics(new_topics=[NewTopic(topic, num_partitions=1, replication_factor=1)])
    admin.describe_topics([topic])
    admin.close()
    calls = [call.statement for call in recording.calls if call.operation not in ("connect", "metadata")]
    assert calls == ["create_topics ?-made", "describe_topics ?-made"]


def test_commits_are_calls(recording: Recording, kafka: Server, kafka_topic: MakeTopic, kafka_prefix: str) -> None:
    topic = fill_topic(kafka, kafka_topic(), b"x")
    recording.calls.clear()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, group_id=kafka_prefix, auto_offset_reset="earliest",
        enable_auto_commit=False,
    )  # fmt: skip
    assert len(poll_messages(consumer, 1)) == 1
    consumer.commit()
    consumer.commit_async().add_callback(print)
    consumer.close()
    assert [call.error for call in recording.of("commit")] == [None, None]


def test_transactions_are_calls(recording: Recording, kafka: Server, kafka_topic: MakeTopic, kafka_prefix: str) -> None:
    topic = kafka_topic()
    sending = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=kafka_prefix)
    sending.init_transactions()
    for end in (sending.commit_transaction, sending.abort_transaction):
        sending.begin_transaction()
        sending.send(topic, b"x").get(timeout=20)
        end()
    sending.close()
    ends = [
        call.operation for call in recording.calls if call.operation.endswith("transactions") or "_tr" in call.operation
    ]
    assert ends == ["init_transactions", "commit_transaction", "abort_transaction"]


def test_no_value_and_no_secret_is_recorded(recording: Recording, kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic()
    sending = KafkaProducer(**login(kafka))
    sending.send(topic, b"canary-value", b"canary-key", [("canary-name", b"canary-header")]).get(timeout=20)
    sending.close()
    with contextlib.closing(new_consumer(kafka, topic)) as consumer:
        poll_messages(consumer, 1)
    calls = repr([call.attributes() for call in recording.calls])
    assert "canary" not in calls
    assert kafka.password not in calls


def test_the_streams_own_topics_are_never_recorded(recording: Recording, kafka_without_topics: Server) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka_without_topics.bootstrap)
    admin.create_topics([NewTopic(topic, 1, 1) for topic in (names.TOPIC_SPANS, names.TOPIC_CALLS)])
    admin.close()
    sending = KafkaProducer(bootstrap_servers=kafka_without_topics.bootstrap)
    for topic in (names.TOPIC_SPANS, names.TOPIC_CALLS):
        sending.send(topic, b"x").get(timeout=20)
    sending.close()
    with contextlib.closing(new_consumer(kafka_without_topics, names.TOPIC_SPANS)) as consumer:
        assert len(poll_messages(consumer, 1)) == 1
    # (list_topics is the fixture's)
    assert {call.operation for call in recording.calls} - {"list_topics"} == {"connect", "metadata"}


def test_a_client_older_than_the_probe_is_recorded(kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic()
    sending = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    sending.send(topic, b"x").get(timeout=20)
    with watching(KafkaProbe) as recording:
        sending.send(topic, b"x").get(timeout=20)
    sending.send(topic, b"x").get(timeout=20)
    sending.close()
    (call,) = recording.calls
    assert (call.operation, call.session.address, call.session.port) == ("send", "127.0.0.1", kafka.port)
    assert call.session.encrypted is None
