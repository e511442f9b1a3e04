"""Django over observed and unobserved drivers and caches: each call once, by the layer with more facts."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import BaseMemcachedCache, PyMemcacheCache
from django.db import DatabaseError, connections, models
from django.db.backends.utils import CursorWrapper
from django.db.models.sql import Query

from backwatch.collector import names
from backwatch.collector.probes import Probe
from backwatch.collector.probes import is_instrumented as has_probe
from backwatch.collector.probes.django import DjangoProbe
from backwatch.collector.probes.MySQLdb import MySQLdbProbe
from backwatch.collector.probes.psycopg import PsycopgProbe
from backwatch.collector.probes.psycopg2 import Psycopg2Probe
from backwatch.collector.probes.redis import RedisProbe
from backwatch.collector.probes.sqlite3 import SQLiteProbe
from backwatch.collector.probes.toolkit.layers import HOOK_MARK
from tests.collector.memory_stream import deliver
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.django import cache_of, databases
from tests.services.overlays import not_overlaid, run_tests_with
from tests.services.server import Server

HERE = "tests/collector/probes/sql/test_django.py"
VERSION: tuple[Any, ...] = django.VERSION
OLD = VERSION < (4, 2)
"""Knows no psycopg 3."""


class Thing(models.Model):
    class Meta:
        app_label = "tests"


PROBES = (DjangoProbe,)
PROBE_OF: dict[str, type[Probe]] = {
    "sqlite": SQLiteProbe, "postgresql": Psycopg2Probe if OLD else PsycopgProbe, "mysql": MySQLdbProbe,
}  # fmt: skip
every_kind = pytest.mark.parametrize("kind", PROBE_OF)
Connect = Callable[[str], Any]


@pytest.fixture
def connect(request: pytest.FixtureRequest) -> Connect:
    """Return a new connection to a database of that kind, not open yet."""

    def of(kind: str) -> Any:
        if kind == "sqlite":
            return sqlite()
        if kind == "postgresql":
            return databases(request.getfixturevalue("postgresql"))["other"]
        request.getfixturevalue("mysqlclient")
        return databases(request.getfixturevalue("mariadb"), ENGINE="django.db.backends.mysql", NAME="mysql")["other"]

    return of


def sqlite() -> Any:
    return databases(Server(kind="none", port=0, url=""))["default"]


def work(connection: Any) -> list[object]:
    """Run statements with a unique mark each, and return rows."""
    with connection.cursor() as cursor:
        cursor.execute("create temporary table thing (id integer, name varchar(9))")
        cursor.executemany("insert into thing values (%s, %s)", [(number, "x") for number in range(5)])
        cursor.execute("select name from thing")
        rows = cursor.fetchall()
        cursor.execute("delete from thing where id < %s", [3])
    connection.close()
    return [tuple(row) for row in rows]


@every_kind
def test_over_an_observed_driver_its_probe_records_each_call_once(kind: str, connect: Connect) -> None:
    connection = connect(kind)
    with deliver(DjangoProbe, PROBE_OF[kind]) as stream:
        assert len(work(connection)) == 5
    for mark in ("create temporary table thing", "delete from thing"):
        assert [call.get(names.CODE_FUNCTION) for call in stream.find(mark)] == ["work"], mark
    rows = [call.get(names.ROWS_RETURNED, -1) for call in stream.find("select name from thing")]
    assert [count for count in rows if count >= 0] == [5]
    assert all(call[names.CODE_FILE] == HERE for call in stream.find("thing"))
    if kind != "sqlite":
        assert all(names.PEER_ADDRESS in call for call in stream.calls())  # a fact of the driver's probe only


@every_kind
def test_over_an_unobserved_driver_django_records_each_call_once(kind: str, connect: Connect) -> None:
    with deliver(DjangoProbe) as stream:
        connection = connect(kind)
        assert len(work(connection)) == 5
    for mark in ("create temporary table thing", "insert into thing", "delete from thing"):
        assert [call[names.CODE_FUNCTION] for call in stream.find(mark)] == ["work"], mark
    rows = [call.get(names.ROWS_RETURNED, -1) for call in stream.find("select name from thing")]
    assert [count for count in rows if count >= 0] == [5]
    assert stream.find("delete from thing")[0][names.ROWS_AFFECTED] == 3
    assert [call["name"] for call in stream.calls()].count("connect") == 1
    assert not any(names.PEER_ADDRESS in call or names.TLS_ESTABLISHED in call for call in stream.calls())
    values = connection.settings_dict
    if kind != "sqlite":
        first = stream.find("insert into thing")[0]
        assert (first[names.SERVER_ADDRESS], first[names.SERVER_PORT]) == (values["HOST"], values["PORT"])
        assert (first[names.ACCOUNT], first[names.DB_NAMESPACE]) == (values["USER"], values["NAME"])
    assert values.get("PASSWORD", "no such") not in str(stream.calls()) or not values["PASSWORD"]


def test_a_connection_with_an_observed_driver_is_left_alone() -> None:
    with watching(SQLiteProbe), watching(DjangoProbe):
        connection = sqlite()
        assert connection.execute_wrappers == []
        assert "get_new_connection" not in vars(connection)


def test_a_drivers_later_probe_records_from_then_on(connect: Connect) -> None:
    with watching(DjangoProbe) as above:
        connection = connect("postgresql")
        connection.cursor().execute("select 1")
        record = len(above.calls)
        connection.close()
        with watching(PROBE_OF["postgresql"]) as below:
            connection.cursor().execute("select 2")
        assert len(above.calls) == record
        assert below.find("select 2")
        connection.close()


def test_an_app_without_a_database_causes_no_fault(recording: Recording) -> None:
    assert connections["default"].vendor == "unknown"
    assert recording.calls == []


SERIES = "with recursive s(n) as (select 1 union all select n + 1 from s where n < 30) select n from s"
READS: dict[str, tuple[Callable[[Any], object], int]] = {
    "all": (lambda cursor: cursor.fetchall(), 30),
    "one": (lambda cursor: (cursor.fetchone(), cursor.close()), 1),
    "many": (lambda cursor: [len(part) for part in iter(lambda: cursor.fetchmany(7), [])], 30),
    "loop": (lambda cursor: [row for row in cursor], 30),  # noqa: C416  one by one
    "half a loop": (
        lambda cursor: ([cursor.fetchone() for _, _ in zip(range(2), cursor, strict=False)], cursor.close()),
        4,
    ),
    "none": (lambda cursor: cursor.close(), 0),
    "next statement": (lambda cursor: (cursor.fetchmany(4), cursor.execute("select 1 where 1 = 0")), 4),
}


@pytest.mark.parametrize("reads", READS)
def test_rows_are_counted_as_they_are_read(reads: str, recording: Recording) -> None:
    read, count = READS[reads]
    cursor = sqlite().cursor()
    cursor.execute(SERIES)
    read(cursor)
    record = [call for call in recording.of("FETCH") if call.sql == SERIES]
    assert [call.rows_returned for call in record] == [count]


def test_a_query_set_is_recorded_at_the_line_that_reads_it(connect: Connect) -> None:
    with deliver(DjangoProbe) as stream:
        connection = connect("sqlite")
        connection.cursor().execute("create temporary table tests_thing (id integer)")
        connection.cursor().execute("insert into tests_thing values (1), (2)")
        rows = list(Query(Thing).get_compiler(connection=connection).results_iter())
        assert rows == [[1], [2]] or rows == [(1,), (2,)]
        connection.close()
    (record,) = [call for call in stream.calls() if call["name"] == "FETCH"]
    assert record[names.ROWS_RETURNED] == 2
    assert record[names.CODE_FUNCTION] == "test_a_query_set_is_recorded_at_the_line_that_reads_it"


def test_rows_of_a_server_side_cursor_are_recorded_as_they_come(connect: Connect, recording: Recording) -> None:
    connection = connect("postgresql")
    with connection.chunked_cursor() as cursor:
        cursor.execute("select generate_series(1, 40) as n")
        assert len(cursor.fetchmany(25)) == 25
    connection.close()
    record = recording.find("generate_series")
    assert sum(max(0, call.rows_returned) for call in record) == 25


def test_transactions_and_savepoints_are_recorded(connect: Connect, recording: Recording) -> None:
    connection = connect("postgresql")
    connection.set_autocommit(False)
    connection.savepoint_commit(connection.savepoint())
    connection.commit()
    connection.rollback()
    connection.close()
    assert [call.operation for call in recording.calls if call.operation] == ["connect", "COMMIT", "ROLLBACK"]
    assert len(recording.find("SAVEPOINT")) == 2


def test_failures_are_recorded_with_the_drivers_own_error(connect: Connect, recording: Recording) -> None:
    connection = connect("postgresql")
    with pytest.raises(DatabaseError):
        connection.cursor().execute("select * from nothing")
    (record,) = recording.find("nothing")
    assert record.facts == {names.STATUS_CODE: "42P01"}
    assert type(record.error).__module__.partition(".")[0] == ("psycopg2" if OLD else "psycopg")
    connection.close()
    connection.settings_dict["PORT"] = 1
    with pytest.raises(DatabaseError):
        connection.cursor()
    assert recording.of("connect")[-1].error is not None


def test_a_procedure_is_recorded(connect: Connect, recording: Recording) -> None:
    connection = connect("postgresql")
    with connection.cursor() as cursor, pytest.raises(Exception, match="nothing"):
        cursor.callproc("nothing", ["a secret"])
    connection.close()
    (record,) = recording.of("CALL")
    assert record.sql == "CALL nothing"
    assert record.error is not None


def test_cursors_and_connections_are_not_kept_alive(recording: Recording) -> None:
    connection = sqlite()
    cursor = connection.cursor()
    cursor.execute(SERIES)
    cursor.fetchone()
    gone = weakref.ref(cursor)
    del cursor
    assert gone() is None
    gone = weakref.ref(connection)
    del connection
    gc.collect()
    assert gone() is None
    assert recording.calls


def test_connections_and_caches_that_live_on_are_restored(memcached: Server) -> None:
    constructor = CursorWrapper.__iter__
    with watching(DjangoProbe) as recording:
        connection, cache = sqlite(), cache_of(memcached)
        assert len(connection.execute_wrappers) == 1
        connection.execute_wrappers.insert(0, theirs := lambda execute, *rest: execute(*rest))
    assert connection.execute_wrappers == [theirs]
    assert not [value for value in (*vars(connection).values(), *vars(cache).values()) if hasattr(value, HOOK_MARK)]
    connection.cursor().execute("select 1")
    cache.set("a", 1)
    assert recording.calls == []
    assert CursorWrapper.__iter__ is constructor


# --- the cache ---


def use_cache(cache: Any) -> list[object]:
    """An app's calls to a cache."""
    cache.set("a", {"b": [1, 2]})
    cache.set_many({"c": 2, "d": 3})
    return [cache.get("a"), sorted(cache.get_many(["c", "d", "e"])), cache.incr("c"), cache.delete("a"), cache.get("a")]


