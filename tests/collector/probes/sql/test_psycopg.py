"""psycopg against a real PostgreSQL: the facts of sessions and calls are true."""

import asyncio
import contextlib
import gc
import hashlib
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography import x509
from psycopg import rows, sql

from backwatch.collector import names
from backwatch.collector.probes.psycopg import PsycopgProbe
from tests.collector.probes.recording import Recording, watching
from tests.services.authority import Authority
from tests.services.process import ROOT
from tests.services.server import Server


@pytest.fixture
def recording(postgresql: Server) -> Iterator[Recording]:
    with watching(PsycopgProbe) as recording:
        yield recording


def test_a_verified_session_is_recorded(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.tls_url) as connection:
        version = connection.info.parameter_status("server_version")
    record = recording.calls[0]
    session = record.session
    assert record.operation == "connect"
    assert (session.encrypted, session.verified, session.requested, session.requested_explicit) == (
        True, "full", "verify-full", True,
    )  # fmt: skip
    assert session.tls_version == "1.3"
    assert session.cipher.startswith("TLS_")
    assert (session.address, session.port) == (postgresql.host, postgresql.port)
    assert (session.peer_address, session.peer_port) == ("127.0.0.1", postgresql.port)
    assert (session.account, session.namespace, session.system) == (postgresql.user, "postgres", "postgresql")
    assert session.server_version == version
    assert session.auth_method == "used-password"
    assert record.sent > 300
    assert record.received > 1000


def test_the_recorded_certificate_is_the_one_served(recording: Recording, postgresql: Server) -> None:
    psycopg.connect(postgresql.tls_url).close()
    session = recording.calls[0].session
    der = _certificate_of(postgresql)
    certificate = x509.load_der_x509_certificate(der)
    assert session.certificate_sha256 == hashlib.sha256(der).hexdigest().upper()
    assert session.not_after == certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert session.issuer == "CN=Backwatch test authority"
    assert session.subject == "CN=localhost"


