"""SQLAlchemy over observed and unobserved drivers: each call once, by the layer with more facts, at the app's line."""

import asyncio
import gc
import sqlite3
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_errors
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from backwatch.collector import names
from backwatch.collector.probes import Probe
from backwatch.collector.probes.asyncpg import AsyncpgProbe
from backwatch.collector.probes.psycopg import PsycopgProbe
from backwatch.collector.probes.psycopg2 import Psycopg2Probe
from backwatch.collector.probes.pymysql import PyMySQLProbe
from backwatch.collector.probes.sqlalchemy import SQLAlchemyProbe
from backwatch.collector.probes.sqlite3 import SQLiteProbe
from tests.collector.memory_stream import deliver
from tests.collector.probes.recording import Recording, watching
from tests.services.server import Server

PROBES = (SQLAlchemyProbe,)
PSYCOPG = "psycopg2" if sa.__version__.startswith("1.") else "psycopg"  # 1.4 knows no psycopg 3
HERE = "tests/collector/probes/sql/test_sqlalchemy.py"
WATCHED: list[tuple[type[Probe], str, str]] = [
    (SQLiteProbe, "", "sqlite://"),
    (Psycopg2Probe if PSYCOPG == "psycopg2" else PsycopgProbe, "postgresql", f"postgresql+{PSYCOPG}"),
    (PyMySQLProbe, "mariadb", "mysql+pymysql"),
]


def url_of(server: Server, drivername: str) -> Any:
    query = {"ssl_ca": server.ca_file} if drivername.startswith("mysql") else {}
    return make_url(server.url).set(drivername=drivername, query=query)


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Callable[[str, str], Any]:
    def of(fixture: str, drivername: str) -> Any:
        return url_of(request.getfixturevalue(fixture), drivername) if fixture else drivername

    return of


def work(engine: Engine) -> list[object]:
    """Run statements with a unique mark each, and return rows."""
    items = sa.Table("thing", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True),
                     sa.Column("name", sa.String(9)), prefixes=["TEMPORARY"])  # fmt: skip
    with engine.connect() as connection:
        items.create(connection)
        connection.execute(items.insert(), [{"name": str(number)} for number in range(5)])
        rows = connection.execute(sa.select(items.c.name)).all()
        connection.execute(items.delete())
        connection.commit()
    engine.dispose()
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(("kind", "fixture", "drivername"), WATCHED, ids=[call[2] for call in WATCHED])
def test_over_an_observed_driver_its_probe_records_each_call_once(
    kind: type[Probe], fixture: str, drivername: str, url: Callable[[str, str], Any]
) -> None:
    with deliver(SQLAlchemyProbe, kind) as stream:
        work(sa.create_engine(url(fixture, drivername), future=True))
    for mark in ("CREATE TEMPORARY TABLE thing", "INSERT INTO thing", "DELETE FROM thing"):
        assert len(stream.find(mark)) == 1, mark
    rows = [call.get(names.ROWS_RETURNED, -1) for call in stream.find("SELECT thing.name")]
    assert [count for count in rows if count >= 0] == [5]
    assert all(call[names.CODE_FILE] == HERE and call[names.CODE_FUNCTION] == "work" for call in stream.find("thing"))
    if fixture:
        assert all(names.PEER_ADDRESS in call for call in stream.calls())  # a fact of the driver's probe only


