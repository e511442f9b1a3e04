"""pika: one call per message and request with every adapter; notices of the broker are not lost."""

import asyncio
import pickle
import secrets
import ssl
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from pika import exceptions, frame, spec
from pika.adapters.asyncio_connection import AsyncioConnection

from backwatch.collector import names
from backwatch.collector.probes.pika import PikaProbe
from tests.collector.probes.recording import RecordedCall, Recording, watching
from tests.contract.exercises.pika import Bomb, consume, get, parameters
from tests.services.server import Server

PROBES = (PikaProbe,)


@pytest.fixture
def channel(recording: Recording, rabbitmq: Server) -> Iterator[Any]:
    connection = pika.BlockingConnection(parameters(rabbitmq))
    yield connection.channel()
    if connection.is_open:
        connection.close()


@pytest.fixture
def queue(channel: Any) -> str:
    name = f"test.{secrets.token_hex(8)}"
    channel.queue_declare(queue=name, exclusive=True)
    return name


def await_messages(channel: Any, queue: str, count: int) -> None:
    """Wait until the queue has so many messages. Only the connection that owns it may query it."""
    for _ in range(500):
        if channel.queue_declare(queue, passive=True).method.message_count == count:
            return
        channel.connection.sleep(0.02)


def operations_of(recording: Recording) -> list[str]:
    return [call.operation for call in recording.calls]


def only(found: list[RecordedCall]) -> RecordedCall:
    assert len(found) == 1, found
    return found[0]


def test_a_connect_reports_all_session_facts(recording: Recording, channel: Any, rabbitmq: Server) -> None:
    connect = only(recording.of("connect"))
    session = connect.session
    assert (session.system, session.namespace, session.address, session.port) == (
        "rabbitmq", "/", rabbitmq.host, rabbitmq.tls_port,
    )  # fmt: skip
    assert (session.encrypted, session.verified, session.requested) == (True, "full", "verify-full")
    assert (session.account, session.auth_method) == (rabbitmq.user, "clear-password")
    assert session.server_version.startswith("RabbitMQ 3.") or session.server_version.startswith("RabbitMQ 4.")
    assert session.server_id.startswith("backwatch@")
    assert len(session.certificate_sha256) == 64
    assert connect.received > 1000
    assert not connect.estimated
    assert rabbitmq.password not in repr(recording.calls)


def test_a_message_is_published_once(recording: Recording, channel: Any, queue: str) -> None:
    channel.basic_publish("", queue, b"x" * 1000)
    call = only(recording.of("PUBLISH"))
    assert (call.statement, call.facts[names.MESSAGING_DESTINATION]) == ("PUBLISH /test.?", "test.?")
    assert 1000 < call.sent < 1200
    assert call.estimated


def test_a_fetched_message_is_recorded_with_size_and_format(recording: Recording, channel: Any, queue: str) -> None:
    channel.basic_publish("", queue, pickle.dumps(Bomb()) + b" " * 1000)
    await_messages(channel, queue, 1)
    assert get(channel, queue)[2] is not None
    assert get(channel, queue)[2] is None
    full, empty = recording.of("GET")
    assert (full.rows_returned, empty.rows_returned) == (1, 0)
    assert full.facts[names.PAYLOAD_FORMAT] == "pickle"
    assert full.facts[names.PAYLOAD_GLOBALS] == "posix.system"
    assert 1000 < full.received < 1300


@pytest.mark.parametrize("way", ["callback", "generator"])
def test_a_delivered_message_is_recorded_once_with_its_queue(
    recording: Recording, channel: Any, queue: str, way: str
) -> None:
    channel.basic_publish("", queue, b"y" * 500)
    if way == "callback":
        consume(channel, queue, lambda channel, _m, _p, _b: channel.stop_consuming())
        channel.start_consuming()
    else:
        for _ in channel.consume(queue):
            break
        channel.cancel()
    call = only(recording.of("DELIVER"))
    assert (call.statement, call.facts[names.MESSAGING_DESTINATION], call.rows_returned) == (
        "DELIVER test.?",
        "test.?",
        1,
    )
    assert 500 < call.received < 900


def test_the_contents_of_a_purge_are_counted(recording: Recording, channel: Any, queue: str) -> None:
    for _ in range(3):
        channel.basic_publish("", queue, b"x")
    await_messages(channel, queue, 3)
    channel.queue_purge(queue)
    assert only(recording.of("QUEUE.PURGE")).rows_affected == 3


def test_a_refusal_is_an_error_of_that_request(recording: Recording, channel: Any) -> None:
    with pytest.raises(exceptions.ChannelClosedByBroker):
        channel.queue_declare(queue="never.declared", passive=True)
    call = only(recording.of("QUEUE.DECLARE"))
    assert (call.error, call.facts[names.STATUS_CODE]) == ("NOT_FOUND", "404")


def test_a_publish_to_a_missing_exchange_is_recorded_when_refused(recording: Recording, channel: Any) -> None:
    channel.basic_publish("never.declared", "key", b"text")
    for _ in range(500):
        if channel.is_closed:
            break
        channel.connection.sleep(0.02)
    assert operations_of(recording) == ["connect", "PUBLISH", "CHANNEL.CLOSE"]
    assert recording.calls[-1].error == "NOT_FOUND"


