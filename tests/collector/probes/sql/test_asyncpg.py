"""asyncpg against a real PostgreSQL: the facts of sessions and calls are true."""

import asyncio
import io
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from backwatch.collector import names
from backwatch.collector.probes.asyncpg import AsyncpgProbe
from tests.collector.probes.recording import RecordedCall, Recording, watching
from tests.services.authority import Authority
from tests.services.server import Server

PROBES = (AsyncpgProbe,)


def use_connection(url: str, use: Callable[[Any], Coroutine[Any, Any, object]] | None = None, **options: Any) -> object:
    """Return the result of ``use`` on a connection."""

    async def work() -> object:
        connection = await asyncpg.connect(url, **options)
        try:
            return None if use is None else await use(connection)
        finally:
            await connection.close()

    return asyncio.run(work())


def after_connect(recording: Recording) -> list[RecordedCall]:
    assert recording.calls[0].operation == "connect"
    return recording.calls[1:]


def test_a_verified_session_is_recorded(recording: Recording, postgresql: Server) -> None:
    async def version(connection: Any) -> str:
        return connection.get_settings().server_version

    server_version = use_connection(postgresql.tls_url, version)
    (record,) = recording.calls
    session = record.session
    assert (session.encrypted, session.verified, session.requested, session.requested_explicit) == (
        True, "full", "verify-full", True,
    )  # fmt: skip
    assert session.tls_version == "1.3"
    assert session.cipher.startswith("TLS_")
    assert (session.issuer, session.subject) == ("CN=Backwatch test authority", "CN=localhost")
    assert (session.address, session.port) == (postgresql.host, postgresql.port)
    assert (session.peer_address, session.peer_port) == ("127.0.0.1", postgresql.port)
    assert (session.account, session.namespace, session.system) == (postgresql.user, "postgres", "postgresql")
    assert session.server_version == server_version
    assert session.auth_method == "scram-sha-256"
    assert record.sent > 300
    assert record.received > 1000


@pytest.mark.parametrize(
    ("mode", "encrypted", "verified", "explicit"),
    [
        (None, True, "none", False), ("prefer", True, "none", True), ("require", True, "none", True),
        ("disable", False, "", True), ("allow", False, "", True),
    ],
)  # fmt: skip
def test_requested_and_actual_tls_are_both_recorded(
    recording: Recording, postgresql: Server, mode: str | None, encrypted: bool, verified: str, explicit: bool
) -> None:
    use_connection(postgresql.url, ssl=mode)
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit) == (mode or "prefer", explicit)
    assert (session.encrypted, session.verified) == (encrypted, verified)


def test_the_apps_own_tls_context_gives_the_requested_mode(recording: Recording, postgresql: Server) -> None:
    strict = ssl.create_default_context(cafile=postgresql.ca_file)
    lax = ssl.create_default_context()
    lax.check_hostname, lax.verify_mode = False, ssl.CERT_NONE
    use_connection(postgresql.url, ssl=strict)
    use_connection(postgresql.url, ssl=lax)
    record = [(call.session.requested, call.session.verified) for call in recording.calls]
    assert record == [("verify-full", "full"), ("require", "none")]


def test_the_environment_asks_too(recording: Recording, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "prefer")
    use_connection(postgresql.url)
    assert recording.calls[0].session.requested_explicit is True


def test_a_failed_login_is_recorded_with_its_facts(recording: Recording, postgresql: Server) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        use_connection(postgresql.tls_url, password="wrong")
    (record,) = recording.calls
    session = record.session
    assert isinstance(record.error, asyncpg.InvalidPasswordError)
    assert record.facts == {names.STATUS_CODE: "28P01"}
    assert (session.account, session.peer_address) == (postgresql.user, "127.0.0.1")
    assert (session.encrypted, session.verified) == (True, "full")


