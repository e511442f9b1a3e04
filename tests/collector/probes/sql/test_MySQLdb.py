"""mysqlclient against a real MariaDB: its C type, its cursors, and its client library."""

import contextlib
import importlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.collector.probes.MySQLdb import MySQLdbProbe
from backwatch.collector.probes.MySQLdb.native import UNKNOWN, Library, library
from tests.collector.probes.recording import Recording, watching
from tests.services.process import ROOT
from tests.services.server import Server

PROBES = (MySQLdbProbe,)
MULTI_STATEMENTS = 1 << 16


def connect(server: Server, **options: Any) -> Any:
    driver: Any = importlib.import_module("MySQLdb")
    values: dict[str, Any] = {
        "host": server.host, "port": server.port, "user": server.user, "password": server.password, "database": "mysql",
        **options,
    }  # fmt: skip
    return driver.connect(**values)


def kind(name: str) -> Any:
    return getattr(importlib.import_module("MySQLdb.cursors"), name)


@pytest.fixture
def connection(recording: Recording, mariadb: Server) -> Iterator[Any]:
    with contextlib.closing(connect(mariadb, client_flag=MULTI_STATEMENTS)) as made:
        yield made


# --- the session ---


def test_a_session_over_tls_is_recorded(recording: Recording, mariadb: Server) -> None:
    connection = connect(mariadb, ssl={"ca": mariadb.ca_file})
    with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("show session status where variable_name in ('Ssl_cipher', 'Ssl_version')")
        values = dict(cursor.fetchall())
    record = recording.calls[0]
    session = record.session
    assert session.encrypted is True
    assert (session.cipher, f"TLSv{session.tls_version}") == (values["Ssl_cipher"], values["Ssl_version"])
    assert (session.verified, session.certificate_sha256, session.auth_method) == ("", "", "")
    assert (session.address, session.port) == (mariadb.host, mariadb.port)
    assert (session.peer_address, session.peer_port) == ("127.0.0.1", mariadb.port)
    assert (session.account, session.namespace, session.system) == (mariadb.user, "mysql", "mysql")
    assert "MariaDB" in session.server_version
    assert record.operation == "connect"
    assert record.received > 1000


def test_a_session_without_tls_is_recorded(recording: Recording, mariadb: Server) -> None:
    connect(mariadb).close()
    session = recording.calls[0].session
    assert (session.encrypted, session.tls_version, session.cipher) == (False, "", "")


@pytest.mark.parametrize(
    ("options", "requested", "explicit"),
    [
        ({}, "prefer", False),
        ({"ssl": {"ca": "CA"}}, "prefer", True),
        ({"ssl": True}, "require", True),
        ({"ssl_mode": "DISABLED"}, "disable", True),
        ({"ssl_mode": "REQUIRED"}, "require", True),
        ({"ssl_mode": "VERIFY_CA", "ssl": {"ca": "CA"}}, "verify-ca", True),
        ({"ssl_mode": "VERIFY_IDENTITY", "ssl": {"ca": "CA"}}, "verify-full", True),
    ],
)
def test_requested_mode_is_recorded_and_verification_stays_unknown(
    recording: Recording, mariadb: Server, options: dict[str, Any], requested: str, explicit: bool
) -> None:
    if isinstance(options.get("ssl"), dict):
        options = {**options, "ssl": {"ca": mariadb.ca_file}}
    connect(mariadb, **options).close()
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit, session.verified) == (requested, explicit, "")
    assert session.encrypted is (requested != "disable" and bool(options))


def test_contents_of_an_options_file_are_not_guessed(recording: Recording, mariadb: Server, tmp_path: Path) -> None:
    (tmp_path / "my.cnf").write_text(f"[client]\nuser={mariadb.user}\npassword={mariadb.password}\nssl-enforce\n")
    driver: Any = importlib.import_module("MySQLdb")
    driver.connect(host=mariadb.host, port=mariadb.port, read_default_file=str(tmp_path / "my.cnf")).close()
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit) == ("", None)
    assert session.account == mariadb.user  # the library knows whose name it used