def test_a_returned_message_is_recorded(recording: Recording, channel: Any) -> None:
    channel.confirm_delivery()
    with pytest.raises(exceptions.UnroutableError):
        channel.basic_publish("", "unrouted.key", b"text", mandatory=True)
    back, publish = only(recording.of("RETURN")), only(recording.of("PUBLISH"))
    assert (back.statement, back.error, back.facts[names.NOTICES]) == ("RETURN /unrouted.key", "NO_ROUTE", 1)
    assert type(publish.error).__name__ == "UnroutableError"


def test_a_refused_login_is_recorded_with_account_and_session(recording: Recording, rabbitmq: Server) -> None:
    with pytest.raises(exceptions.AMQPConnectionError):
        pika.BlockingConnection(parameters(rabbitmq, password="guess-17", connection_attempts=1))
    call = only(recording.calls)
    assert call.operation == "connect"
    assert type(call.error).__name__ in ("ProbableAuthenticationError", "ConnectionClosedByBroker")
    assert (call.session.account, call.session.auth_method) == (rabbitmq.user, "clear-password")
    assert (call.session.encrypted, call.session.verified) == (True, "full")
    assert "guess-17" not in repr(recording.calls)


def test_an_untrusted_certificate_is_recorded_as_its_root_error(recording: Recording, rabbitmq: Server) -> None:
    given = parameters(rabbitmq, connection_attempts=1)
    given.ssl_options = pika.SSLOptions(ssl.create_default_context(), rabbitmq.host)
    with pytest.raises(ssl.SSLCertVerificationError):
        pika.BlockingConnection(given)
    call = only(recording.calls)
    assert (type(call.error).__name__, call.session.encrypted) == ("SSLCertVerificationError", None)
    assert call.session.requested == "verify-full"


def test_a_closed_port_is_one_failed_connect(recording: Recording) -> None:
    with pytest.raises(exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 1, connection_attempts=2, retry_delay=0))
    call = only(recording.calls)
    assert (call.operation, call.session.port, call.session.encrypted) == ("connect", 1, None)


def test_a_blocking_broker_is_a_notice_on_the_next_call(recording: Recording, channel: Any, queue: str) -> None:
    channel.connection._impl._process_frame(frame.Method(0, spec.Connection.Blocked("low on memory")))
    channel.basic_publish("", queue, b"x")
    channel.basic_publish("", queue, b"x")
    first, second = recording.of("PUBLISH")
    assert first.facts[names.NOTICES] == 1
    assert names.NOTICES not in second.facts


def test_a_connection_older_than_the_probe_is_read_at_its_next_call(rabbitmq: Server) -> None:
    connection = pika.BlockingConnection(parameters(rabbitmq))
    channel = connection.channel()
    with watching(PikaProbe) as recording:
        channel.basic_publish("", "unrouted.key", b"x")
    connection.close()
    call = only(recording.calls)
    assert (call.session.encrypted, call.session.account) == (True, rabbitmq.user)
    assert call.session.server_id.startswith("backwatch@")


def test_the_asyncio_adapter_has_the_same_records(recording: Recording, rabbitmq: Server) -> None:
    async def run() -> bytes:
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        name = f"test.{secrets.token_hex(8)}"

        def declared(channel: Any, _frame: Any) -> None:
            channel.basic_consume(name, lambda _c, _m, _p, body: done.set_result(body), auto_ack=True)
            channel.basic_publish("", name, b"hello")

        def ready(channel: Any) -> None:
            channel.queue_declare(name, exclusive=True, callback=lambda frame: declared(channel, frame))

        connection = AsyncioConnection(
            parameters(rabbitmq), on_open_callback=lambda connection: connection.channel(on_open_callback=ready)
        )
        body = await asyncio.wait_for(done, 30)
        connection.close()
        await asyncio.sleep(0.2)
        return body

    assert asyncio.run(run()) == b"hello"
    assert sorted(operations_of(recording)) == ["CONSUME", "DELIVER", "PUBLISH", "QUEUE.DECLARE", "connect"]
    assert only(recording.of("connect")).session.verified == "full"


def test_each_redelivery_of_a_rejected_message_is_counted(recording: Recording, channel: Any, queue: str) -> None:
    channel.basic_publish("", queue, b"a broken order")
    _give_back(channel, queue, 4)
    assert [call.facts.get(names.REDELIVERED) for call in recording.of("GET") if call.rows_returned] == [None, 1, 2, 3]
    assert "broken order" not in repr([call.attributes() for call in recording.calls])


def test_a_quorum_queue_counts_redeliveries_itself(recording: Recording, channel: Any) -> None:
    name = f"test.{secrets.token_hex(8)}"
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", name, b"a broken order")
    headers: list[dict[str, Any]] = [properties.headers or {} for properties in _give_back(channel, name, 3)]
    channel.queue_delete(name)
    assert [int(header["x-delivery-count"]) for header in headers[1:]] == [1, 2]
    calls = [call for call in recording.of("GET") if call.rows_returned]
    assert [call.facts.get(names.REDELIVERED) for call in calls] == [None, 1, 2]
    assert all(type(call.facts.get(names.REDELIVERED, 0)) is int for call in calls)


def _give_back(channel: Any, queue: str, times: int) -> list[Any]:
    """Fetch the message that often, and reject it each time; return its properties."""
    found: list[Any] = []
    for _ in range(500):
        method, properties, _ = channel.basic_get(queue)
        if method is None:
            channel.connection.sleep(0.02)
            continue
        found.append(properties)
        channel.basic_nack(method.delivery_tag, requeue=True)
        if len(found) == times:
            break
    return found
