"""sqlite3: the app's own classes, values and iteration are unchanged; every call is recorded."""

import contextlib
import functools
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.collector.probes.sqlite3 import SQLiteProbe
from tests.collector.probes.recording import Recording, watching

PROBES = (SQLiteProbe,)


def test_opening_a_file_is_a_call(recording: Recording, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "app.db").close()
    (record,) = recording.calls
    assert (record.operation, record.session.system, record.session.transport) == ("connect", "sqlite", "inproc")
    assert record.session.address == str(tmp_path / "app.db")
    assert record.session.server_version == sqlite3.sqlite_version
    assert record.session.encrypted is None


def test_a_file_that_cannot_be_opened_is_recorded(recording: Recording) -> None:
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect("/nowhere/at/all.db")
    (record,) = recording.calls
    assert isinstance(record.error, sqlite3.OperationalError)
    assert record.session.address == "/nowhere/at/all.db"


def test_a_key_in_a_uri_is_not_recorded(recording: Recording) -> None:
    sqlite3.connect("file:memory?mode=memory&key=secret", uri=True).close()
    assert recording.calls[0].session.address == "file:memory"


def test_connect_does_not_bind_and_pickles_like_the_built_in(recording: Recording) -> None:
    class Shop:
        connector = sqlite3.connect

    shop: Any = Shop()
    shop.connector(":memory:").close()
    assert [call.operation for call in recording.calls] == ["connect"]
    opens = pickle.loads(pickle.dumps(functools.partial(sqlite3.connect, ":memory:")))
    opens().close()
    assert [call.operation for call in recording.calls] == ["connect", "connect"]


def test_connection_subclass_is_invisible_to_the_app(recording: Recording) -> None:
    heard: list[type] = []

    class Mine(sqlite3.Connection):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            heard.append(cls)

    class Its(Mine):
        pass

    connection = sqlite3.connect(":memory:", factory=Its)
    connection.execute("SELECT 1")
    assert isinstance(connection, Its)
    assert heard == [Its]
    assert [call.sql for call in recording.calls[:2]] == [None, "SELECT 1"]


AT_THE_LIMIT = """
import sys
from backwatch.collector.bootstrap import start
start.start()
import sqlite3
connection = sqlite3.connect(":memory:", isolation_level=None)
connection.execute("CREATE TABLE t (a)")
cursor = connection.cursor()
sys.setrecursionlimit(300)

def down(depth, value):
    if depth:
        return down(depth - 1, value)
    cursor.execute("INSERT INTO t VALUES (?)", (value,))

failed = set()
for depth in range(150, 300):
    try:
        down(depth, depth)
    except RecursionError:
        failed.add(depth)
sys.setrecursionlimit(1000)
print(len(failed) > 3, failed & {row for row, in connection.execute("SELECT a FROM t")})
"""


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="there, a driver in C needs no room, and we need some")
def test_call_at_the_end_of_the_stack_still_succeeds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_LIMIT], capture_output=True, text=True, check=False,
        env=os.environ | {"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db"},
    )  # fmt: skip
    assert done.stdout == "True set()\n", done.stderr


def test_the_apps_own_classes_stay(recording: Recording) -> None:
    class Mine(sqlite3.Connection):
        greeting = "hello"

        def execute(self, *args: Any) -> sqlite3.Cursor:
            return super().execute(*args)

    class Cursor(sqlite3.Cursor):
        def first(self) -> Any:
            return self.fetchone()[0]

    connection = sqlite3.connect(":memory:", factory=Mine)
    assert isinstance(connection, Mine)
    assert (connection.greeting, type(connection).__name__) == ("hello", "Mine")
    cursor = connection.cursor(Cursor)
    assert isinstance(cursor, Cursor)
    assert cursor.execute("select 7").first() == 7
    assert connection.execute("select 8").fetchone() == (8,)
    assert [call.sql for call in recording.calls if call.operation == ""] == ["select 7", "select 8"]


def test_a_factory_that_is_a_function_is_left_alone(recording: Recording) -> None:
    connection = sqlite3.connect(":memory:", factory=lambda *args, **_: sqlite3.Connection(*args))  # type: ignore[arg-type]
    assert type(connection) is sqlite3.Connection
    assert connection.execute("select 1").fetchall() == [(1,)]
    assert [call.operation for call in recording.calls] == ["connect"]


