"""pytds against the small TDS server of `tests/services/databases/sqlserver.py`: no SQL Server can be installed."""

from collections.abc import Iterator
from typing import Any

import pytds
import pytest

from backwatch.collector import names
from backwatch.collector.probes.pytds import PytdsProbe
from tests.collector.probes.recording import Recording, watching
from tests.services.authority import Authority
from tests.services.databases.sqlserver import ELSEWHERE
from tests.services.overlays import not_overlaid, run_tests_with
from tests.services.process import free_port
from tests.services.server import HOST, Server

PROBES = (PytdsProbe,)
OLDEST = ("python-tds==1.14.0", "setuptools==65.5.0")  # which brings pkg_resources
SECRET = "canary-7f3a"
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2500) select i from n"
driver: Any = pytds
LOGIN_TIMEOUT_S = 60
"""pytds gives its first attempt a twelfth of it, and then tries again: 0.4 s were too short on a busy machine."""


def connect(server: Server, **options: Any) -> Any:
    values = {"dsn": "localhost", "port": server.port, "user": server.user, "password": server.password}
    return driver.connect(**{**values, "database": "shop", "login_timeout": LOGIN_TIMEOUT_S, **options})


def over_tls(server: Server, **options: Any) -> Any:
    return connect(server, cafile=server.ca_file, **options)


@pytest.fixture
def cursor(recording: Recording, sqlserver: Server) -> Iterator[Any]:
    with connect(sqlserver) as connection:
        cursor = connection.cursor()
        cursor.execute("create table if not exists t (a integer, b text)")
        recording.calls.clear()
        yield cursor


# --- the session ---


def test_a_session_over_tls_is_recorded(recording: Recording, sqlserver: Server) -> None:
    with over_tls(sqlserver) as connection:
        connection.cursor().execute("select 1 as one")
    connect, select = recording.calls
    session = select.session
    assert (connect.operation, connect.session, connect.sql) == ("connect", session, None)
    assert (session.system, session.address, session.port) == ("microsoft.sql_server", "localhost", sqlserver.port)
    assert (session.encrypted, session.tls_version, session.verified) == (True, "1.2", "full")
    assert (session.requested, session.requested_explicit) == ("verify-full", True)
    assert (len(session.certificate_sha256), bool(session.issuer), bool(session.cipher)) == (64, True, True)
    assert (session.peer_address, session.peer_port) == (HOST, sqlserver.port)
    assert (session.account, session.auth_method) == (sqlserver.user, "clear-password")
    assert (session.namespace, session.server_version) == ("shop", "16.0.4125")
    assert connect.received > 900
    assert 0 < select.received < 300
    assert sqlserver.password not in repr(recording.calls)


def test_a_certificate_with_an_unchecked_name_is_verified_by_its_chain(recording: Recording, sqlserver: Server) -> None:
    over_tls(sqlserver, validate_host=False).close()
    session = recording.calls[0].session
    assert (session.requested, session.verified) == ("verify-ca", "chain")


def test_a_session_whose_login_alone_was_encrypted_is_not_encrypted(recording: Recording, sqlserver: Server) -> None:
    with over_tls(sqlserver, enc_login_only=True) as connection:
        connection.cursor().execute("select 1 as one")
    session = recording.calls[-1].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", True)
    assert (session.tls_version, session.certificate_sha256, session.verified) == ("", "", "")


def test_a_session_without_tls_is_recorded(recording: Recording, sqlserver: Server) -> None:
    connect(sqlserver).close()
    session = recording.calls[0].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", False)


def test_a_failed_login_is_recorded_with_its_tls(recording: Recording, sqlserver: Server) -> None:
    with pytest.raises(pytds.OperationalError):
        over_tls(sqlserver, password="wrong")
    (record,) = recording.calls
    assert (record.operation, record.facts) == ("connect", {names.STATUS_CODE: "18456"})
    assert (record.session.encrypted, record.session.account) == (True, sqlserver.user)