def test_a_certificate_for_another_name_is_recorded(recording: Recording, postgresql: Server, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(Authority(tmp_path).ca_file))
    with pytest.raises(ssl.SSLCertVerificationError):
        use_connection(postgresql.url, ssl=context)
    (record,) = recording.calls
    assert isinstance(record.error, ssl.SSLCertVerificationError)
    assert (record.session.requested, record.session.encrypted) == ("verify-full", None)


def test_a_dead_port_is_recorded(recording: Recording) -> None:
    with pytest.raises(OSError):
        use_connection("postgresql://stranger@127.0.0.1:1/some")
    (record,) = recording.calls
    assert (record.session.address, record.session.port, record.session.account) == ("127.0.0.1", 1, "stranger")


def test_a_server_that_has_no_tls_is_recorded(recording: Recording) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"N")
        await writer.drain()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionError):
            await asyncpg.connect(f"postgresql://a@127.0.0.1:{port}/b?sslmode=require")
        server.close()

    asyncio.run(work())
    assert recording.calls[0].session.encrypted is False


def test_each_host_is_an_attempt_of_its_own(recording: Recording, postgresql: Server) -> None:
    user, secret = postgresql.user, postgresql.password
    use_connection(f"postgresql://{user}:{secret}@127.0.0.1:1,127.0.0.1:{postgresql.port}/postgres")
    assert [(call.session.port, call.error is None) for call in recording.calls] == [
        (1, False),
        (postgresql.port, True),
    ]


def test_a_unix_socket_is_recorded(recording: Recording, postgresql: Server) -> None:
    parts = urlsplit(postgresql.url)

    async def ask(connection: Any) -> None:
        await connection.fetch("select 1")

    async def work() -> None:
        connection = await asyncpg.connect(
            host=postgresql.socket, port=postgresql.port, user=parts.username, password=parts.password,
            database="postgres",
        )  # fmt: skip
        await ask(connection)
        await connection.close()

    asyncio.run(work())
    session = recording.calls[0].session
    path = f"{postgresql.socket}/.s.PGSQL.{postgresql.port}"
    assert (session.transport, session.address, session.port) == ("unix", path, 0)
    assert (session.encrypted, session.requested_explicit) == (False, False)
    assert (recording.calls[1].sent, recording.calls[1].received) == (-1, -1)


def test_a_cancelled_connect_is_recorded(recording: Recording) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TimeoutError):
            use_connection(f"postgresql://a@127.0.0.1:{silent.getsockname()[1]}/b", timeout=0.3)
    (record,) = recording.calls
    assert isinstance(record.error, (asyncio.CancelledError, TimeoutError))


def test_rows_and_bytes_of_a_statement(recording: Recording, postgresql: Server) -> None:
    async def work(connection: Any) -> None:
        await connection.fetch("select repeat('x', 100) from generate_series(1, $1::int)", 1000)
        await connection.execute("create temporary table t as select 1 as a from generate_series(1, 7)")
        await connection.fetch("update t set a = 2 returning a")
        await connection.execute("update t set a = $1 returning a", 3)
        await connection.execute("delete from t")
        await connection.fetchrow("select generate_series(1, 50)")

    use_connection(postgresql.url, work)
    big, create, fetched, update, delete, call = after_connect(recording)
    assert (big.rows_returned, big.rows_affected) == (1000, -1)
    assert 100_000 < big.received < 130_000
    assert big.sent < 500
    assert create.rows_returned == 7
    assert (fetched.rows_returned, fetched.rows_affected) == (7, -1)
    assert (update.rows_returned, update.rows_affected) == (7, 7)
    assert (delete.rows_returned, delete.rows_affected) == (-1, 7)
    assert call.rows_returned == 1


def test_preparation_is_part_of_the_first_execution(recording: Recording, postgresql: Server) -> None:
    async def work(connection: Any) -> None:
        statement = await connection.prepare("select $1::int")
        for _ in range(3):
            await statement.fetchval(1)
        await statement.executemany([(1,), (2,)])
        async with connection.transaction():
            assert len([row async for row in statement.cursor(5)]) == 1
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.prepare("selec 1")

    use_connection(postgresql.url, work)
    assert [call.sql for call in after_connect(recording)] == [
        *["select $1::int"] * 4, "BEGIN;", "select $1::int", "COMMIT;", "selec 1",
    ]  # fmt: skip
    assert recording.calls[-1].facts == {names.STATUS_CODE: "42601"}


