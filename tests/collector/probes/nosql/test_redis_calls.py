"""redis-py, sync and asyncio: the call that a reply belongs to, and the replies of a hostile Redis."""

import asyncio
import pickle
import threading
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.connection as redis_connection
from opentelemetry.instrumentation.redis import RedisInstrumentor
from redis.backoff import NoBackoff
from redis.retry import Retry

from backwatch.collector import names
from backwatch.collector.probes.redis import RedisProbe
from tests.collector.probes.nosql.conftest import NO_RETRY, NO_RETRY_ASYNC, operations
from tests.collector.probes.recording import RecordedCall, Recording, watching
from tests.contract.exercises.redis import MOVED, Bomb
from tests.services.server import Server

PROBES = (RedisProbe,)


def test_no_argument_is_recorded(recording: Recording, plain: redis.Redis, redis_prefix: str) -> None:
    plain.set(f"{redis_prefix}key", "secret", ex=60)
    plain.config_get("requirepass")
    calls = [call.statement for call in recording.calls]
    assert calls[-1] == "CONFIG GET requirepass"
    assert "secret" not in str(calls)
    assert redis_prefix not in str(calls)


def test_a_pickle_bomb_is_named_and_never_loaded(recording: Recording, plain: redis.Redis, redis_prefix: str) -> None:
    bomb = pickle.dumps(Bomb())
    plain.hset(f"{redis_prefix}hash", "field", bomb)
    assert plain.hget(f"{redis_prefix}hash", "field") == bomb
    assert plain.hgetall(f"{redis_prefix}hash") == {b"field": bomb}
    for call in recording.calls[-2:]:
        assert call.facts == {names.PAYLOAD_FORMAT: "pickle", names.PAYLOAD_GLOBALS: "posix.system"}


@pytest.mark.parametrize("transaction", [True, False])
def test_a_pipeline_of_any_length_is_one_call(
    recording: Recording, plain: redis.Redis, redis_prefix: str, *, transaction: bool
) -> None:
    for count in (2, 50):
        with plain.pipeline(transaction=transaction) as pipeline:
            for number in range(count):
                pipeline.set(f"{redis_prefix}{number}", pickle.dumps(Bomb()))
            pipeline.get(f"{redis_prefix}0")
            assert len(pipeline.execute()) == count + 1
    _, short, long = recording.calls
    assert short.operation == ("MULTI" if transaction else "PIPELINE")
    assert short.statement == long.statement
    assert (short.statement.count("SET"), short.statement.count("GET")) == (1, 1)
    assert long.facts[names.PAYLOAD_GLOBALS] == "posix.system"
    assert long.sent > short.sent


def test_a_dangerous_command_deep_in_a_pipeline_is_reported(
    recording: Recording, plain: redis.Redis, redis_prefix: str
) -> None:
    with plain.pipeline(transaction=False) as pipeline:
        for number in range(500):
            pipeline.set(f"{redis_prefix}{number}", 1)
        pipeline.execute_command("CONFIG", "SET", "maxmemory", "0")
        pipeline.delete(f"{redis_prefix}0")
        pipeline.execute()
    assert "CONFIG SET maxmemory ?" in recording.calls[-1].statement


def test_an_error_inside_a_pipeline_is_reported(recording: Recording, plain: redis.Redis, redis_prefix: str) -> None:
    plain.set(f"{redis_prefix}a", 1)
    for transaction in (True, False):
        with plain.pipeline(transaction=transaction) as pipeline:
            pipeline.lpush(f"{redis_prefix}a", 1)
            pipeline.get(f"{redis_prefix}a")
            with pytest.raises(redis.ResponseError):
                pipeline.execute()
        assert type(recording.calls[-1].error).__name__ == "ResponseError"
    plain.get(f"{redis_prefix}a")
    assert recording.calls[-1].operation == "GET"


def test_an_aborted_transaction_is_recorded(recording: Recording, plain: redis.Redis, redis_prefix: str) -> None:
    with plain.pipeline() as pipeline:
        pipeline.watch(f"{redis_prefix}a")
        plain.set(f"{redis_prefix}a", 2)
        pipeline.multi()
        pipeline.set(f"{redis_prefix}a", 3)
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert [call for call in operations(recording) if call != "connect"][:3] == ["WATCH", "SET", "MULTI"]


def test_moved_and_ask_report_their_redirect_target(recording: Recording, plain: redis.Redis) -> None:
    for script, target in (
        (MOVED, "10.0.0.7:6381"),
        (MOVED.replace("MOVED", "ASK").replace("10.0.0.7", "::1"), "[::1]:6381"),
    ):
        with pytest.raises(redis.ResponseError):
            plain.eval(script, 0)
        assert recording.calls[-1].facts[names.REDIRECT_TARGET] == target


