"""aio-pika and aiormq: one call per message and request, with either library."""

import asyncio
import pickle
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
import aiormq
import pytest
from aiormq.exceptions import AMQPError
from pamqp import commands

from backwatch.collector import names
from backwatch.collector.probes.aiormq import AiormqProbe
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.aiormq import url
from tests.contract.exercises.pika import Bomb
from tests.services.server import Server

PROBES = (AiormqProbe,)


def run(server: Server, work: Callable[[Any, Any], Awaitable[Any]], *, tls: bool = True) -> Any:
    """Run ``work(connection, channel)`` of aio-pika."""

    async def inner() -> Any:
        connection = await aio_pika.connect(url(server, tls=tls))
        async with connection:
            return await work(connection, await connection.channel())

    return asyncio.run(inner())


def test_a_connect_reports_all_session_facts(recording: Recording, rabbitmq: Server) -> None:
    async def nothing(connection: Any, channel: Any) -> None:
        return None

    run(rabbitmq, nothing)
    (connect,) = recording.calls
    session = connect.session
    assert (session.system, session.namespace, session.port) == ("rabbitmq", "/", rabbitmq.tls_port)
    assert (session.encrypted, session.verified, session.requested) == (True, "full", "verify-full")
    assert (session.account, session.auth_method) == (rabbitmq.user, "clear-password")
    assert session.server_version.startswith("RabbitMQ ")
    assert session.server_id.startswith("backwatch@")
    assert connect.received > 1000
    assert not connect.estimated
    assert rabbitmq.password not in repr(recording.calls)


def test_each_message_and_request_of_aio_pika_is_recorded_once(recording: Recording, rabbitmq: Server) -> None:
    async def work(connection: Any, channel: Any) -> None:
        queue = await channel.declare_queue(f"test.{secrets.token_hex(8)}", exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(pickle.dumps(Bomb())), queue.name)
        await channel.default_exchange.publish(aio_pika.Message(b"y" * 500), queue.name)
        await (await queue.get(timeout=10)).ack()
        async with queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                break

    run(rabbitmq, work)
    assert [call.operation for call in recording.calls][:5] == ["connect", "QUEUE.DECLARE", "PUBLISH", "PUBLISH", "GET"]
    assert sorted(call.operation for call in recording.calls[5:]) == ["CONSUME", "DELIVER"]
    publish, get, deliver = recording.of("PUBLISH")[1], recording.of("GET")[0], recording.of("DELIVER")[0]
    assert publish.statement == "PUBLISH /test.?"
    assert 500 < publish.sent < 700
    assert get.facts[names.PAYLOAD_GLOBALS] == "posix.system"
    assert (deliver.statement, deliver.rows_returned) == ("DELIVER test.?", 1)
    assert 500 < deliver.received < 700
    assert all(call.estimated for call in (publish, get, deliver))


def test_an_empty_queue_returns_no_row(recording: Recording, rabbitmq: Server) -> None:
    async def work(connection: Any, channel: Any) -> object:
        queue = await channel.declare_queue(exclusive=True)
        return await queue.get(fail=False, timeout=10)

    assert run(rabbitmq, work) is None
    (get,) = recording.of("GET")
    assert (get.rows_returned, get.statement) == (0, "GET amq.gen-?")


def test_a_refusal_is_an_error_of_that_request_alone(recording: Recording, rabbitmq: Server) -> None:
    async def work(connection: Any, channel: Any) -> None:
        with pytest.raises(AMQPError):
            await channel.declare_queue("never.declared", passive=True)

    run(rabbitmq, work)
    assert [call.operation for call in recording.calls] == ["connect", "QUEUE.DECLARE"]
    declare = recording.calls[-1]
    assert (type(declare.error).__name__, declare.facts[names.STATUS_CODE]) == ("ChannelNotFoundEntity", "404")


def test_a_channel_closed_without_pending_requests_is_recorded(recording: Recording, rabbitmq: Server) -> None:
    async def inner() -> None:
        connection = await aiormq.connect(url(rabbitmq, tls=False))
        channel = await connection.channel(publisher_confirms=False)
        await channel.basic_publish(b"x", exchange="never.declared")
        for _ in range(500):
            if channel.is_closed:
                break
            await asyncio.sleep(0.02)
        await connection.close()

    asyncio.run(inner())
    assert [call.operation for call in recording.calls] == ["connect", "PUBLISH", "CHANNEL.CLOSE"]
    assert recording.calls[-1].error == "NOT_FOUND"


def test_a_returned_message_is_recorded(recording: Recording, rabbitmq: Server) -> None:
    async def work(connection: Any, channel: Any) -> None:
        with pytest.raises(AMQPError):
            await (await connection.channel(on_return_raises=True)).default_exchange.publish(
                aio_pika.Message(b"x"), "unrouted.key"
            )

    run(rabbitmq, work)
    (back,) = recording.of("RETURN")
    assert (back.statement, back.error, back.facts[names.STATUS_CODE]) == ("RETURN /unrouted.key", "NO_ROUTE", "312")


def test_a_refused_login_is_recorded_with_account_and_session(recording: Recording, rabbitmq: Server) -> None:
    async def inner() -> None:
        await aio_pika.connect(url(rabbitmq, password="guess-17"))

    with pytest.raises(AMQPError):
        asyncio.run(inner())
    (call,) = recording.calls
    assert (call.operation, type(call.error).__name__) == ("connect", "ProbableAuthenticationError")
    assert (call.session.account, call.session.auth_method) == (rabbitmq.user, "clear-password")
    assert (call.session.encrypted, call.session.verified) == (True, "full")
    assert "guess-17" not in repr(recording.calls)


def test_a_blocking_broker_is_a_notice_on_the_next_call(recording: Recording, rabbitmq: Server) -> None:
    async def inner() -> None:
        connection: Any = await aiormq.connect(url(rabbitmq, tls=False))
        channel = await connection.channel()
        if not hasattr(connection, "_Connection__handle_connection_blocked"):
            pytest.skip("this version does not look at it")
        blocked = commands.Connection.Blocked(reason="low on memory")
        await connection._Connection__handle_connection_blocked(blocked)
        await connection._Connection__handle_connection_unblocked(commands.Connection.Unblocked())
        await channel.queue_declare(exclusive=True)
        await connection.close()

    asyncio.run(inner())
    assert recording.of("QUEUE.DECLARE")[0].facts[names.NOTICES] == 2


def test_a_connection_older_than_the_probe_has_its_known_facts(rabbitmq: Server) -> None:
    async def work(connection: Any, channel: Any) -> Recording:
        with watching(AiormqProbe) as recording:
            await channel.default_exchange.publish(aio_pika.Message(b"x"), "unrouted.key", mandatory=False)
        return recording

    (call,) = run(rabbitmq, work).of("PUBLISH")
    assert (call.session.account, call.session.encrypted) == (rabbitmq.user, None)
    assert call.session.server_id.startswith("backwatch@")


def test_concurrent_publishers_on_one_channel_have_separate_records(recording: Recording, rabbitmq: Server) -> None:
    async def work(connection: Any, channel: Any) -> None:
        await asyncio.gather(
            *(channel.default_exchange.publish(aio_pika.Message(b"z" * 100), f"unrouted.{word}", mandatory=False)
              for word in ("one", "two", "three"))
        )  # fmt: skip

    run(rabbitmq, work)
    assert sorted(call.statement for call in recording.of("PUBLISH")) == [
        "PUBLISH /unrouted.one", "PUBLISH /unrouted.three", "PUBLISH /unrouted.two",
    ]  # fmt: skip