def test_positional_arguments_are_understood(recording: Recording, mariadb: Server) -> None:
    driver: Any = importlib.import_module("MySQLdb")
    driver.connect(mariadb.host, mariadb.user, mariadb.password, "mysql", mariadb.port).close()
    session = recording.calls[0].session
    assert (session.address, session.port, session.account, session.namespace) == (
        mariadb.host, mariadb.port, mariadb.user, "mysql",
    )  # fmt: skip


def test_the_secret_is_kept_nowhere(recording: Recording, mariadb: Server) -> None:
    with contextlib.closing(connect(mariadb)) as connection:
        assert mariadb.password not in repr(connection.__dict__)
        assert mariadb.password not in repr(recording.calls)


def test_a_failed_login_is_recorded(recording: Recording, mariadb: Server) -> None:
    with pytest.raises(Exception, match="Access denied"):
        connect(mariadb, password="wrong", ssl={"ca": mariadb.ca_file})
    (record,) = recording.calls
    assert record.facts == {names.STATUS_CODE: "1045"}
    assert (record.session.account, record.session.port, record.session.encrypted) == (mariadb.user, mariadb.port, None)


def test_a_dead_port_is_recorded(recording: Recording) -> None:
    driver: Any = importlib.import_module("MySQLdb")
    with pytest.raises(driver.OperationalError):
        driver.connect(host="127.0.0.1", port=1, user="stranger")
    (record,) = recording.calls
    assert (record.session.port, record.session.account, record.session.encrypted) == (1, "stranger", None)
    assert str(record.facts[names.STATUS_CODE]).startswith("200")


def test_arguments_that_the_driver_refuses_are_recorded(recording: Recording, mariadb: Server) -> None:
    with pytest.raises(TypeError):
        connect(mariadb, nothing=1)
    assert [call.operation for call in recording.calls] == ["connect"]


def test_a_unix_socket_is_recorded(recording: Recording, mariadb: Server) -> None:
    connect(mariadb, unix_socket=mariadb.socket, host="localhost").close()
    (record,) = recording.calls
    assert (record.session.transport, record.session.address, record.session.port) == ("unix", mariadb.socket, 0)
    assert record.session.peer_address == mariadb.socket
    assert record.session.encrypted is False
    assert record.sent == -1


def test_setting_up_a_connection_is_part_of_connect(recording: Recording, mariadb: Server) -> None:
    connect(mariadb, init_command="set @a = 1", autocommit=True, sql_mode="ANSI", charset="utf8mb4").close()
    assert [call.operation for call in recording.calls] == ["connect"]


def test_another_login_is_another_session(recording: Recording, connection: Any, mariadb: Server) -> None:
    connection.change_user(mariadb.user, mariadb.password, "information_schema")
    with pytest.raises(Exception, match="Access denied"):
        connection.change_user("absent", "x", "mysql")
    login, refused = recording.of("login")
    assert (login.session.namespace, login.session.account) == ("information_schema", mariadb.user)
    assert (refused.session.account, refused.facts) == ("absent", {names.STATUS_CODE: "1045"})


def test_an_earlier_connection_is_observed_from_its_next_call(mysqlclient: Any, mariadb: Server) -> None:
    connection = connect(mariadb, ssl={"ca": mariadb.ca_file})
    with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("select repeat('x', 100000)")
        with watching(MySQLdbProbe) as record:
            cursor.execute("select 1")
    session = record.calls[0].session
    assert (session.encrypted, session.account, session.port) == (True, mariadb.user, mariadb.port)
    assert (session.requested, session.requested_explicit) == ("", None)
    assert record.calls[0].received < 1000


def test_the_apps_own_subclasses_stay(recording: Recording, mariadb: Server) -> None:
    connections: Any = importlib.import_module("MySQLdb.connections")
    dictionaries: Any = kind("DictCursor")

    class Mine(connections.Connection):
        pass

    class Cursor(dictionaries):
        def execute(self, query: Any, args: Any = None) -> Any:
            return super().execute(query, args)

    made = Mine(host=mariadb.host, port=mariadb.port, user=mariadb.user, password=mariadb.password, cursorclass=Cursor)
    with contextlib.closing(made), contextlib.closing(made.cursor()) as cursor:
        assert type(made) is Mine
        assert type(cursor) is Cursor
        cursor.execute("select 1 as a")
        assert cursor.fetchone() == {"a": 1}
    assert len(recording.find("select 1")) == 1


