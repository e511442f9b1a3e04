"""psycopg against a real PostgreSQL: the facts of sessions and calls are true."""

import asyncio
import contextlib
from typing import Any

import psycopg
import pytest
from psycopg import rows, sql

from backwatch.collector import names
from backwatch.collector.probes.psycopg import PsycopgProbe
from tests.collector.probes.recording import Recording, watching
from tests.services.server import Server

PROBES = (PsycopgProbe,)


def test_notices_count_with_their_call_and_reach_the_app(recording: Recording, postgresql: Server) -> None:
    heard: list[str | None] = []
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        connection.execute("do $$ begin for i in 1..5 loop raise notice 'low'; end loop; end $$")
        connection.execute("select 1")
    assert heard == ["low"] * 5
    assert [call.facts.get(names.NOTICES) for call in recording.calls] == [None, 5, None]


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
    plain, returning = recording.find("insert")
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
    closed, whole = recording.find("generate_series")
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
    assert recording.find("generate_series(1, 9)")[0].rows_returned == 9
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
    assert isinstance(recording.find("pg_sleep")[0].error, asyncio.CancelledError)


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
    assert [call.sql for call in recording.find("select")] == ["select %s as a"]


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
    record = recording.find("generate_series")
    assert [(call.rows_returned, type(call.error)) for call in record] == [(1, KeyError)] * 2
