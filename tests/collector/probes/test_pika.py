"""pika: one call per message and request, whatever adapter; what the broker says unasked is not lost."""

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
from tests.collector.probes.recording import Recording, Told, watching
from tests.contract.exercises.pika import Bomb, consume, get, parameters
from tests.services.server import Server


@pytest.fixture
def recording(rabbitmq: Server) -> Iterator[Recording]:
    with watching(PikaProbe) as told:
        yield told


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


def arrived(channel: Any, queue: str, count: int) -> None:
    """Waits until so many messages are in the queue; whose it is, only its connection may ask."""
    for _ in range(500):
        if channel.queue_declare(queue, passive=True).method.message_count == count:
            return
        channel.connection.sleep(0.02)


def told(recording: Recording) -> list[str]:
    return [one.operation for one in recording.calls]


def only(found: list[Told]) -> Told:
    assert len(found) == 1, found
    return found[0]


def test_a_connect_tells_everything_of_its_session(recording: Recording, channel: Any, rabbitmq: Server) -> None:
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
    one = only(recording.of("PUBLISH"))
    assert (one.statement, one.facts[names.MESSAGING_DESTINATION]) == ("PUBLISH /test.?", "test.?")
    assert 1000 < one.sent < 1200
    assert one.estimated


def test_what_is_taken_from_a_queue_is_told_with_its_size_and_format(
    recording: Recording, channel: Any, queue: str
) -> None:
    channel.basic_publish("", queue, pickle.dumps(Bomb()) + b" " * 1000)
    arrived(channel, queue, 1)
    assert get(channel, queue)[2] is not None
    assert get(channel, queue)[2] is None
    full, empty = recording.of("GET")
    assert (full.rows_returned, empty.rows_returned) == (1, 0)
    assert full.facts[names.PAYLOAD_FORMAT] == "pickle"
    assert full.facts[names.PAYLOAD_GLOBALS] == "posix.system"
    assert 1000 < full.received < 1300


@pytest.mark.parametrize("way", ["callback", "generator"])
def test_a_delivered_message_is_told_once_with_its_queue(
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
    one = only(recording.of("DELIVER"))
    assert (one.statement, one.facts[names.MESSAGING_DESTINATION], one.rows_returned) == ("DELIVER test.?", "test.?", 1)
    assert 500 < one.received < 900


def test_the_contents_of_a_purge_are_counted(recording: Recording, channel: Any, queue: str) -> None:
    for _ in range(3):
        channel.basic_publish("", queue, b"x")
    arrived(channel, queue, 3)
    channel.queue_purge(queue)
    assert only(recording.of("QUEUE.PURGE")).rows_affected == 3


def test_what_the_broker_refuses_is_an_error_of_that_request(recording: Recording, channel: Any) -> None:
    with pytest.raises(exceptions.ChannelClosedByBroker):
        channel.queue_declare(queue="never.declared", passive=True)
    one = only(recording.of("QUEUE.DECLARE"))
    assert (one.error, one.facts[names.STATUS_CODE]) == ("NOT_FOUND", "404")


def test_a_message_to_an_exchange_that_is_not_there_is_told_when_the_broker_says_so(
    recording: Recording, channel: Any
) -> None:
    channel.basic_publish("never.declared", "key", b"text")
    for _ in range(500):
        if channel.is_closed:
            break
        channel.connection.sleep(0.02)
    assert told(recording) == ["connect", "PUBLISH", "CHANNEL.CLOSE"]
    assert recording.calls[-1].error == "NOT_FOUND"


def test_a_message_that_comes_back_is_told(recording: Recording, channel: Any) -> None:
    channel.confirm_delivery()
    with pytest.raises(exceptions.UnroutableError):
        channel.basic_publish("", "nobody.listens", b"text", mandatory=True)
    back, publish = only(recording.of("RETURN")), only(recording.of("PUBLISH"))
    assert (back.statement, back.error, back.facts[names.NOTICES]) == ("RETURN /nobody.listens", "NO_ROUTE", 1)
    assert type(publish.error).__name__ == "UnroutableError"


def test_a_refused_login_is_told_with_its_account_and_session(recording: Recording, rabbitmq: Server) -> None:
    with pytest.raises(exceptions.AMQPConnectionError):
        pika.BlockingConnection(parameters(rabbitmq, password="guess-17", connection_attempts=1))
    one = only(recording.calls)
    assert one.operation == "connect"
    assert type(one.error).__name__ in ("ProbableAuthenticationError", "ConnectionClosedByBroker")
    assert (one.session.account, one.session.auth_method) == (rabbitmq.user, "clear-password")
    assert (one.session.encrypted, one.session.verified) == (True, "full")
    assert "guess-17" not in repr(recording.calls)


def test_a_certificate_that_nobody_signed_is_told_as_the_error_below(recording: Recording, rabbitmq: Server) -> None:
    given = parameters(rabbitmq, connection_attempts=1)
    given.ssl_options = pika.SSLOptions(ssl.create_default_context(), rabbitmq.host)
    with pytest.raises(ssl.SSLCertVerificationError):
        pika.BlockingConnection(given)
    one = only(recording.calls)
    assert (type(one.error).__name__, one.session.encrypted) == ("SSLCertVerificationError", None)
    assert one.session.requested == "verify-full"


def test_a_port_where_nobody_listens_is_one_failed_connect(recording: Recording) -> None:
    with pytest.raises(exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 1, connection_attempts=2, retry_delay=0))
    one = only(recording.calls)
    assert (one.operation, one.session.port, one.session.encrypted) == ("connect", 1, None)


