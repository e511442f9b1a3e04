"""psycopg2 against a real PostgreSQL: C code accepts the subclasses, and the facts are true."""

import contextlib
import gc
import io
import weakref
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.extras
import psycopg2.pool
import pytest
from psycopg2 import extensions, sql

from backwatch.collector import names
from backwatch.collector.probes.psycopg2 import Psycopg2Probe
from tests.collector.probes.recording import Recording, watching
from tests.services.server import Server

PROBES = (Psycopg2Probe,)


@pytest.fixture
def connection(recording: Recording, postgresql: Server) -> Iterator[Any]:
    with contextlib.closing(psycopg2.connect(postgresql.url)) as made:
        yield made


def test_a_verified_session_is_recorded(recording: Recording, postgresql: Server) -> None:
    psycopg2.connect(postgresql.tls_url).close()
    (record,) = recording.calls
    session = record.session
    assert (session.encrypted, session.verified, session.requested, session.requested_explicit) == (
        True, "full", "verify-full", True,
    )  # fmt: skip
    assert session.tls_version == "1.3"
    assert (session.address, session.port) == (postgresql.host, postgresql.port)
    assert (session.peer_address, session.peer_port) == ("127.0.0.1", postgresql.port)
    assert (session.account, session.namespace, session.system) == (postgresql.user, "postgres", "postgresql")
    assert session.subject == "CN=localhost"
    assert len(session.certificate_sha256) == 64
    assert record.received > 1000


@pytest.mark.parametrize(
    ("mode", "encrypted", "explicit"), [("", True, False), ("require", True, True), ("disable", False, True)]
)
def test_requested_and_actual_tls_are_both_recorded(
    recording: Recording, postgresql: Server, mode: str, encrypted: bool, explicit: bool
) -> None:
    options: dict[str, Any] = {"sslmode": mode} if mode else {}
    psycopg2.connect(postgresql.url, **options).close()
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit, session.encrypted) == (mode or "prefer", explicit, encrypted)


def test_a_failed_login_is_recorded(recording: Recording, postgresql: Server) -> None:
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(postgresql.url, password="wrong", sslmode="require")
    (record,) = recording.calls
    session = record.session
    assert isinstance(record.error, psycopg2.OperationalError)
    assert (session.address, session.port, session.account) == (postgresql.host, postgresql.port, postgresql.user)
    assert (session.requested, session.encrypted) == ("require", None)
    assert record.facts[names.STATUS_CODE] == "28P01"


def test_a_unix_socket_is_recorded(recording: Recording, postgresql: Server) -> None:
    psycopg2.connect(
        host=postgresql.socket,
        port=postgresql.port,
        user=postgresql.user,
        password=postgresql.password,
        dbname="postgres",
    ).close()
    session = recording.calls[0].session
    path = f"{postgresql.socket}/.s.PGSQL.{postgresql.port}"
    assert (session.transport, session.address, session.encrypted) == ("unix", path, False)


