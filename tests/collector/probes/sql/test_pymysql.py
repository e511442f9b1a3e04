"""PyMySQL against a real MariaDB, and against responses that no honest server sends."""

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.cursors import DictCursor, SSCursor, SSDictCursor

from backwatch.collector import names
from backwatch.collector.probes.pymysql import PyMySQLProbe
from tests.collector.probes.recording import Recording, watching
from tests.services.authority import Authority
from tests.services.server import Server

PROBES = (PyMySQLProbe,)


def connect(server: Server, **options: Any) -> Any:
    values: dict[str, Any] = {
        "host": server.host, "port": server.port, "user": server.user, "password": server.password, "database": "mysql",
        **options,
    }  # fmt: skip
    return pymysql.connect(**values)


@pytest.fixture
def connection(recording: Recording, mariadb: Server) -> Iterator[Any]:
    with contextlib.closing(connect(mariadb)) as made:
        yield made


def test_a_verified_session_is_recorded(recording: Recording, mariadb: Server) -> None:
    with connect(mariadb, ssl_ca=mariadb.ca_file, ssl_verify_identity=True) as connection:
        der = connection._sock.getpeercert(True)
    (record,) = recording.calls
    session = record.session
    assert (session.encrypted, session.verified, session.requested, session.requested_explicit) == (
        True, "full", "verify-full", True,
    )  # fmt: skip
    assert session.tls_version == "1.3"
    assert session.certificate_sha256 == hashlib.sha256(der).hexdigest().upper()
    assert (session.address, session.port) == (mariadb.host, mariadb.port)
    assert (session.peer_address, session.peer_port) == ("127.0.0.1", mariadb.port)
    assert (session.account, session.namespace, session.system) == (mariadb.user, "mysql", "mysql")
    assert "MariaDB" in session.server_version
    assert session.auth_method == "mysql_native_password"
    assert record.operation == "connect"
    assert record.received > 1000


@pytest.mark.parametrize(
    ("options", "requested", "explicit", "encrypted", "verified"),
    [
        ({}, "prefer", False, True, "none"),
        ({"ssl_disabled": True}, "disable", True, False, ""),
        ({"ssl": {"ca": None, "verify_mode": False}}, "require", True, True, "none"),
        ({"ssl_ca": "CA", "ssl_verify_cert": True}, "verify-ca", True, True, "chain"),
    ],
)
def test_requested_and_actual_tls_are_both_recorded(
    recording: Recording, mariadb: Server, options: dict[str, Any], requested: str, explicit: bool, encrypted: bool,
    verified: str,
) -> None:  # fmt: skip
    if "ssl_ca" in options:
        options = {**options, "ssl_ca": mariadb.ca_file}
    connect(mariadb, **options).close()
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit) == (requested, explicit)
    assert (session.encrypted, session.verified) == (encrypted, verified)


def test_a_failed_login_is_recorded_with_its_facts(recording: Recording, mariadb: Server) -> None:
    with pytest.raises(pymysql.err.OperationalError):
        connect(mariadb, password="wrong", ssl_ca=mariadb.ca_file)
    (record,) = recording.calls
    session = record.session
    assert record.facts == {names.STATUS_CODE: "1045"}
    assert (session.encrypted, session.tls_version) == (True, "1.3")
    assert session.certificate_sha256
    assert session.peer_address == "127.0.0.1"
    assert session.auth_method == "mysql_native_password"


def test_a_certificate_for_another_name_is_recorded(recording: Recording, mariadb: Server, tmp_path: Path) -> None:
    with pytest.raises(pymysql.err.OperationalError):
        connect(mariadb, ssl_ca=str(Authority(tmp_path).ca_file), ssl_verify_identity=True)
    (record,) = recording.calls
    assert (record.session.requested, record.session.encrypted) == ("verify-full", None)
    assert "MariaDB" in record.session.server_version


def test_a_dead_port_is_recorded(recording: Recording) -> None:
    with pytest.raises(pymysql.err.OperationalError):
        pymysql.connect(host="127.0.0.1", port=1, user="stranger")
    (record,) = recording.calls
    assert (record.session.port, record.session.account, record.session.encrypted) == (1, "stranger", None)
    assert record.facts == {names.STATUS_CODE: "2003"}


def test_a_unix_socket_is_recorded(recording: Recording, mariadb: Server) -> None:
    connect(mariadb, unix_socket=mariadb.socket, ssl_disabled=True).close()
    (record,) = recording.calls
    assert (record.session.transport, record.session.address, record.session.port) == ("unix", mariadb.socket, 0)
    assert record.session.encrypted is False
    assert record.sent == -1


def test_setting_up_a_connection_is_part_of_connect(recording: Recording, mariadb: Server) -> None:
    connect(mariadb, init_command="set @a = 1", autocommit=True, sql_mode="ANSI").close()
    assert [call.operation for call in recording.calls] == ["connect"]