def test_a_certificate_that_is_not_trusted_is_no_plaintext(
    recording: Recording, sqlserver: Server, tmp_path_factory: Any
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"), "Another authority")
    with pytest.raises(Exception, match="certificate verify failed"):
        connect(sqlserver, cafile=str(other.ca_file))
    (record,) = recording.calls
    assert (record.operation, record.session.encrypted, type(record.error).__name__) == ("connect", None, "Error")


def test_each_server_that_was_tried_is_recorded(recording: Recording, sqlserver: Server) -> None:
    dead = free_port()
    with pytest.raises((OSError, pytds.Error)):
        connect(sqlserver, port=dead, login_timeout=0.5)
    assert {(call.operation, call.session.port, call.session.encrypted) for call in recording.calls} == {
        ("connect", dead, None)
    }


def test_the_target_of_a_redirection_is_recorded(recording: Recording, sqlserver: Server) -> None:
    connect(sqlserver, dsn=HOST, database=ELSEWHERE).close()
    sent, arrived = recording.calls
    assert sent.facts == {names.REDIRECT_TARGET: f"localhost:{sqlserver.port}"}
    assert (sent.session.address, arrived.session.address) == (HOST, "localhost")
    assert (sent.error, arrived.error, names.REDIRECT_TARGET in arrived.facts) == (None, None, False)


def test_the_target_of_a_redirection_is_recorded_if_it_is_down(recording: Recording, sqlserver: Server) -> None:
    """Each is recorded once: the server that redirected it, and the one that refused its login."""
    with pytest.raises(pytds.OperationalError):
        connect(sqlserver, dsn=HOST, database=ELSEWHERE, password="wrong")
    assert [call.facts for call in recording.calls] == [{names.STATUS_CODE: "18456"}]


def test_an_earlier_connection_is_observed_from_its_next_call(sqlserver: Server) -> None:
    with over_tls(sqlserver) as connection:
        cursor = connection.cursor()
        cursor.execute("select 1 as one")
        cursor.fetchall()
        with watching(PytdsProbe) as record:
            cursor.execute("select 2 as two")
    assert [(call.session.encrypted, call.session.port, call.sql) for call in record.calls] == [
        (True, sqlserver.port, "select 2 as two")
    ]
    assert record.calls[0].received < 500


# --- statements ---


def test_rows_and_bytes_of_statements(recording: Recording, cursor: Any) -> None:
    cursor.execute("delete from t")
    cursor.execute("insert into t values (%s, %s)", (1, SECRET))
    cursor.executemany("insert into t values (%(a)s, %(b)s)", [{"a": number, "b": SECRET * 10} for number in range(10)])
    cursor.execute("select a, b from t where b <> %s", ("",))
    assert len(cursor.fetchall()) == 11
    assert cursor.execute_scalar("select count(*) as n from t") == 11
    assert cursor.execute_scalar("select a from t where a > 100") is None
    _, insert, many, select, rows, scalar, none = recording.calls
    assert (insert.sql, insert.rows_affected, insert.rows_returned) == ("insert into t values (%s, %s)", 1, -1)
    assert (many.sql, many.rows_affected) == ("insert into t values (%(a)s, %(b)s)", 10)
    assert many.sent > 1000
    assert (select.rows_returned, select.rows_affected) == (-1, -1)
    assert (rows.operation, rows.sql, rows.rows_returned) == ("FETCH", "select a, b from t where b <> %s", 11)
    assert (scalar.rows_returned, none.rows_returned) == (1, 0)
    assert SECRET not in repr(recording.calls)


@pytest.mark.parametrize("read", ["all", "some"])
def test_rows_are_recorded_as_they_are_read(recording: Recording, cursor: Any, read: str) -> None:
    cursor.execute(NUMBERS)
    assert len(cursor.fetchall() if read == "all" else cursor.fetchmany(300)) == (2500 if read == "all" else 300)
    cursor.close()
    executed, *fetches = recording.calls
    assert (executed.sql, executed.rows_returned) == (NUMBERS, -1)
    assert [call.rows_returned for call in fetches] == ([1000, 1000, 500] if read == "all" else [300])
    assert executed.received + sum(call.received for call in fetches) > (20_000 if read == "all" else 3_000)


def test_every_set_of_rows_is_recorded(recording: Recording, cursor: Any) -> None:
    cursor.execute("select 1 as one; select 2 as two union select 3")
    assert cursor.fetchall() == [(1,)]
    assert cursor.nextset()
    assert cursor.fetchall() == [(2,), (3,)]
    assert cursor.fetchone() is None
    assert [call.rows_returned for call in recording.of("FETCH")] == [1, 2]


def test_arguments_of_a_procedure_are_not_recorded(recording: Recording, cursor: Any) -> None:
    cursor.callproc("sp_who", [SECRET])
    assert cursor.fetchall() == [(1, "app")]
    call, fetch = recording.calls
    assert (call.sql, fetch.rows_returned) == ("EXEC sp_who", 1)
    assert SECRET not in repr(recording.calls)


def test_rows_that_are_copied_are_counted(recording: Recording, cursor: Any) -> None:
    cursor.copy_to(table_or_view="t", columns=["a", "b"], data=[("1", SECRET), ("2", SECRET)])
    (record,) = recording.calls
    assert (record.sql, record.rows_affected) == ("INSERT BULK [t]", 2)
    assert SECRET not in repr(recording.calls)


def test_messages_of_the_server_are_counted(recording: Recording, cursor: Any) -> None:
    cursor.execute("print 'one'; print 'two'")
    assert [call.facts for call in recording.calls] == [{names.NOTICES: 2}]


def test_an_error_is_recorded_with_the_servers_number(recording: Recording, cursor: Any) -> None:
    with pytest.raises(pytds.Error):
        cursor.execute("select * from nowhere")
    (record,) = recording.calls
    assert (record.facts, record.rows_returned) == ({names.STATUS_CODE: "208"}, -1)
    assert isinstance(record.error, pytds.Error)


def test_open_transactions_are_recorded_at_their_end(recording: Recording, sqlserver: Server, cursor: Any) -> None:
    cursor.connection.commit()
    cursor.connection.rollback()
    assert [call.operation for call in recording.calls] == ["COMMIT", "ROLLBACK"]
    recording.calls.clear()
    with connect(sqlserver, autocommit=True) as other:
        other.commit()
    assert [call.operation for call in recording.calls] == ["connect"]


def test_another_database_is_another_session(recording: Recording, cursor: Any) -> None:
    cursor.execute("use tempdb")
    cursor.execute("select 1 as one")
    assert recording.calls[-1].session.namespace == "tempdb"


@not_overlaid
def test_the_oldest_version_is_recorded_the_same() -> None:
    run_tests_with(OLDEST, "pytds")