def test_rows_and_bytes_of_a_statement(recording: Recording, connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("select repeat('x', 100) from generate_series(1, 1000)")
    cursor.execute("create temporary table t as select 1 as a from generate_series(1, 7)")
    cursor.execute("update t set a = 2 returning a")
    cursor.execute("delete from t")
    _, big, create, update, delete = recording.calls
    assert (big.rows_returned, big.rows_affected) == (1000, -1)
    assert 100_000 < big.received < 130_000
    assert create.rows_affected == 7
    assert (update.rows_returned, update.rows_affected) == (7, 7)
    assert (delete.rows_returned, delete.rows_affected) == (-1, 7)


@pytest.mark.parametrize(
    "factory",
    [
        extensions.cursor, psycopg2.extras.DictCursor, psycopg2.extras.RealDictCursor, psycopg2.extras.NamedTupleCursor,
    ],
)  # fmt: skip
def test_the_apps_cursor_factories_stay(recording: Recording, connection: Any, factory: Any) -> None:
    for make in (
        lambda: connection.cursor(cursor_factory=factory),
        lambda: connection.cursor(None, factory),
        lambda: connection.cursor("named", factory),
    ):
        with make() as cursor:
            assert isinstance(cursor, factory)
            cursor.execute("select 1 as a union select 2 order by a")
            named = factory is psycopg2.extras.RealDictCursor
            assert [row["a"] if named else row[0] for row in cursor.fetchall()] == [1, 2]


def test_the_apps_connection_factories_stay(recording: Recording, postgresql: Server) -> None:
    class Mine(psycopg2.extras.DictConnection):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.greeting = "hello"

    connection: Any = psycopg2.connect(postgresql.url, connection_factory=Mine)
    with contextlib.closing(connection):
        assert isinstance(connection, Mine)
        assert (connection.greeting, type(connection).__name__) == ("hello", "Mine")
        with connection, connection.cursor() as cursor:
            assert isinstance(cursor, psycopg2.extras.DictCursor)
            cursor.execute("select 1 as a")
            row: Any = cursor.fetchone()
            assert row["a"] == 1
    assert [call.operation for call in recording.calls] == ["connect", "", "COMMIT"]


def test_a_default_cursor_factory_stays(recording: Recording, postgresql: Server) -> None:
    opened: Any = psycopg2.connect(postgresql.url, cursor_factory=psycopg2.extras.RealDictCursor)
    with contextlib.closing(opened) as connection:
        assert connection.cursor_factory is psycopg2.extras.RealDictCursor
        cursor = connection.cursor()
        cursor.execute("select 1 as a")
        assert cursor.fetchone() == {"a": 1}


def test_c_functions_take_the_connection(recording: Recording, connection: Any) -> None:
    psycopg2.extras.register_default_jsonb(connection)
    psycopg2.extras.register_json(connection)
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    extensions.register_type(extensions.UNICODE, connection)
    extensions.register_type(extensions.UNICODE, connection.cursor())
    assert extensions.quote_ident("a b", connection) == '"a b"'
    assert sql.SQL("select {}").format(sql.Literal("x")).as_string(connection) == "select 'x'"
    adapted: Any = extensions.adapt("é")
    adapted.prepare(connection)
    assert adapted.getquoted() == b"'\xc3\xa9'"
    assert connection.cursor().mogrify("select %s", ("x",)) == b"select 'x'"


def test_execute_values_and_batch_work(recording: Recording, connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("create temporary table t (a int, b text)")
    psycopg2.extras.execute_values(cursor, "insert into t values %s", [(1, "x"), (2, "y")])
    assert cursor.rowcount == 2
    psycopg2.extras.execute_batch(cursor, "insert into t values (%s, %s)", [(3, "z"), (4, "z")])
    cursor.execute("select count(*) from t")
    assert cursor.fetchone() == (4,)
    assert recording.find("insert")[0].rows_affected == 2


def test_copy_in_both_directions(recording: Recording, connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("create temporary table t (a text)")
    cursor.copy_from(io.StringIO("x\n" * 100), "t")
    out = io.StringIO()
    cursor.copy_to(out, "t")
    cursor.copy_expert("copy t to stdout", out)
    cursor.copy_expert(sql.SQL("copy {} from stdin").format(sql.Identifier("t")), io.StringIO("y\n"))
    into, plain, expert, composed = (call for call in recording.calls if str(call.sql).lower().startswith("copy"))
    assert (into.rows_affected, into.rows_returned) == (100, -1)
    assert (plain.rows_returned, plain.rows_affected) == (100, -1)
    assert (expert.rows_returned, expert.rows_affected) == (100, -1)
    assert (composed.sql, composed.rows_affected) == ('copy "t" from stdin', 1)


def test_rows_of_a_named_cursor_are_recorded_page_by_page(recording: Recording, connection: Any) -> None:
    with connection.cursor("c") as cursor:
        cursor.itersize = 100
        cursor.execute("select repeat('x', 1000) from generate_series(1, 250)")
        assert len(cursor.fetchmany(50)) == 50
        assert cursor.fetchone() is not None
        assert sum(1 for _ in cursor) == 199
    fetches = recording.of("FETCH")
    assert [call.rows_returned for call in fetches] == [50, 1, 100, 99, 0]
    assert {call.sql for call in fetches} == {recording.calls[1].sql}
    assert fetches[2].received > 100_000


def test_named_cursors_with_a_mapping_iterate(recording: Recording, connection: Any) -> None:
    with connection.cursor(
        "c", cursor_factory=psycopg2.extras.RealDictCursor, withhold=True, scrollable=True
    ) as cursor:
        cursor.execute("select generate_series(1, 5) as n")
        assert [row["n"] for row in cursor] == [1, 2, 3, 4, 5]
        cursor.scroll(0, "absolute")
        assert cursor.fetchone() == {"n": 1}


def test_only_transactions_that_were_open_are_ended(recording: Recording, connection: Any) -> None:
    connection.commit()
    with connection, connection.cursor() as cursor:
        cursor.execute("select 1")
    with contextlib.suppress(KeyError), connection, connection.cursor() as cursor:
        cursor.execute("select 1")
        raise KeyError
    assert [call.operation for call in recording.calls if call.sql != "select 1"] == ["connect", "COMMIT", "ROLLBACK"]


def test_an_error_is_recorded_with_its_code(recording: Recording, connection: Any) -> None:
    with pytest.raises(psycopg2.errors.UndefinedTable):
        connection.cursor().execute("select * from nothing")
    assert recording.calls[-1].facts == {names.STATUS_CODE: "42P01"}


def test_a_pool_works(recording: Recording, postgresql: Server) -> None:
    pool = psycopg2.pool.ThreadedConnectionPool(1, 2, postgresql.url)
    connection = pool.getconn()
    connection.cursor().execute("select 1")
    pool.putconn(connection)
    pool.closeall()
    assert recording.find("select 1")[0].session.account == postgresql.user


def test_a_factory_that_is_a_function_is_left_alone(recording: Recording, postgresql: Server) -> None:
    def made(dsn: str) -> Any:
        return extensions.connection(dsn)

    connection: Any = psycopg2.connect(postgresql.url, connection_factory=made)
    with contextlib.closing(connection):
        assert type(connection) is extensions.connection
        connection.cursor().execute("select 1")
    assert [call.operation for call in recording.calls] == ["connect"]
    assert recording.calls[0].session.account == postgresql.user


def test_connections_and_cursors_are_collected(recording: Recording, postgresql: Server) -> None:
    connection = psycopg2.connect(postgresql.url)
    gone = [weakref.ref(connection), weakref.ref(connection.cursor())]
    del connection
    gc.collect()
    assert [call() for call in gone] == [None, None]


def test_connections_made_before_removal_become_plain(postgresql: Server) -> None:
    with watching(Psycopg2Probe) as record:
        connection = psycopg2.connect(postgresql.url)
    with contextlib.closing(connection):
        before = len(record.calls)
        connection.cursor().execute("select 1")
        connection.commit()
        assert len(record.calls) == before


def test_a_cursor_class_that_takes_no_other_attributes_works(recording: Recording, connection: Any) -> None:
    class Closed(psycopg2.extensions.cursor):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    with connection.cursor(cursor_factory=Closed) as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    assert len(recording.find("SELECT 1")) == 1