def test_type_lookups_of_the_driver_are_not_app_calls(recording: Recording, postgresql: Server) -> None:
    async def work(connection: Any) -> None:
        await connection.execute("create type pg_temp.mood as enum ('sad', 'ok'); create temporary table m (a mood)")
        await connection.fetch("select a from m")
        await connection.fetch("select a, a from m")

    use_connection(postgresql.url, work)
    assert [call.sql for call in after_connect(recording)[1:]] == ["select a from m", "select a, a from m"]


def test_executemany_and_fetchmany_are_one_call_each(recording: Recording, postgresql: Server) -> None:
    async def work(connection: Any) -> None:
        await connection.execute("create temporary table t (a int)")
        await connection.executemany("insert into t values ($1)", [(number,) for number in range(5)])
        if hasattr(connection, "fetchmany"):
            await connection.fetchmany("insert into t values ($1) returning a", [(number,) for number in range(3)])

    use_connection(postgresql.url, work)
    plain, *returning = recording.find("insert")
    assert (plain.rows_returned, plain.rows_affected) == (-1, -1)
    assert [call.rows_returned for call in returning] in ([3], [])


def test_rows_of_a_cursor_are_recorded_page_by_page(recording: Recording, postgresql: Server) -> None:
    async def work(connection: Any) -> None:
        async with connection.transaction():
            query = "select repeat('x', 1000) from generate_series(1, 120)"
            assert len([row async for row in connection.cursor(query, prefetch=50)]) == 120
            cursor = await connection.cursor(query)
            await cursor.forward(10)
            await cursor.fetch(30)
            await cursor.fetchrow()

    use_connection(postgresql.url, work)
    _, first, second, third, declared, move, fetch, row, _ = after_connect(recording)
    assert [call.rows_returned for call in (first, second, third)] == [50, 50, 20]
    assert second.received > 50_000
    assert declared.rows_returned == -1
    assert (move.operation, move.sql) == ("MOVE", "MOVE")
    assert [(call.operation, call.rows_returned) for call in (fetch, row)] == [("FETCH", 30), ("FETCH", 1)]
    assert {call.sql for call in (first, second, third, declared, fetch, row)} == {first.sql}


def test_copy_in_both_directions(recording: Recording, postgresql: Server) -> None:
    async def work(connection: Any) -> None:
        await connection.execute("create temporary table t (a text)")
        await connection.copy_records_to_table("t", records=[("x" * 1000,)] * 100)
        await connection.copy_to_table("t", source=io.BytesIO(b"y\nz\n"))
        await connection.copy_from_table("t", output=io.BytesIO())
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.copy_from_query("select * from nothing", output=io.BytesIO())

    use_connection(postgresql.url, work)
    records, file, out, failed = recording.of("COPY")
    assert (records.rows_affected, records.rows_returned) == (100, -1)
    assert records.sent > 100_000
    assert file.rows_affected == 2
    assert (out.rows_returned, out.rows_affected) == (102, -1)
    assert out.received > 100_000
    assert failed.facts == {names.STATUS_CODE: "42P01"}


def test_transactions_and_savepoints_are_the_same_statement_each_time(recording: Recording, postgresql: Server) -> None:
    async def work(connection: Any) -> None:
        for _ in range(2):
            async with connection.transaction():
                async with connection.transaction():
                    pass
                with pytest.raises(KeyError):
                    async with connection.transaction():
                        raise KeyError

    use_connection(postgresql.url, work)
    once = ["BEGIN;", "SAVEPOINT", "RELEASE", "SAVEPOINT", "ROLLBACK TO", "COMMIT;"]
    assert [call.sql for call in after_connect(recording)] == once * 2