# --- statements ---


def test_rows_and_bytes_of_a_statement(recording: Recording, connection: Any) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("select repeat('x', 100) from seq_1_to_1000")
        cursor.execute("create temporary table t (a int)")
        cursor.executemany("insert into t values (%s)", [(number,) for number in range(7)])
        cursor.execute("delete from t where a < %s", (3,))
        cursor.executemany("update t set a = %s", [(1,), (2,)])
    _, big, _, insert, delete, update = recording.calls
    assert (big.rows_returned, big.rows_affected) == (1000, -1)
    assert 100_000 < big.received < 130_000
    assert insert.rows_affected == 7
    assert (delete.rows_affected, delete.sql) == (3, "delete from t where a < %s")
    assert update.sql == "update t set a = %s"


def test_a_procedure_is_one_call(recording: Recording, connection: Any) -> None:
    with contextlib.closing(connection.cursor()) as cursor, pytest.raises(Exception, match="does not exist"):
        cursor.callproc("nothing", (1,))
    assert [call.sql for call in recording.calls[1:]] == ["CALL nothing"]


def test_several_results_are_recorded_one_by_one(recording: Recording, connection: Any) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("select 1; select seq from seq_1_to_3; do 0")
        while cursor.nextset():
            pass
    assert [(call.operation, call.rows_returned) for call in recording.calls[1:]] == [
        ("", 1),
        ("FETCH", 3),
        ("FETCH", -1),
    ]
    assert {call.sql for call in recording.calls[1:]} == {"select 1; select seq from seq_1_to_3; do 0"}


def test_warnings_are_counted_and_not_those_of_an_error(recording: Recording, connection: Any) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("select cast('a' as signed), cast('b' as signed)")
        cursor.execute("select 1")
        with pytest.raises(Exception, match="nothing"):
            cursor.execute("select * from nothing")
    assert [call.facts.get(names.NOTICES) for call in recording.calls[1:]] == [2, None, None]


@pytest.mark.parametrize("factory", ["SSCursor", "SSDictCursor"])
@pytest.mark.parametrize("read", ["iterate", "fetchone", "fetchall", "fetchmany", "leave"])
def test_rows_of_an_unbuffered_cursor_are_recorded(
    recording: Recording, connection: Any, factory: str, read: str
) -> None:
    with contextlib.closing(connection.cursor(kind(factory))) as cursor:
        cursor.execute("select repeat('x', 100) as a from seq_1_to_2500")
        if read == "iterate":
            assert sum(1 for _ in cursor) == 2500
        elif read == "fetchone":
            while cursor.fetchone():
                pass
        elif read == "fetchall":
            assert len(cursor.fetchall()) == 2500
        elif read == "fetchmany":
            while cursor.fetchmany(300):
                pass
        else:
            assert len(cursor.fetchmany(10)) == 10
    executed = recording.calls[1]
    assert (executed.rows_returned, executed.rows_affected) == (-1, -1)
    fetches = recording.of("FETCH")
    assert sum(call.rows_returned for call in fetches) == (10 if read == "leave" else 2500)
    assert sum(call.received for call in fetches) + executed.received > 250_000
    assert {call.sql for call in fetches} == {executed.sql}
    assert len(fetches) <= 3


def test_rows_of_an_unbuffered_cursor_are_recorded_before_its_next_statement(
    recording: Recording, connection: Any
) -> None:
    with contextlib.closing(connection.cursor(kind("SSCursor"))) as cursor:
        cursor.execute("select seq from seq_1_to_5")
        assert cursor.fetchone() == (1,)
        cursor.execute("select 2")
        assert cursor.fetchall() == ((2,),)
    assert [(call.operation, call.rows_returned) for call in recording.calls[1:]] == [
        ("", -1), ("FETCH", 1), ("", -1), ("FETCH", 1),
    ]  # fmt: skip