def test_an_error_has_its_class_and_the_servers_code(
    recording: Recording, plain: redis.Redis, redis_prefix: str
) -> None:
    plain.set(f"{redis_prefix}a", 1)
    with pytest.raises(redis.ResponseError):
        plain.lpush(f"{redis_prefix}a", 1)
    call = recording.calls[-1]
    assert (type(call.error).__name__, call.facts[names.STATUS_CODE]) == ("ResponseError", "WRONGTYPE")


def test_members_of_a_reply_are_counted(recording: Recording, plain: redis.Redis, redis_prefix: str) -> None:
    plain.rpush(f"{redis_prefix}list", *range(30))
    assert len(plain.lrange(f"{redis_prefix}list", 0, -1)) == 30
    assert recording.calls[-1].rows_returned == 30
    assert plain.get(f"{redis_prefix}none") is None
    assert recording.calls[-1].rows_returned == -1
    assert list(plain.scan_iter(f"{redis_prefix}*", count=1_000_000)) == [f"{redis_prefix}list".encode()]
    assert recording.of("SCAN")[-1].rows_returned == 1


def test_messages_of_a_subscription_are_calls_and_waits_are_not(
    recording: Recording, plain: redis.Redis, redis_prefix: str
) -> None:
    with plain.pubsub() as subscription:
        subscription.subscribe(f"{redis_prefix}one", f"{redis_prefix}two")
        assert [(subscription.get_message(timeout=5) or {})["data"] for _ in range(2)] == [1, 2]
        assert subscription.get_message(timeout=0.02) is None
        plain.publish(f"{redis_prefix}one", pickle.dumps(Bomb()))
        assert (subscription.get_message(timeout=5) or {})["type"] == "message"
        subscription.unsubscribe()
    (call,) = recording.of("message")
    assert call.facts[names.PAYLOAD_GLOBALS] == "posix.system"
    assert [each for each in operations(recording) if each != "connect"][:3] == ["SUBSCRIBE", "PUBLISH", "message"]


def test_another_database_and_another_account_are_another_session(
    recording: Recording, redis_server: Server, redis_prefix: str
) -> None:
    pool = redis.ConnectionPool(host=redis_server.host, port=redis_server.port)
    with redis.Redis(connection_pool=pool, single_connection_client=True) as client:
        client.get(f"{redis_prefix}a")
        client.execute_command("SELECT", 5)
        client.execute_command("AUTH", redis_server.user, redis_server.password)
        client.get(f"{redis_prefix}a")
        client.info()
        client.ping()
    first, *_, last = [call.session for call in recording.calls]
    assert (first.namespace, first.account, first.server_id) == ("0", "", "")
    assert (last.namespace, last.account, last.auth_method) == ("5", "app", "clear-password")
    assert len(last.server_id) == 40
    assert recording.of("AUTH")[0].statement == "AUTH ?"


def test_the_drivers_own_health_check_does_not_shift_replies(
    recording: Recording, redis_server: Server, redis_prefix: str
) -> None:
    with redis.Redis(host=redis_server.host, port=redis_server.port, health_check_interval=1e-9) as client:  # type: ignore[arg-type]
        client.set(f"{redis_prefix}a", pickle.dumps(Bomb()))
        client.get(f"{redis_prefix}a")
        with client.pipeline() as pipeline:
            pipeline.get(f"{redis_prefix}a")
            pipeline.execute()
    with_bomb = [call.operation for call in recording.calls if call.facts]
    assert with_bomb == ["GET", "MULTI"]
    assert "PING" in operations(recording)


def test_a_connection_closed_by_the_server_is_recorded_and_reopened(
    recording: Recording, redis_server: Server, plain: redis.Redis, redis_prefix: str
) -> None:
    with redis.Redis(
        host=redis_server.host, port=redis_server.port, client_name=redis_prefix, retry=Retry(NoBackoff(), 1)
    ) as client:
        client.ping()
        victim = next(client for client in plain.client_list() if client["name"] == redis_prefix)
        plain.client_kill(victim["addr"])
        assert client.ping()
    mine = [call for call in recording.calls if call.operation in ("connect", "PING")]
    assert "connect" in [call.operation for call in mine[2:]]
    assert mine[-1].error is None


def test_a_timeout_is_recorded_and_its_late_reply_ignored(
    recording: Recording, redis_server: Server, redis_prefix: str
) -> None:
    with redis.Redis(host=redis_server.host, port=redis_server.port, socket_timeout=1, **NO_RETRY) as client:
        with pytest.raises(redis.TimeoutError):
            client.blpop([f"{redis_prefix}none"], timeout=3)
        assert client.ping()
    kinds = [(call.operation, type(call.error).__name__) for call in recording.calls]
    assert kinds == [("connect", "NoneType"), ("BLPOP", "TimeoutError"), ("connect", "NoneType"), ("PING", "NoneType")]