def test_notices_are_counted_with_the_call_they_came_with(recording: Recording, postgresql: Server) -> None:
    async def work(connection: Any) -> None:
        await connection.execute("do $$ begin raise notice 'a'; raise warning 'b'; end $$")
        await connection.execute("select 1")

    use_connection(postgresql.url, work)
    assert [call.facts for call in after_connect(recording)] == [{names.NOTICES: 2}, {}]


def test_a_notification_with_a_pickle_is_recorded(recording: Recording, postgresql: Server) -> None:
    came = asyncio.Event()

    async def work(connection: Any) -> None:
        await connection.add_listener("news", lambda *_: came.set())
        await connection.execute("select pg_notify('news', $1)", "cos\nsystem\n(S'id'\ntR.")
        await asyncio.wait_for(came.wait(), 30)

    use_connection(postgresql.url, work)
    (record,) = recording.of("NOTIFY")
    assert record.facts == {names.PAYLOAD_FORMAT: "pickle", names.PAYLOAD_GLOBALS: "os.system"}


def test_statements_of_a_pool_are_recorded_once(recording: Recording, postgresql: Server) -> None:
    async def work() -> None:
        async with asyncpg.create_pool(postgresql.tls_url, min_size=1, max_size=1) as pool:
            async with pool.acquire() as connection:
                await connection.fetchval("select 1")
            assert await pool.fetchval("select 2") == 2

    asyncio.run(work())
    assert [(call.operation, call.sql) for call in recording.calls] == [
        ("connect", None), ("", "select 1"), ("RESET", "RESET ALL"), ("", "select 2"), ("RESET", "RESET ALL"),
    ]  # fmt: skip
    assert {call.session for call in recording.calls} == {recording.calls[0].session}


def test_the_apps_own_connection_class_is_observed(recording: Recording, postgresql: Server) -> None:
    class Mine(asyncpg.Connection):  # pyright: ignore[reportUntypedBaseClass,reportMissingTypeArgument]
        async def fetch(self, *args: Any, **kwargs: Any) -> Any:
            return [*await super().fetch(*args, **kwargs), "more"]

    async def work(connection: Any) -> object:
        assert type(connection) is Mine
        return await connection.fetch("select 1")

    assert use_connection(postgresql.url, work, connection_class=Mine) == [(1,), "more"]
    assert recording.find("select 1")[0].rows_returned == 1


def test_a_cancelled_call_is_recorded_and_its_connection_goes_on(recording: Recording, postgresql: Server) -> None:
    async def work(connection: Any) -> object:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.fetch("select pg_sleep(30)"), 0.3)
        return await connection.fetchval("select 3")

    assert use_connection(postgresql.url, work) == 3
    slept, three = after_connect(recording)
    assert isinstance(slept.error, asyncio.CancelledError)
    assert three.rows_returned == 1


def test_a_connection_older_than_the_probe_is_learnt(postgresql: Server) -> None:
    async def work() -> Recording:
        connection = await asyncpg.connect(postgresql.tls_url)
        await connection.fetch("select repeat('x', 10000)")
        with watching(AsyncpgProbe) as recording:
            await connection.fetch("select 1")
        await connection.fetch("select 2")
        await connection.close()
        return recording

    (record,) = asyncio.run(work()).calls
    assert (record.session.verified, record.session.requested_explicit) == ("full", True)
    assert record.received < 1000


def test_statements_are_recorded_without_the_drivers_private_names(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap = AsyncpgProbe.install.__globals__["Patches"].wrap

    def some(self: Any, owner: Any, name: str, make: Any) -> bool:
        return not name.startswith("_") and wrap(self, owner, name, make)

    monkeypatch.setattr(AsyncpgProbe.install.__globals__["Patches"], "wrap", some)
    with watching(AsyncpgProbe) as recording:
        use_connection(postgresql.tls_url, lambda connection: connection.fetch("select 1"))
    (record,) = recording.calls
    assert (record.sql, record.session.verified) == ("select 1", "full")