@pytest.mark.parametrize(("kind", "fixture", "drivername"), WATCHED, ids=[call[2] for call in WATCHED])
def test_over_an_unobserved_driver_sqlalchemy_records_each_call_once(
    kind: type[Probe], fixture: str, drivername: str, url: Callable[[str, str], Any]
) -> None:
    target = url(fixture, drivername)
    with deliver(SQLAlchemyProbe) as stream:
        work(sa.create_engine(target, future=True))
    for mark in ("CREATE TEMPORARY TABLE thing", "INSERT INTO thing", "DELETE FROM thing"):
        assert len(stream.find(mark)) == 1, mark
    rows = [call.get(names.ROWS_RETURNED, -1) for call in stream.find("SELECT thing.name")]
    assert [count for count in rows if count >= 0] == [5]
    assert stream.find("DELETE FROM thing")[0][names.ROWS_AFFECTED] == 5
    assert all(call[names.CODE_FILE] == HERE and call[names.CODE_FUNCTION] == "work" for call in stream.find("thing"))
    assert len([call for call in stream.calls() if call["name"] == "connect"]) == 1
    assert not any(names.PEER_ADDRESS in call or names.TLS_ESTABLISHED in call for call in stream.calls())
    if fixture:
        first = stream.find("INSERT INTO thing")[0]
        assert (first[names.SERVER_ADDRESS], first[names.SERVER_PORT]) == (target.host, target.port)
        assert (first[names.ACCOUNT], first[names.DB_NAMESPACE]) == (target.username, target.database)


@pytest.mark.parametrize("watched", [True, False])
def test_asyncio_over_asyncpg(watched: bool, postgresql: Server) -> None:
    async def ask() -> list[int]:
        engine = create_async_engine(url_of(postgresql, "postgresql+asyncpg"))
        async with engine.connect() as connection:
            await connection.execute(sa.text("select 1 as first"))
            rows = (await connection.execute(sa.text("select generate_series(1, 12) as second"))).scalars().all()
            stream = await connection.stream(sa.text("select generate_series(1, 9) as third"))
            assert len([row async for row in stream]) == 9
        await engine.dispose()
        return list(rows)

    with deliver(SQLAlchemyProbe, *([AsyncpgProbe] if watched else [])) as stream:
        assert asyncio.run(ask()) == list(range(1, 13))
    for mark, count in (("first", 1), ("second", 12), ("third", 9)):
        found = stream.find(f"as {mark}")
        # Rows of a server-side cursor are recorded as they come; preparation is no separate call.
        assert sum(call.get(names.ROWS_RETURNED, 0) for call in found) == count
        assert [call["name"] for call in found].count("SELECT") == 1
        assert {call[names.CODE_FILE] for call in found} == {HERE}
        assert all(".ask" in call[names.CODE_FUNCTION] for call in found)
    assert (names.TLS_ESTABLISHED in stream.calls()[-1]) is watched


def test_synchronous_code_inside_run_sync_is_the_call_site(postgresql: Server) -> None:
    def inside(connection: Any) -> None:
        connection.execute(sa.text("select 1 as inside"))

    async def ask() -> None:
        engine = create_async_engine(url_of(postgresql, "postgresql+asyncpg"))
        async with engine.connect() as connection:
            await connection.run_sync(inside)
        await engine.dispose()

    with deliver(SQLAlchemyProbe) as stream:
        asyncio.run(ask())
    (record,) = stream.find("as inside")
    assert record[names.CODE_FUNCTION].endswith("inside")


def test_an_engine_with_an_observed_driver_is_left_alone() -> None:
    with watching(SQLiteProbe), watching(SQLAlchemyProbe):
        engine = sa.create_engine("sqlite://", future=True)
        result: Any = sa.engine.CursorResult
        assert "do_execute" not in vars(engine.dialect)
        assert not hasattr(result._fetchall_impl, "__wrapped__")


def test_a_drivers_later_probe_records_from_then_on() -> None:
    with watching(SQLAlchemyProbe) as above:
        engine = sa.create_engine("sqlite://", future=True, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text("select 1"))
        record = len(above.calls)
        with watching(SQLiteProbe) as below, engine.connect() as connection:
            connection.execute(sa.text("select 2"))
        assert len(above.calls) == record
        assert len(below.find("select 2")) == 2  # its execution, and its rows