def test_rows_and_bytes_of_a_statement(recording: Recording, connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select repeat('x', 100) from seq_1_to_1000")
        cursor.execute("create temporary table t (a int)")
        cursor.executemany("insert into t values (%s)", [(number,) for number in range(7)])
        cursor.execute("delete from t where a < %s", (3,))
    _, big, _, insert, delete = recording.calls
    assert (big.rows_returned, big.rows_affected) == (1000, -1)
    assert 100_000 < big.received < 130_000
    assert insert.rows_affected == 7
    assert (delete.rows_affected, delete.sql) == (3, "delete from t where a < %s")


def test_executemany_without_values_is_one_call(recording: Recording, connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("create temporary table t (a int)")
        cursor.executemany("update t set a = %s", [(1,), (2,)])
    assert len(recording.find("update")) == 1


def test_a_procedure_is_one_call(recording: Recording, connection: Any) -> None:
    with connection.cursor() as cursor, pytest.raises(pymysql.err.OperationalError):
        cursor.callproc("nothing", (1,))
    (record,) = recording.find("CALL")
    assert record.sql == "CALL nothing"


@pytest.mark.parametrize("factory", [SSCursor, SSDictCursor])
@pytest.mark.parametrize("read", ["iterate", "fetchall", "fetchmany", "leave"])
def test_rows_of_an_unbuffered_cursor_are_recorded(
    recording: Recording, connection: Any, factory: type[SSCursor], read: str
) -> None:
    with connection.cursor(factory) as cursor:
        cursor.execute("select repeat('x', 100) as a from seq_1_to_2500")
        if read == "iterate":
            assert sum(1 for _ in cursor) == 2500
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
    cursor = connection.cursor(SSCursor)
    cursor.execute("select seq from seq_1_to_5")
    assert len(list(cursor)) == 5
    cursor.execute("select 2")
    assert cursor.fetchone() == (2,)
    cursor.close()
    assert [(call.operation, call.rows_returned) for call in recording.calls[1:]] == [
        ("", -1), ("FETCH", 5), ("", -1), ("FETCH", 1),
    ]  # fmt: skip


def test_choosing_another_database_makes_another_session(recording: Recording, connection: Any) -> None:
    connection.select_db("information_schema")
    with connection.cursor() as cursor:
        cursor.execute("select 1")
        cursor.execute("use `mysql`;")
        cursor.execute("select 2")
    assert [recording.find(text)[0].session.namespace for text in ("select 1", "select 2")] == [
        "information_schema", "mysql",
    ]  # fmt: skip


def test_commands_of_the_connection_are_recorded(recording: Recording, connection: Any) -> None:
    connection.begin()
    connection.commit()
    connection.rollback()
    connection.ping(reconnect=False)
    connection.autocommit(True)
    connection.query("select 5")
    assert [call.operation for call in recording.calls[1:]] == ["BEGIN", "COMMIT", "ROLLBACK", "PING", "SET", ""]
    assert recording.calls[-1].rows_returned == 1


def test_a_reconnect_is_a_new_session(recording: Recording, connection: Any) -> None:
    connection.close()
    connection.connect()
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    assert [call.operation for call in recording.calls] == ["connect", "connect", ""]
    assert recording.calls[2].received < 500


def test_the_apps_own_subclasses_stay(recording: Recording, mariadb: Server) -> None:
    class Mine(pymysql.connections.Connection):  # type: ignore[type-arg]
        pass

    class Cursor(DictCursor):
        def execute(self, query: Any, args: Any = None) -> int:
            return super().execute(query, args)

    made = Mine(host=mariadb.host, port=mariadb.port, user=mariadb.user, password=mariadb.password, cursorclass=Cursor)
    with made as connection, connection.cursor() as cursor:
        assert type(connection) is Mine
        assert type(cursor) is Cursor
        cursor.execute("select 1 as a")
        assert cursor.fetchone() == {"a": 1}
    assert len(recording.find("select 1")) == 1


def test_an_earlier_connection_is_observed_from_its_next_call(mariadb: Server) -> None:
    with connect(mariadb, ssl_ca=mariadb.ca_file) as connection, connection.cursor() as cursor:
        cursor.execute("select repeat('x', 100000)")
        with watching(PyMySQLProbe) as record:
            cursor.execute("select 1")
        assert record.calls[0].session.encrypted is True
        assert record.calls[0].session.account == mariadb.user
        assert record.calls[0].received < 1000


def test_a_file_that_the_app_itself_sends_is_recorded_as_requested(
    recording: Recording, mariadb: Server, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("1\n2\n")
    with connect(mariadb, local_infile=True) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table t (a int)")
        assert cursor.execute("load data local infile %s into table t", (str(tmp_path / "rows.csv"),)) == 2
        cursor.execute("select 1")
    record = recording.find("load data")[0]
    assert record.facts == {names.LOCAL_INFILE: True, names.LOCAL_INFILE_FILE: str(tmp_path / "rows.csv")}
    assert recording.calls[-1].facts == {}


# --- a dishonest server ---

GREETING = (
    b"\x0a5.7.0-lies\0" + b"\1\0\0\0" + b"12345678\0" + b"\xff\xf7" + b"\x21" + b"\2\0" + b"\x0f\x80" + b"\x15"
    + bytes(10) + b"123456789012\0" + b"mysql_native_password\0"
)  # fmt: skip
OK = b"\0\0\0\2\0\0\0"


@contextlib.contextmanager
def serve_forged(answer: Callable[[bytes], bytes]) -> Generator[int]:
    """Run a MySQL server that accepts each login and answers each command with ``answer``; yield its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def packet(peer: socket.socket, number: int, payload: bytes) -> None:
        peer.sendall(len(payload).to_bytes(3, "little") + bytes([number]) + payload)

    def read(peer: socket.socket) -> bytes:
        head = peer.recv(4, socket.MSG_WAITALL)
        return peer.recv(int.from_bytes(head[:3], "little"), socket.MSG_WAITALL) if len(head) == 4 else b""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer, contextlib.suppress(OSError):
                    packet(peer, 0, GREETING)
                    read(peer)
                    packet(peer, 2, OK)
                    while command := read(peer):
                        packet(peer, 1, answer(command))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # a close alone leaves the thread in accept(), and the port taken
        thread.join(5)
        listener.close()


def asks_for(file: str, on: bytes) -> Callable[[bytes], bytes]:
    return lambda command: b"\xfb" + file.encode() if on in command else OK


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("allowed", [True, False])
def test_a_refused_request_for_a_file_is_recorded(recording: Recording, buffered: bool, allowed: bool) -> None:
    with serve_forged(asks_for("/nowhere/secret", b"select 1")) as port:
        connection: Any = pymysql.connect(host="127.0.0.1", port=port, user="a", local_infile=allowed, read_timeout=5)
        with pytest.raises((RuntimeError, pymysql.err.OperationalError)):
            connection.cursor(None if buffered else SSCursor).execute("select 1")
        connection._force_close()
    record = recording.find("select 1")[0]
    assert record.facts[names.LOCAL_INFILE] is True
    assert record.facts[names.LOCAL_INFILE_FILE] == "/nowhere/secret"
    assert record.session.encrypted is False
    assert (record.session.requested, record.session.requested_explicit) == ("prefer", False)


@pytest.mark.parametrize(
    ("command", "call", "operation"),
    [
        (b"\3COMMIT", "commit", "COMMIT"), (b"ROLLBACK", "rollback", "ROLLBACK"), (b"BEGIN", "begin", "BEGIN"),
        (b"\x0e", "ping", "PING"), (b"\2nowhere", "select_db", "USE"),
    ],
)  # fmt: skip
def test_a_request_for_a_file_after_a_command_is_recorded(
    recording: Recording, command: bytes, call: str, operation: str
) -> None:
    with serve_forged(asks_for("/etc/passwd", command)) as port:
        connection: Any = pymysql.connect(host="127.0.0.1", port=port, user="a", read_timeout=5)
        with pytest.raises(pymysql.err.OperationalError):
            getattr(connection, call)(*(["nowhere"] if call == "select_db" else []))
        connection._force_close()
    assert recording.of(operation)[0].facts[names.LOCAL_INFILE_FILE] == "/etc/passwd"


def test_a_request_for_a_file_while_connecting_is_recorded(recording: Recording) -> None:
    with serve_forged(asks_for("/etc/shadow", b"SET NAMES")) as port:
        connection: Any = pymysql.connect(host="127.0.0.1", port=port, user="a", read_timeout=5)
        connection._force_close()
    assert recording.calls[0].facts[names.LOCAL_INFILE_FILE] == "/etc/shadow"


def test_a_file_name_is_bounded_and_printable(recording: Recording) -> None:
    with serve_forged(asks_for("/\x1b[2J" + "x" * 5000, b"select 1")) as port:
        connection: Any = pymysql.connect(host="127.0.0.1", port=port, user="a", read_timeout=5)
        with pytest.raises(RuntimeError):
            connection.cursor().execute("select 1")
        connection._force_close()
    name = recording.calls[-1].facts[names.LOCAL_INFILE_FILE]
    assert isinstance(name, str)
    assert len(name) <= 200
    assert name.isprintable()


def test_a_server_without_tls_is_recorded_as_such(recording: Recording) -> None:
    with serve_forged(asks_for("", b"never")) as port, pytest.raises(pymysql.err.OperationalError):
        connect(Server(kind="mysql", port=port, url=""), ssl={"ca": None, "verify_mode": False})
    (record,) = recording.calls
    assert (record.session.requested, record.session.requested_explicit, record.session.encrypted) == (
        "require",
        True,
        False,
    )