def test_choosing_another_database_makes_another_session(recording: Recording, connection: Any) -> None:
    connection.select_db("information_schema")
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("select 1")
        cursor.execute("use `mysql`;")
        cursor.execute("select 2")
    assert [recording.find(text)[0].session.namespace for text in ("select 1", "select 2")] == [
        "information_schema", "mysql",
    ]  # fmt: skip


def test_commands_are_recorded_where_they_send_anything(recording: Recording, connection: Any) -> None:
    connection.begin()
    connection.commit()
    connection.rollback()
    connection.ping()
    connection.autocommit(True)
    connection.autocommit(True)  # the driver knows, and sends nothing
    connection.query("select 5")
    connection.store_result()
    connection.query("do 1")
    assert [call.operation for call in recording.calls[1:]] == ["", "COMMIT", "ROLLBACK", "PING", "SET", "", ""]
    assert recording.calls[1].sql == b"BEGIN"
    assert [call.rows_affected for call in recording.calls[-2:]] == [-1, 0]


def test_a_connection_ended_by_the_server_is_recorded_without_its_descriptor(
    recording: Recording, connection: Any, mariadb: Server
) -> None:
    with contextlib.closing(connect(mariadb)) as other:
        other.query(f"kill {connection.thread_id()}")
    with contextlib.closing(connection.cursor()) as cursor, pytest.raises(Exception, match=r"\(2\d\d\d, "):
        cursor.execute("select 1")
    (record,) = recording.find("select 1")
    assert (record.sent, record.received) == (-1, -1)
    assert str(record.facts[names.STATUS_CODE]).startswith("2")


# --- the library below ---


def test_the_library_is_reached_through_the_drivers_own_capsule(mysqlclient: Any, mariadb: Server) -> None:
    extension: Any = importlib.import_module("MySQLdb._mysql")
    below = Library(extension.__file__)
    with contextlib.closing(connect(mariadb, ssl={"ca": mariadb.ca_file})) as connection:
        values = [below.read(connection) for _ in range(200)]
    assert len(set(values)) == 1
    assert values[0].is_known
    assert values[0].cipher
    assert values[0].version.startswith("TLSv1.")
    assert values[0].user == mariadb.user


def test_without_a_capsule_nothing_is_known(mysqlclient: Any) -> None:
    extension: Any = importlib.import_module("MySQLdb._mysql")
    assert Library(extension.__file__).read(object()) == UNKNOWN


def test_an_extension_that_is_linked_with_something_else_is_not_asked() -> None:
    math: Any = importlib.import_module("_decimal")
    assert library(getattr(math, "__file__", None) or "/nowhere.so") is None
    assert library("/nowhere.so") is None


def test_threads_with_connections_of_their_own_are_asked_at_once(recording: Recording, mariadb: Server) -> None:
    def run() -> None:
        for _ in range(10):
            connection = connect(mariadb, ssl={"ca": mariadb.ca_file})
            with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
                cursor.execute("select 1")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for call in threads:
        call.start()
    for call in threads:
        call.join(60)
    assert len(recording.calls) == 80
    assert {call.session.cipher for call in recording.calls} != {""}
    assert len({call.session.cipher for call in recording.calls}) == 1


BESIDE = """
import sys
sys.path.append(".tools/drivers")
import mysql.connector, psycopg, psycopg2, ssl, MySQLdb, pymysql
from backwatch.collector.probes.MySQLdb import MySQLdbProbe
from tests.collector.probes.recording import Recording
recording = Recording()
MySQLdbProbe().instrument(recorder=recording)
for _ in range(20):
    MySQLdb.connect(
        host="127.0.0.1", port=int(sys.argv[1]), user=sys.argv[2], password=sys.argv[3], ssl={"ca": sys.argv[4]}
    ).close()
print(len(recording.calls), {(one.session.encrypted, one.session.tls_version) for one in recording.calls})
"""


def test_other_libraries_of_tls_in_the_process_change_nothing(mysqlclient: Any, mariadb: Server) -> None:
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", BESIDE, str(mariadb.port), mariadb.user, mariadb.password, mariadb.ca_file],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "20 {(True, '1.3')}\n"