def test_a_broker_that_blocks_its_publishers_is_a_notice_on_the_next_call(
    recording: Recording, channel: Any, queue: str
) -> None:
    channel.connection._impl._process_frame(frame.Method(0, spec.Connection.Blocked("low on memory")))
    channel.basic_publish("", queue, b"x")
    channel.basic_publish("", queue, b"x")
    first, second = recording.of("PUBLISH")
    assert first.facts[names.NOTICES] == 1
    assert names.NOTICES not in second.facts


def test_a_connection_older_than_the_probe_is_learnt_at_its_next_call(rabbitmq: Server) -> None:
    connection = pika.BlockingConnection(parameters(rabbitmq))
    channel = connection.channel()
    with watching(PikaProbe) as recording:
        channel.basic_publish("", "nobody.listens", b"x")
    connection.close()
    one = only(recording.calls)
    assert (one.session.encrypted, one.session.account) == (True, rabbitmq.user)
    assert one.session.server_id.startswith("backwatch@")


def test_the_asyncio_adapter_is_told_alike(recording: Recording, rabbitmq: Server) -> None:
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
    assert sorted(told(recording)) == ["CONSUME", "DELIVER", "PUBLISH", "QUEUE.DECLARE", "connect"]
    assert only(recording.of("connect")).session.verified == "full"


def test_a_message_that_is_given_back_is_counted_each_time_it_comes_again(
    recording: Recording, channel: Any, queue: str
) -> None:
    channel.basic_publish("", queue, b"a broken order")
    _give_back(channel, queue, 4)
    assert [one.facts.get(names.REDELIVERED) for one in recording.of("GET") if one.rows_returned] == [None, 1, 2, 3]
    assert "broken order" not in repr([one.attributes() for one in recording.calls])


def test_a_quorum_queue_counts_by_itself(recording: Recording, channel: Any) -> None:
    name = f"test.{secrets.token_hex(8)}"
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", name, b"a broken order")
    headers: list[dict[str, Any]] = [one.headers or {} for one in _give_back(channel, name, 3)]
    channel.queue_delete(name)
    assert [int(one["x-delivery-count"]) for one in headers[1:]] == [1, 2]
    told = [one for one in recording.of("GET") if one.rows_returned]
    assert [one.facts.get(names.REDELIVERED) for one in told] == [None, 1, 2]
    assert all(type(one.facts.get(names.REDELIVERED, 0)) is int for one in told)


def _give_back(channel: Any, queue: str, times: int) -> list[Any]:
    """Takes the one message that often, and puts it back each time: its properties."""
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