def _certificate_of(server: Server) -> bytes:
    """Request TLS by hand: SSLRequest, then a handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((server.host, server.port)) as plain:
        plain.sendall(struct.pack(">ii", 8, 80877103))
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as wrapped:
            der = wrapped.getpeercert(True)
    assert der
    return der


@pytest.mark.parametrize(
    ("mode", "encrypted", "verified", "explicit"),
    [
        ("", True, "none", False), ("prefer", True, "none", True), ("require", True, "none", True),
        ("verify-ca", True, "chain", True), ("disable", False, "", True), ("allow", False, "", True),
    ],
)  # fmt: skip
def test_requested_and_actual_tls_are_both_recorded(
    recording: Recording, postgresql: Server, mode: str, encrypted: bool, verified: str, explicit: bool
) -> None:
    options: dict[str, Any] = {"sslmode": mode} if mode else {}
    if mode == "verify-ca":
        options["sslrootcert"] = postgresql.ca_file
    psycopg.connect(postgresql.url, **options).close()
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit) == (mode or "prefer", explicit)
    assert (session.encrypted, session.verified) == (encrypted, verified)
    if not encrypted:
        assert (session.tls_version, session.cipher, session.certificate_sha256) == ("", "", "")


def test_a_root_certificate_makes_require_verify_the_chain(recording: Recording, postgresql: Server) -> None:
    psycopg.connect(postgresql.url, sslmode="require", sslrootcert=postgresql.ca_file).close()
    assert recording.calls[0].session.verified == "chain"


def test_the_environment_asks_too(recording: Recording, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "prefer")
    psycopg.connect(postgresql.url).close()
    assert recording.calls[0].session.requested_explicit is True


def test_notices_count_with_their_call_and_reach_the_app(recording: Recording, postgresql: Server) -> None:
    heard: list[str | None] = []
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        connection.execute("do $$ begin for i in 1..5 loop raise notice 'low'; end loop; end $$")
        connection.execute("select 1")
    assert heard == ["low"] * 5
    assert [call.facts.get(names.NOTICES) for call in recording.calls] == [None, 5, None]


def test_a_failed_login_is_recorded(recording: Recording, postgresql: Server) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, password="wrong", sslmode="require")
    (record,) = recording.calls
    session = record.session
    assert isinstance(record.error, psycopg.OperationalError)
    assert (session.address, session.port, session.account) == (postgresql.host, postgresql.port, postgresql.user)
    assert (session.requested, session.requested_explicit, session.encrypted) == ("require", True, None)
    assert session.peer_address == "127.0.0.1"
    assert record.facts[names.STATUS_CODE] == "28P01"


def test_an_account_that_there_is_not_is_a_refused_login_too(recording: Recording, postgresql: Server) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, user="nobody_there", password="wrong", sslmode="require")
    (record,) = recording.calls
    assert record.facts[names.STATUS_CODE] in ("28P01", "28000")


def test_a_database_that_there_is_not_is_no_refused_login(recording: Recording, postgresql: Server) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, dbname="nothing_there", sslmode="require")
    (record,) = recording.calls
    assert names.STATUS_CODE not in record.facts


def test_a_certificate_for_another_name_is_recorded(recording: Recording, postgresql: Server, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, sslmode="verify-full", sslrootcert=str(other.ca_file))
    (record,) = recording.calls
    assert (record.session.requested, record.session.encrypted) == ("verify-full", None)


def test_a_dead_port_is_recorded(recording: Recording) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect("host=127.0.0.1 port=1 user=somebody dbname=some")
    (record,) = recording.calls
    assert (record.session.address, record.session.port, record.session.account) == ("127.0.0.1", 1, "somebody")


def test_a_unix_socket_is_recorded(recording: Recording, postgresql: Server) -> None:
    parts = urlsplit(postgresql.url)
    psycopg.connect(
        host=postgresql.socket, port=postgresql.port, user=parts.username, password=parts.password, dbname="postgres"
    ).close()
    record = recording.calls[0]
    path = f"{postgresql.socket}/.s.PGSQL.{postgresql.port}"
    assert (record.session.transport, record.session.address, record.session.port) == ("unix", path, 0)
    assert record.session.encrypted is False
    assert (record.sent, record.received) == (-1, -1)


def test_a_timed_out_connect_is_recorded(recording: Recording) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(f"host=127.0.0.1 port={silent.getsockname()[1]} user=a connect_timeout=2")
    gc.collect()
    assert [call.error for call in recording.calls] == ["ConnectionTimeout"]


def test_a_cancelled_connect_is_recorded(recording: Recording) -> None:
    async def work(port: int) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await psycopg.AsyncConnection.connect(f"host=127.0.0.1 port={port} user=a")

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        asyncio.run(work(silent.getsockname()[1]))
    gc.collect()
    (record,) = recording.calls
    assert isinstance(record.error, asyncio.CancelledError)


def test_rows_and_bytes_of_a_statement(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("select repeat('x', 100) from generate_series(1, 1000)")
        connection.execute("create temporary table t as select 1 as a from generate_series(1, 7)")
        connection.execute("update t set a = 2 returning a")
        connection.execute("delete from t")
        connection.execute("select 1; select 2")
    _, big, create, update, delete, two = recording.calls
    assert (big.rows_returned, big.rows_affected) == (1000, -1)
    assert 100_000 < big.received < 130_000
    assert big.sent < 300
    assert create.rows_affected == 7
    assert (update.rows_returned, update.rows_affected) == (7, 7)
    assert (delete.rows_returned, delete.rows_affected) == (-1, 7)
    assert two.rows_returned == 2


def test_executemany_is_one_call(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table t (a int)")
        cursor.executemany("insert into t values (%s)", [(number,) for number in range(5)])
        cursor.executemany("insert into t values (%s) returning a", [(number,) for number in range(3)], returning=True)
    plain, returning = recording.saying("insert")
    assert (plain.rows_affected, plain.rows_returned) == (5, -1)
    assert (returning.rows_affected, returning.rows_returned) == (3, 3)
    assert names.BYTES_ESTIMATED not in plain.facts


def test_recorded_text_is_the_apps_text(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url) as connection:
        connection.execute(b"select %s", ("secret",))
        connection.execute(
            sql.SQL("select {}, %s").format(sql.Identifier("datname")) + sql.SQL(" from pg_database"), ("secret",)
        )
    assert recording.calls[1].sql == b"select %s"
    assert recording.calls[2].sql == b'select "datname", $1 from pg_database'


def test_rows_of_a_server_side_cursor_are_recorded_page_by_page(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url) as connection, connection.cursor("c") as cursor:
        cursor.execute("select repeat('x', 1000) from generate_series(1, 250)")
        cursor.fetchmany(50)
        assert sum(1 for _ in cursor) == 200
    declared = recording.calls[1]
    assert declared.rows_returned == -1
    fetches = recording.of("FETCH")
    assert [call.rows_returned for call in fetches] == [50, 100, 100, 0]
    assert {call.sql for call in fetches} == {declared.sql}
    assert fetches[1].received > 100_000


def test_a_stream_is_one_call(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        stream: Any = connection.cursor().stream("select generate_series(1, 100000)")
        assert next(stream) == (1,)
        stream.close()
        assert sum(1 for _ in connection.cursor().stream("select generate_series(1, 300)")) == 300
    closed, whole = recording.saying("generate_series")
    assert (closed.rows_returned, closed.error) == (1, None)
    assert whole.rows_returned == 300


def test_copy_in_both_directions(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table t (a text)")
        with cursor.copy("copy t from stdin") as copy:
            for _ in range(100):
                copy.write_row(("x" * 1000,))
        with cursor.copy("copy t to stdout") as copy:
            assert len(list(copy.rows())) == 100
        with pytest.raises(psycopg.errors.UndefinedTable), cursor.copy("copy nothing from stdin"):
            pass
    into, out, failed = recording.of("COPY")
    assert (into.rows_affected, into.rows_returned) == (100, -1)
    assert into.sent > 100_000
    assert (out.rows_returned, out.rows_affected) == (100, -1)
    assert out.received > 100_000
    assert failed.facts == {names.STATUS_CODE: "42P01"}


def test_an_exception_of_the_apps_in_a_copy_block_passes(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table t (a text)")
        left = False
        with contextlib.suppress(ZeroDivisionError), cursor.copy("copy t from stdin") as copy:
            copy.write_row(("x",))
            left = True
            raise ZeroDivisionError
        assert left
    assert isinstance(recording.of("COPY")[0].error, ZeroDivisionError)


def test_a_pipeline_is_marked_as_an_estimate(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        with connection.pipeline():
            first = connection.execute("select 1")
            connection.execute("select 2")
            assert first.fetchone() == (1,)
        connection.execute("select 3")
    assert all(call.facts == {names.BYTES_ESTIMATED: True} for call in recording.calls[1:4])
    assert recording.calls[3].operation == "SYNC"
    assert recording.calls[4].facts == {}


def test_pipelines_and_transactions_are_decorators_for_any_number_of_calls(
    recording: Recording, postgresql: Server
) -> None:
    with psycopg.connect(postgresql.url, autocommit=True) as connection:

        @connection.pipeline()
        def piped() -> None:
            connection.execute("select 1")

        @connection.transaction()
        def changed() -> None:
            connection.execute("select 2")

        connection.execute("create temp table empty (number int)")

        @connection.cursor().copy("copy empty from stdin")
        def copied() -> int:
            return 3

        for app in (piped, piped, changed, changed):
            app()
        assert [copied(), copied()] == [3, 3]
        with pytest.raises(TypeError):
            connection.pipeline(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    for word in ("SYNC", "COMMIT", "COPY"):
        assert len(recording.of(word)) == 2

    async def app_async() -> None:
        async with await psycopg.AsyncConnection.connect(postgresql.url, autocommit=True) as connection:

            @connection.pipeline()
            async def piped() -> None:
                await connection.execute("select 1")

            await piped()
            await piped()

    asyncio.run(app_async())
    assert len(recording.of("SYNC")) == 4


def test_an_error_in_a_pipeline_surfaces_at_its_end(recording: Recording, postgresql: Server) -> None:
    with (
        psycopg.connect(postgresql.url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.UndefinedTable),
        connection.pipeline(),
    ):
        connection.execute("select * from nothing")
    assert recording.of("SYNC")[0].facts[names.STATUS_CODE] == "42P01"


def test_only_transactions_that_were_open_are_ended(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url) as connection:
        connection.commit()
        connection.execute("select 1")
        connection.commit()
        connection.execute("select 1")
        connection.rollback()
        with connection.transaction():
            connection.execute("select 1")
            with pytest.raises(KeyError), connection.transaction():
                raise KeyError
    assert [call.operation for call in recording.calls if call.sql != "select 1"] == [
        "connect", "COMMIT", "ROLLBACK", "ROLLBACK TO", "COMMIT",
    ]  # fmt: skip


def test_asyncio(recording: Recording, postgresql: Server) -> None:
    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(postgresql.tls_url) as connection:
            await connection.execute("select pg_sleep(0.05)")
            async with connection.cursor("c") as cursor:
                await cursor.execute("select generate_series(1, 10)")
                assert len(await cursor.fetchall()) == 10
            async with connection.cursor().copy("copy (select 1) to stdout") as copy:
                assert [row async for row in copy.rows()] == [("1",)]
            stream = connection.cursor().stream("select generate_series(1, 9)")
            assert len([row async for row in stream]) == 9
            async with connection.transaction():
                await connection.cursor().executemany("select %s", [(1,), (2,)])
        with pytest.raises(psycopg.OperationalError):
            await psycopg.AsyncConnection.connect(postgresql.url, password="wrong")

    asyncio.run(work())
    assert recording.calls[0].session.verified == "full"
    assert recording.of("FETCH")[0].rows_returned == 10
    assert recording.of("COPY")[0].rows_returned == 1
    assert recording.saying("generate_series(1, 9)")[0].rows_returned == 9
    assert recording.calls[-1].error is not None
    assert recording.of("COMMIT")


def test_a_cancelled_task_is_recorded_and_still_cancelled(recording: Recording, postgresql: Server) -> None:
    async def work() -> None:
        connection = await psycopg.AsyncConnection.connect(postgresql.url)
        task = asyncio.create_task(connection.execute("select pg_sleep(10)"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await connection.close()

    asyncio.run(work())
    assert isinstance(recording.saying("pg_sleep")[0].error, asyncio.CancelledError)


def test_the_apps_own_subclasses_stay(recording: Recording, postgresql: Server) -> None:
    class Mine(psycopg.Connection[object]):
        pass

    class Cursor(psycopg.ClientCursor[object]):
        def execute(self, *args: object, **kwargs: object) -> "Cursor":  # type: ignore[override]
            return super().execute(*args, **kwargs)  # type: ignore[arg-type,return-value]

    with Mine.connect(postgresql.url, cursor_factory=Cursor, row_factory=rows.dict_row) as connection:
        assert type(connection) is Mine
        cursor = connection.execute("select %s as a", (1,))
        assert type(cursor) is Cursor
        assert cursor.fetchone() == {"a": 1}
    assert [call.sql for call in recording.saying("select")] == ["select %s as a"]


def test_an_earlier_connection_is_observed_from_its_next_call(postgresql: Server) -> None:
    with psycopg.connect(postgresql.url) as connection:
        connection.execute("select repeat('x', 100000)")
        with watching(PsycopgProbe) as record:
            connection.execute("select 1")
        assert record.calls[0].session.encrypted is True
        assert record.calls[0].received < 1000


def test_a_lost_connection_has_no_byte_counts(recording: Recording, postgresql: Server) -> None:
    with psycopg.connect(postgresql.url) as victim, psycopg.connect(postgresql.url, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", (victim.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            victim.execute("select 1")
        record = recording.calls[-1]
        assert (record.sent, record.received) == (-1, -1)
        assert record.facts[names.STATUS_CODE] == "57P01"


BY_CTYPES = """
import os, sys
os.environ["PSYCOPG_IMPL"] = "python"
import psycopg
from backwatch.collector.probes.psycopg import PsycopgProbe
from tests.collector.probes.recording import Recording
recording = Recording()
PsycopgProbe().instrument(recorder=recording)
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute("select 1")
session = recording.calls[0].session
assert psycopg.pq.__impl__ == "python"
assert (session.verified, session.subject, session.tls_version) == ("full", "CN=localhost", "1.3"), session
assert recording.calls[1].rows_returned == 1
"""


def test_the_systems_own_libpq_yields_the_same_facts(postgresql: Server) -> None:
    if find_library("pq") is None:
        pytest.skip("needs a real server: libpq of the system, which Debian's postgresql brings")
    done = subprocess.run(
        [sys.executable, "-c", BY_CTYPES, postgresql.tls_url], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_error_thrown_into_a_stream_ends_its_statement_at_once(recording: Recording, postgresql: Server) -> None:
    idle = psycopg.pq.TransactionStatus.IDLE
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        stream: Any = connection.cursor().stream("select generate_series(1, 100000)")
        next(stream)
        with pytest.raises(KeyError) as thrown:
            stream.throw(KeyError("the app's own"))
        assert connection.info.transaction_status == idle

    async def asynchronously() -> None:
        async with await psycopg.AsyncConnection.connect(postgresql.url, autocommit=True) as connection:
            stream: Any = connection.cursor().stream("select generate_series(1, 100000)")
            await anext(stream)
            with pytest.raises(KeyError):
                await stream.athrow(thrown.value)
            assert connection.info.transaction_status == idle

    asyncio.run(asynchronously())
    record = recording.saying("generate_series")
    assert [(call.rows_returned, type(call.error)) for call in record] == [(1, KeyError)] * 2