@pytest.mark.parametrize("read", ["iterate", "fetchall", "fetchone", "fetchmany", "drop"])
def test_rows_are_recorded_once_they_were_read(recording: Recording, read: str) -> None:
    connection = sqlite3.connect(":memory:")
    cursor = connection.execute(
        "with recursive c(x) as (select 1 union all select x + 1 from c where x < 50) select x from c"
    )
    if read == "iterate":
        assert sum(1 for _ in cursor) == 50
    elif read == "fetchall":
        assert len(cursor.fetchall()) == 50
    elif read == "fetchmany":
        while cursor.fetchmany(20):
            pass
    else:
        while cursor.fetchone():
            pass
    del cursor
    (fetch,) = recording.of("FETCH")
    assert fetch.rows_returned == 50
    assert fetch.sql == recording.calls[1].sql


def test_changed_rows_are_recorded(recording: Recording) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (a)")
    connection.executemany("insert into t values (?)", [(1,), (2,)])
    assert recording.find("insert")[0].rows_affected == 2


def test_only_transactions_that_were_open_are_ended(recording: Recording) -> None:
    connection = sqlite3.connect(":memory:")
    connection.commit()
    connection.execute("create table t (a)")
    with connection:
        connection.execute("insert into t values (1)")
    connection.execute("insert into t values (2)")
    connection.rollback()
    with contextlib.suppress(KeyError), connection:
        connection.execute("insert into t values (3)")
        raise KeyError
    assert [call.operation for call in recording.calls if call.operation not in ("", "connect")] == [
        "COMMIT", "ROLLBACK", "ROLLBACK",
    ]  # fmt: skip


def test_an_error_is_recorded_with_its_code(recording: Recording) -> None:
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(":memory:").execute("select * from nothing")
    assert recording.calls[-1].facts == {names.STATUS_CODE: "SQLITE_ERROR"}


def test_row_factories_blobs_backups_and_dumps_work(recording: Recording) -> None:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.execute("create table t (a, b blob)")
    connection.execute("insert into t values (1, zeroblob(4))")
    connection.commit()
    assert connection.execute("select a from t").fetchone()["a"] == 1
    with connection.blobopen("t", "b", 1) as blob:
        blob.write(b"abcd")
    other = sqlite3.connect(":memory:")
    connection.backup(other)
    assert other.execute("select b from t").fetchone()[0] == b"abcd"
    assert any("INSERT INTO" in line for line in connection.iterdump())


def test_the_drivers_thread_check_stays(recording: Recording) -> None:
    connection = sqlite3.connect(":memory:")
    raised: list[BaseException] = []

    def other() -> None:
        try:
            connection.execute("select 1")
        except sqlite3.ProgrammingError as error:
            raised.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(raised) == 1


def test_connections_made_before_removal_become_plain(tmp_path: Path) -> None:
    with watching(SQLiteProbe) as record:
        connection = sqlite3.connect(tmp_path / "app.db")
    before = len(record.calls)
    assert connection.execute("select 1").fetchall() == [(1,)]
    connection.commit()
    assert len(record.calls) == before


def test_an_apps_cursor_that_calls_the_c_type_is_recorded_once(recording: Recording) -> None:
    class Named(sqlite3.Cursor):
        def execute(self, *args: Any) -> Any:
            return sqlite3.Cursor.execute(self, *args)

    class Doubly(Named):
        def execute(self, *args: Any) -> Any:
            return super().execute(*args)

        def executemany(self, *args: Any) -> Any:
            return sqlite3.Cursor.executemany(self, *args)

    connection = sqlite3.connect(":memory:")
    cursor = connection.cursor(Named)
    assert cursor.execute("select 1 union select 2").fetchall() == [(1,), (2,)]
    with pytest.raises(sqlite3.OperationalError):
        cursor.execute("select no_such")
    with pytest.raises(TypeError):
        cursor.execute()
    assert [call.rows_returned for call in recording.find("union")] == [-1, 2]
    (failed,) = recording.find("no_such")
    assert isinstance(failed.error, sqlite3.OperationalError)
    connection.cursor(Doubly).execute("create table items (id integer)")
    connection.cursor(Doubly).executemany("insert into items values (?)", [(1,), (2,)])
    assert [call.rows_affected for call in recording.find("insert")] == [2]
    assert len(recording.find("create")) == 1


def test_a_cursor_class_that_takes_no_other_attributes_works(recording: Recording) -> None:
    class Closed(sqlite3.Cursor):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    cursor = sqlite3.connect(":memory:").cursor(Closed)
    assert cursor.execute("SELECT 1 UNION SELECT 2").fetchone() == (1,)
    assert cursor.fetchall() == [(2,)]
    assert [call.rows_returned for call in recording.of("FETCH")] == [2]