def test_threads_share_a_pool_without_mixing_replies(
    recording: Recording, plain: redis.Redis, redis_prefix: str
) -> None:
    def work(name: str) -> None:
        for _ in range(50):
            plain.set(f"{redis_prefix}{name}", name)
            assert plain.get(f"{redis_prefix}{name}") == name.encode()

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(recording.of("SET")), len(recording.of("GET"))) == (200, 200)
    assert all(call.error is None for call in recording.calls)


def test_the_contrib_instrumentation_and_this_probe_work_together(recording: Recording, plain: redis.Redis) -> None:
    contrib = RedisInstrumentor()
    contrib.instrument()
    try:
        assert plain.ping()
        assert recording.calls[-1].operation == "PING"
    finally:
        contrib.uninstrument()


def test_a_later_wrapper_of_another_tool_survives_removal(plain: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    with watching(RedisProbe) as recording:
        below: Any = redis_connection.AbstractConnection.send_command

        def over(connection: Any, *command: Any, **options: Any) -> Any:
            seen.append(command[0])
            return below(connection, *command, **options)

        monkeypatch.setattr(redis_connection.AbstractConnection, "send_command", over)
    assert plain.ping()
    assert "PING" in seen
    assert recording.calls == []


def find_calls(recording: Recording, *wanted: str) -> list[RecordedCall]:
    return [call for call in recording.calls if call.operation in wanted]


async def _check_asyncio(recording: Recording, redis_server: Server, redis_prefix: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_server.tls_url) as client:
        await client.set(f"{redis_prefix}a", pickle.dumps(Bomb()))
        await asyncio.gather(*(client.get(f"{redis_prefix}a") for _ in range(5)))
        async with client.pipeline() as pipeline:
            pipeline.get(f"{redis_prefix}a")
            pipeline.set(f"{redis_prefix}a", 1)
            await pipeline.execute()
        async with client.pubsub() as subscription:
            await subscription.subscribe(f"{redis_prefix}channel")
            assert (await subscription.get_message(timeout=5) or {})["type"] == "subscribe"
            assert await subscription.get_message(timeout=0.02) is None
            await client.publish(f"{redis_prefix}channel", "hello")
            assert (await subscription.get_message(timeout=5) or {})["data"] == b"hello"
    session = recording.calls[0].session
    assert (session.encrypted, session.verified, session.account) == (True, "full", "app")
    assert session.server_version[0].isdigit()
    assert [call.facts.get(names.PAYLOAD_GLOBALS) for call in find_calls(recording, "GET", "MULTI")] == [
        "posix.system"
    ] * 6
    assert len(recording.of("message")) == 1
    assert all(0 < call.received < 500 for call in find_calls(recording, "GET"))


def test_asyncio_has_the_same_records(recording: Recording, redis_server: Server, redis_prefix: str) -> None:
    asyncio.run(_check_asyncio(recording, redis_server, redis_prefix))


async def _a_cancelled_call_is_recorded(recording: Recording, redis_server: Server, redis_prefix: str) -> None:
    async with redis.asyncio.Redis(host=redis_server.host, port=redis_server.port) as client:
        waiting = asyncio.ensure_future(client.blpop([f"{redis_prefix}none"], timeout=5))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await client.ping()
    (call,) = recording.of("BLPOP")
    assert type(call.error).__name__ == "CancelledError"
    assert recording.of("PING")[-1].error is None


def test_a_cancelled_call_is_recorded(recording: Recording, redis_server: Server, redis_prefix: str) -> None:
    asyncio.run(_a_cancelled_call_is_recorded(recording, redis_server, redis_prefix))


async def _failures_of_asyncio_are_calls(recording: Recording, redis_server: Server) -> None:
    failing: list[dict[str, Any]] = [
        {"port": redis_server.tls_port, "ssl": True},
        {"port": redis_server.port, "username": "ann", "password": "no"},
    ]
    for options in failing:
        client = redis.asyncio.Redis(host=redis_server.host, **NO_RETRY_ASYNC, **options)
        with pytest.raises(redis.ConnectionError):
            await client.ping()
        await client.aclose()
    errors = [(call.operation, type(call.error).__name__) for call in recording.calls]
    assert errors == [("connect", "SSLCertVerificationError"), ("connect", "AuthenticationError")]


def test_failures_of_asyncio_are_calls(recording: Recording, redis_server: Server) -> None:
    asyncio.run(_failures_of_asyncio_are_calls(recording, redis_server))