@pytest.mark.skipif(PSYCOPG == "psycopg2", reason="SQLAlchemy 1.4 leaves batches to the driver")
def test_a_statement_in_batches_is_a_call_for_each(postgresql: Server) -> None:
    items = sa.Table("many", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer),
                     prefixes=["TEMPORARY"])  # fmt: skip
    with watching(SQLAlchemyProbe) as recording:
        engine = sa.create_engine(url_of(postgresql, f"postgresql+{PSYCOPG}"), future=True)
        with engine.begin() as connection:
            items.create(connection)
            inserted = connection.execute(items.insert().returning(items.c.id), [{"n": n} for n in range(2500)])
            assert len(inserted.all()) == 2500
        engine.dispose()
    batches = [call for call in recording.find("INSERT INTO many") if call.operation != "FETCH"]
    assert sum(call.rows_returned for call in batches) == 2500
    assert 1 < len(batches) < 10


@pytest.mark.parametrize("reads", ["all", "first", "iterated", "left", "partitions"])
def test_rows_are_counted_as_they_are_read(reads: str) -> None:
    ways: dict[str, tuple[Callable[[Any], object], int]] = {
        "all": (lambda result: result.all(), 30),
        "first": (lambda result: result.first(), 1),
        "iterated": (lambda result: [row for row in result], 30),  # noqa: C416  one by one
        "left": (lambda result: (result.fetchmany(4), result.fetchone(), result.close()), 5),
        "partitions": (lambda result: [len(part) for part in result.partitions(7)], 30),
    }
    read, count = ways[reads]
    series = "with recursive s(n) as (select 1 union all select n + 1 from s where n < 30) select n from s"
    with watching(SQLAlchemyProbe) as recording, sa.create_engine("sqlite://", future=True).connect() as connection:
        read(connection.execute(sa.text(series)))
    (record,) = recording.of("FETCH")
    assert (record.rows_returned, record.sql) == (count, series)


def test_failures_are_recorded_with_the_drivers_own_error(recording: Recording, tmp_path: Path) -> None:
    with sa.create_engine("sqlite://", future=True).connect() as connection, pytest.raises(sa_errors.OperationalError):
        connection.execute(sa.text("select * from nothing"))
    (record,) = recording.find("nothing")
    assert isinstance(record.error, sqlite3.OperationalError)
    assert record.facts == {names.STATUS_CODE: "SQLITE_ERROR"}
    with pytest.raises(sa_errors.OperationalError):
        sa.create_engine(f"sqlite:///{tmp_path}/no/such.db").connect()
    assert isinstance(recording.of("connect")[-1].error, sqlite3.OperationalError)


def test_ends_of_transactions_and_pings_are_recorded(recording: Recording, postgresql: Server) -> None:
    engine = sa.create_engine(url_of(postgresql, f"postgresql+{PSYCOPG}"), future=True, pool_pre_ping=True)
    with engine.begin():
        pass
    with pytest.raises(sa_errors.ProgrammingError), engine.begin() as connection:
        connection.execute(sa.text("selec 1"))
    engine.dispose()
    words = [call.operation for call in recording.calls]
    assert (words.count("COMMIT"), words.count("PING")) == (1, 1)
    assert "ROLLBACK" in words


def test_an_engine_is_not_kept_alive(recording: Recording) -> None:
    engine = sa.create_engine("sqlite://", future=True)
    with engine.connect() as connection:
        connection.execute(sa.text("select 1")).all()
    gone = weakref.ref(engine.dialect)
    del engine, connection
    gc.collect()
    assert gone() is None


def test_engines_that_live_on_are_restored() -> None:
    with watching(SQLAlchemyProbe) as recording:
        engine = sa.create_engine("sqlite://", future=True)
        assert "do_execute" in vars(engine.dialect)
    assert "do_execute" not in vars(engine.dialect)
    with engine.connect() as connection:
        connection.execute(sa.text("select 1"))
    assert recording.calls == []


def test_every_keyword_of_an_engine_is_accepted_as_unobserved(recording: Recording) -> None:
    keywords = {"echo": False, "logging_name": "mine", "execution_options": {"a": 1}, "hide_parameters": True}
    engine = sa.create_engine("sqlite://", future=True, **keywords)
    assert engine.logging_name == "mine"
    with pytest.raises(TypeError, match="Invalid argument"):
        sa.create_engine("sqlite://", future=True, nonsense=1)