SEEN = [{"b": [1, 2]}, ["c", "d"], 3, True, None]


def test_memory_and_files_are_no_service(tmp_path: Path) -> None:
    with deliver(DjangoProbe, SQLiteProbe, RedisProbe) as stream:
        assert use_cache(LocMemCache("test", {})) == SEEN
        assert use_cache(FileBasedCache(str(tmp_path), {})) == SEEN
    assert stream.calls() == []


@pytest.mark.parametrize("watched", [True, False])
def test_a_cache_in_a_database_is_recorded_with_the_databases_calls(
    watched: bool, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.cache.backends import db

    cache = DatabaseCache("stored", {})
    with deliver(DjangoProbe, *([SQLiteProbe] if watched else [])) as stream:
        connection = connect("sqlite")
        connection.cursor().execute("create table stored (cache_key varchar, value text, expires datetime)")
        monkeypatch.setattr(db, "router", type("Router", (), {"db_for_read": _default, "db_for_write": _default})())
        monkeypatch.setattr(db, "connections", {"default": connection})
        monkeypatch.setattr(db.transaction, "get_connection", lambda *_: connection)
        cache.set("a", 1)
        assert cache.get("a") == 1
        connection.close()
    inserts = stream.find("INSERT INTO")
    assert [call[names.CODE_FUNCTION].rpartition(".")[2] for call in inserts] == [
        "test_a_cache_in_a_database_is_recorded_with_the_databases_calls"
    ]


def _default(*_: object, **__: object) -> str:
    return "default"


@pytest.mark.skipif(VERSION < (4, 0), reason="Django 3.2 has no cache on Redis")
def test_a_cache_on_redis_is_recorded_by_its_drivers_probe(redis_server: Server) -> None:
    from django.core.cache.backends.redis import RedisCache

    with deliver(DjangoProbe, RedisProbe) as stream:
        cache = RedisCache(redis_server.url, {"KEY_PREFIX": "django-test"})
        assert use_cache(cache) == SEEN
        cache.close()
    sets = [call for call in stream.calls() if call["name"] == "SET"]
    assert [(call[names.CODE_FILE], call[names.CODE_FUNCTION]) for call in sets] == [(HERE, "use_cache")]
    assert "pickle" in [call.get(names.PAYLOAD_FORMAT) for call in stream.calls()]


def test_a_cache_on_memcached_is_recorded_once(memcached: Server, recording: Recording) -> None:
    cache = cache_of(memcached)
    assert isinstance(cache, BaseMemcachedCache)
    cache.clear()
    assert not has_probe("pymemcache")
    assert use_cache(cache) == SEEN
    assert cache.get_or_set("f", 5) == 5
    assert cache.decr("f") == 4
    assert [call.operation for call in recording.calls] == [
        "clear", "set", "set_many", "get", "get_many", "incr", "delete", "get", "get", "add", "get",
        "incr" if VERSION >= (4, 0) else "decr",
    ]  # fmt: skip
    (many,) = recording.of("get_many")
    assert many.rows_returned == 2
    assert (many.session.system, many.session.address, many.session.port) == (
        "memcached", memcached.host, memcached.port,
    )  # fmt: skip
    with pytest.raises(ValueError, match="not found"):
        cache.incr("nothing")
    assert isinstance(recording.calls[-1].error, ValueError)
    cache.close()


def test_a_cache_of_several_servers_names_none(memcached: Server, recording: Recording) -> None:
    cache = PyMemcacheCache([f"{memcached.host}:{memcached.port}", f"localhost:{memcached.port}"], {})
    cache.set("a", 1)
    assert (recording.calls[-1].session.address, recording.calls[-1].session.port) == ("", 0)
    cache.close()


@not_overlaid
def test_the_oldest_django_is_recorded_the_same(postgresql: Server, mariadb: Server, memcached: Server) -> None:
    oldest = ("Django==3.2", "asgiref==3.3.2", "pytz==2021.1", "sqlparse==0.2.2")
    run_tests_with(oldest, "django", postgresql, mariadb, memcached)
