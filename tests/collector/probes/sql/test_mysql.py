"""mysql-connector-python against a real MariaDB: in Python and in C where that loads; its oldest version too.

The C extension of its newest wheels needs an OpenSSL that this system may not have: an overlay brings an older one.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mysql.connector
import pytest
from mysql.connector.constants import ClientFlag

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import MySQL, Packets
from backwatch.collector import names
from backwatch.collector.probes.mysql import MySQLConnectorProbe
from tests.collector.probes.recording import Recording, watching
from tests.services.overlays import OVERLAID, not_overlaid, run_tests_with
from tests.services.server import Server

PROBES = (MySQLConnectorProbe,)
FLAVOURS = ("python", "c")
driver: Any = mysql.connector


class WithoutTls(MySQL):
    """A server that announces no TLS."""

    def offers_tls(self) -> bool:
        return False


def hang_up(_: Packets) -> bytes:
    raise ConnectionResetError


@pytest.fixture(params=FLAVOURS)
def pure(request: pytest.FixtureRequest) -> bool:
    if request.param == "c" and not driver.HAVE_CEXT:
        pytest.skip("this version has no C extension; an overlay brings one that has")
    return request.param == "python"


def connect(server: Server, **options: Any) -> Any:
    values: dict[str, Any] = {
        "host": server.host, "port": server.port, "user": server.user, "password": server.password,
        "database": "mysql", "charset": "utf8mb4", "use_pure": True, **options,
    }  # fmt: skip
    return driver.connect(**values)


@pytest.fixture
def connection(recording: Recording, mariadb: Server, pure: bool) -> Iterator[Any]:
    with contextlib.closing(connect(mariadb, use_pure=pure)) as made:
        yield made


def rows(recording: Recording) -> list[tuple[str, int, int]]:
    """Return operation, rows returned and affected of every call after connect."""
    return [(call.operation, call.rows_returned, call.rows_affected) for call in recording.calls[1:]]


# --- the session ---


def test_a_session_over_tls_is_recorded_as_the_server_sees_it(
    recording: Recording, mariadb: Server, pure: bool
) -> None:
    made = connect(mariadb, use_pure=pure, ssl_ca=mariadb.ca_file, ssl_verify_cert=True)
    with contextlib.closing(made) as connection, contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("show session status where variable_name in ('Ssl_cipher', 'Ssl_version')")
        values = dict(cursor.fetchall())
    record = recording.calls[0]
    session = record.session
    assert (record.operation, session.encrypted, session.cipher) == ("connect", True, values["Ssl_cipher"])
    assert (session.address, session.port, session.transport) == (mariadb.host, mariadb.port, "tcp")
    assert (session.account, session.namespace, session.system) == (mariadb.user, "mysql", "mysql")
    assert (session.requested, session.requested_explicit) == ("verify-ca", True)
    if pure:
        assert f"TLSv{session.tls_version}" == values["Ssl_version"]
        assert (session.verified, session.auth_method) == ("chain", "mysql_native_password")
        assert "MariaDB" in session.server_version
        assert len(session.certificate_sha256) == 64
        assert (session.peer_address, session.peer_port) == ("127.0.0.1", mariadb.port)
        assert record.received > 1000
    else:
        assert (session.tls_version, session.verified, session.certificate_sha256) == ("", "", "")
        assert (session.auth_method, session.peer_address, record.received) == ("", "", -1)


@pytest.mark.parametrize(
    ("options", "requested", "explicit", "verified"),
    [
        ({}, "prefer", False, "none"),
        ({"ssl_disabled": True}, "disable", True, ""),
        ({"ssl_ca": "CA"}, "prefer", True, None),
        ({"ssl_ca": "CA", "ssl_verify_cert": True}, "verify-ca", True, "chain"),
        ({"ssl_ca": "CA", "ssl_verify_cert": True, "ssl_verify_identity": True}, "verify-full", True, "full"),
    ],
)
def test_requested_mode_and_verification_are_recorded(
    recording: Recording, mariadb: Server, pure: bool,
    options: dict[str, Any], requested: str, explicit: bool, verified: str | None,
) -> None:  # fmt: skip
    values = {name: mariadb.ca_file if value == "CA" else value for name, value in options.items()}
    connect(mariadb, host="localhost", use_pure=pure, **values).close()
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit) == (requested, explicit)
    assert session.encrypted is (requested != "disable")
    if pure and verified is not None:
        assert session.verified == verified


def test_an_untrusted_certificate_is_not_recorded_as_plaintext(
    recording: Recording, mariadb: Server, pure: bool
) -> None:
    with pytest.raises(driver.Error):
        connect(mariadb, use_pure=pure, ssl_ca=__file__, ssl_verify_cert=True)
    (record,) = recording.calls
    assert (record.operation, record.session.encrypted, record.session.requested) == ("connect", None, "verify-ca")


def test_a_failed_login_is_recorded(recording: Recording, mariadb: Server, pure: bool) -> None:
    with pytest.raises(driver.Error, match="Access denied"):
        connect(mariadb, use_pure=pure, password="wrong")
    (record,) = recording.calls
    assert record.facts == {names.STATUS_CODE: "1045"}
    assert (record.session.account, record.session.port) == (mariadb.user, mariadb.port)
    assert record.session.encrypted is (True if pure else None)


def test_a_dead_port_is_recorded(recording: Recording, pure: bool) -> None:
    with pytest.raises(driver.Error):
        driver.connect(host="127.0.0.1", port=1, user="stranger", use_pure=pure)
    (record,) = recording.calls
    assert (record.session.port, record.session.account, record.session.encrypted) == (1, "stranger", None)
    assert str(record.facts[names.STATUS_CODE]).startswith("200")


@pytest.mark.skipif(OVERLAID in os.environ, reason="what older ones and the C extension do there differs")
def test_a_server_without_the_required_tls_is_recorded(recording: Recording, pure: bool, tmp_path: Path) -> None:
    server = WithoutTls(Authority(tmp_path))
    server.start()
    asked = {"host": "127.0.0.1", "port": server.port, "user": "stranger", "ssl_ca": str(server.authority.ca_file)}
    with pytest.raises(driver.Error, match="SSL is required"):
        driver.connect(**asked, ssl_verify_cert=True, use_pure=pure)
    server.stop()
    (record,) = recording.calls
    assert (record.session.requested, record.session.encrypted) == ("verify-ca", False)


@pytest.mark.skipif(OVERLAID in os.environ, reason="older ones take each later server for a MySQL 8 like this one")
def test_a_hang_up_after_the_greeting_is_not_recorded_as_plaintext(
    recording: Recording, pure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Packets, "receive", hang_up)
    server = MySQL(Authority(tmp_path))
    server.start()
    asked = {"host": "127.0.0.1", "port": server.port, "user": "stranger", "ssl_ca": str(server.authority.ca_file)}
    for _ in range(5):
        with pytest.raises(driver.Error):
            driver.connect(**asked, ssl_verify_cert=True, use_pure=pure)
    server.stop()
    assert [record.session.encrypted for record in recording.calls] == [None] * 5


def test_a_unix_socket_is_recorded(recording: Recording, mariadb: Server, pure: bool) -> None:
    connect(mariadb, use_pure=pure, unix_socket=mariadb.socket).close()
    (record,) = recording.calls
    assert (record.session.transport, record.session.address, record.session.port) == ("unix", mariadb.socket, 0)
    assert (record.session.encrypted, record.sent) == (False, -1)


def test_the_secret_is_kept_nowhere(recording: Recording, connection: Any, mariadb: Server) -> None:
    assert mariadb.password not in repr(recording.calls)
    assert mariadb.password not in repr(connection.__dict__["_backwatch_state"].session)


def test_setting_up_a_connection_is_part_of_connect(recording: Recording, mariadb: Server, pure: bool) -> None:
    connect(mariadb, use_pure=pure, init_command="set @a = 1", autocommit=True, sql_mode="ANSI").close()
    assert [call.operation for call in recording.calls] == ["connect"]


def test_another_login_is_another_session(recording: Recording, connection: Any, mariadb: Server) -> None:
    connection.cmd_change_user(mariadb.user, mariadb.password, "information_schema")
    with pytest.raises(driver.Error, match="Access denied"):
        connection.cmd_change_user("absent", "x", "mysql")
    login, refused = recording.of("login")
    assert (login.session.namespace, login.session.account) == ("information_schema", mariadb.user)
    assert (refused.session.account, refused.facts) == ("absent", {names.STATUS_CODE: "1045"})


def test_an_earlier_connection_is_observed_from_its_next_call(mariadb: Server, pure: bool) -> None:
    with contextlib.closing(connect(mariadb, use_pure=pure)) as connection:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("select repeat('x', 100000)")
            cursor.fetchall()
            with watching(MySQLConnectorProbe) as record:
                cursor.execute("select 1")
                assert cursor.fetchall() == [(1,)]
        session = record.calls[0].session
        assert (session.encrypted, session.account, session.port) == (True, mariadb.user, mariadb.port)
        assert record.calls[0].received < 1000


def test_a_pool_connects_once_and_hands_out_the_same_sessions(recording: Recording, mariadb: Server) -> None:
    options = {"pool_name": f"test{os.getpid()}", "pool_size": 1}
    for _ in range(3):
        connection = connect(mariadb, **options)
        with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("select 1")
            assert cursor.fetchall() == [(1,)]
    connects = recording.of("connect")
    assert len(connects) == 1
    assert len(recording.find("select 1")) == 6  # 3 statements and 3 reads
    assert {(call.session.port, call.session.encrypted) for call in recording.calls} == {(mariadb.port, True)}


# --- statements ---


def test_rows_and_bytes_of_a_statement(recording: Recording, connection: Any, pure: bool) -> None:
    with contextlib.closing(connection.cursor(buffered=True)) as cursor:
        cursor.execute("select %s", (1,))  # at the first one with parameters the driver asks for the SQL mode
        cursor.execute("select repeat('x', 100) from seq_1_to_1000")
        cursor.execute("create temporary table t (a int)")
        cursor.executemany("insert into t values (%s)", [(number,) for number in range(7)])
        cursor.execute("delete from t where a < %s", (3,))
        cursor.executemany("update t set a = %s", [(1,), (2,)])
    first, big, _, insert, delete, update = recording.calls[1:]
    assert first.rows_returned == 1
    assert (big.rows_returned, big.rows_affected) == (1000, -1)
    assert 100_000 < big.received < 130_000 if pure else big.received == -1
    assert insert.rows_affected == 7
    assert (delete.rows_affected, delete.sql) == (3, "delete from t where a < %s")
    assert update.sql == "update t set a = %s"


@pytest.mark.parametrize("options", [{}, {"dictionary": True}, {"raw": True}, {"prepared": True}])
@pytest.mark.parametrize("read", ["iterate", "fetchone", "fetchall", "fetchmany"])
def test_rows_are_recorded_as_they_are_read(
    recording: Recording, connection: Any, options: dict[str, Any], read: str
) -> None:
    with contextlib.closing(connection.cursor(**options)) as cursor:
        cursor.execute("select repeat('x', 100) as a from seq_1_to_2500")
        if read == "iterate":
            assert sum(1 for _ in cursor) == 2500
        elif read == "fetchone":
            while cursor.fetchone():
                pass
        elif read == "fetchall":
            assert len(cursor.fetchall()) == 2500
        else:
            while cursor.fetchmany(300):
                pass
    record = recording.find("seq_1_to_2500")
    fetches = [call for call in record if call.operation == "FETCH"]
    assert sum(call.rows_returned for call in record if call.rows_returned > 0) == 2500
    assert len(fetches) <= 4
    assert {call.sql for call in fetches} == {record[0].sql}
    assert [call for call in record if call.error] == []


def test_rows_read_before_the_connection_ends_are_recorded(recording: Recording, mariadb: Server, pure: bool) -> None:
    connection = connect(mariadb, use_pure=pure)
    cursor = connection.cursor()
    cursor.execute("select seq from seq_1_to_5000")
    assert len(cursor.fetchmany(10)) == 10
    connection.close()
    assert sum(call.rows_returned for call in recording.of("FETCH")) >= 10


def test_a_procedure_is_one_call(recording: Recording, connection: Any) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("create or replace procedure connector_p(a int) begin select a; select a + 1; end")
        try:
            cursor.callproc("connector_p", (7,))
            assert [call.fetchall() for call in cursor.stored_results()] == [[(7,)], [(8,)]]
        finally:
            cursor.execute("drop procedure connector_p")
        with pytest.raises(driver.Error, match="does not exist"):
            cursor.callproc("nothing", (1,))
    called, failed = (call for call in recording.calls if "CALL" in str(call.sql))
    assert (called.sql, called.rows_returned) == ("CALL connector_p", 3)  # and one of what came out of its parameters
    assert (failed.sql, failed.facts) == ("CALL nothing", {names.STATUS_CODE: "1305"})


def test_warnings_are_counted(recording: Recording, connection: Any) -> None:
    with contextlib.closing(connection.cursor(buffered=True)) as cursor:
        cursor.execute("select cast('a' as signed), cast('b' as signed)")
        cursor.execute("select 1")
        with pytest.raises(driver.Error, match="nothing"):
            cursor.execute("select * from nothing")
    assert [call.facts.get(names.NOTICES) for call in recording.calls[1:]] == [2, None, None]
    assert recording.calls[-1].facts == {names.STATUS_CODE: "1146"}


def test_several_results_are_recorded_one_by_one(recording: Recording, mariadb: Server, pure: bool) -> None:
    text = "select 1; select seq from seq_1_to_3; do 0"
    made = connect(mariadb, use_pure=pure, client_flags=[ClientFlag.MULTI_STATEMENTS])
    with contextlib.closing(made) as connection, contextlib.closing(connection.cursor()) as cursor:
        if driver.__version_info__ >= (9, 2):
            cursor.execute(text)
            seen = [cursor.fetchall()]
            while cursor.nextset():
                seen.append(cursor.fetchall() if cursor.description else [])
        else:
            seen = [call.fetchall() if call.with_rows else [] for call in cursor.execute(text, multi=True)]
    assert seen == [[(1,)], [(1,), (2,), (3,)], []]
    record = recording.find("seq_1_to_3")
    assert sum(call.rows_returned for call in record if call.rows_returned > 0) == 4
    texts = (call.sql for call in record)  # as the app's call handed it down: some versions encode it first
    assert {call.decode() if isinstance(call, bytes) else call for call in texts} == {text}


def test_commands_of_the_connection_are_recorded(recording: Recording, connection: Any) -> None:
    connection.commit()
    connection.rollback()
    connection.ping()
    connection.cmd_query("do 1")
    assert [(call.operation, call.sql) for call in recording.calls[1:]] == [
        ("COMMIT", "COMMIT"), ("ROLLBACK", "ROLLBACK"), ("PING", None), ("", "do 1"),
    ]  # fmt: skip


def test_choosing_another_database_makes_another_session(recording: Recording, connection: Any) -> None:
    connection.database = "information_schema"
    with contextlib.closing(connection.cursor(buffered=True)) as cursor:
        cursor.execute("select 1")
        cursor.execute("use `mysql`;")
        cursor.execute("select 2")
    assert [recording.find(text)[0].session.namespace for text in ("select 1", "select 2")] == [
        "information_schema", "mysql",
    ]  # fmt: skip


def test_a_server_that_requests_a_file_is_recorded(recording: Recording, mariadb: Server, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("1\tone\n")
    connection = connect(mariadb, allow_local_infile=True)
    with contextlib.closing(connection), contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("create temporary table t (a int, b text)")
        cursor.execute(f"load data local infile '{tmp_path}/f.csv' into table t")
    record = recording.find("infile")[0]
    assert record.facts[names.LOCAL_INFILE] is True
    assert record.facts[names.LOCAL_INFILE_FILE] == f"{tmp_path}/f.csv"
    assert record.rows_affected == 1


def test_a_connection_that_the_server_ended_is_recorded(recording: Recording, connection: Any, mariadb: Server) -> None:
    with contextlib.closing(connect(mariadb)) as other:
        other.cmd_query(f"kill {connection.connection_id}")
    with pytest.raises(driver.Error):
        connection.cmd_query("select 1")
    (record,) = recording.find("select 1")
    assert str(record.facts[names.STATUS_CODE]).startswith("20")


# --- other versions ---


@not_overlaid
@pytest.mark.parametrize("version", ["8.0.32", "9.7.0"], ids=["the oldest", "with the C extension"])
def test_other_versions_are_recorded_the_same(mariadb: Server, version: str) -> None:
    run_tests_with([f"mysql-connector-python=={version}"], "mysql", mariadb, select="mysql and not pymysql")
