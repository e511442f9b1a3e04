"""clickhouse-driver against a real ClickHouse (Debian's, an old one), in the clear and over TLS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_driver
import pytest
from clickhouse_driver import errors

from backwatch.collector import names
from backwatch.collector.probes.clickhouse_driver import ClickHouseDriverProbe
from tests.collector.probes.recording import Recording, watching
from tests.services.overlays import not_overlaid, run_tests_with
from tests.services.process import free_port
from tests.services.server import Server

PROBES = (ClickHouseDriverProbe,)
NUMBERS = "select number from system.numbers limit 2500"
driver: Any = clickhouse_driver
VERIFIES = driver.VERSION >= (0, 2, 8)
"""Versions before asked ``ssl`` for it in a way that it did not understand: nothing was verified."""


def client_of(server: Server, **options: Any) -> Any:
    return driver.Client(
        **{"host": server.host, "port": server.port, "user": server.user, "password": server.password, **options}
    )


def over_tls(server: Server, **options: Any) -> Any:
    return client_of(server, port=server.tls_port, secure=True, **{"ca_certs": server.ca_file, **options})


@pytest.fixture
def client(recording: Recording, clickhouse: Server) -> Iterator[Any]:
    with client_of(clickhouse) as made:
        made.execute("select 0")
        recording.calls.clear()
        yield made


# --- the session ---


def test_a_session_over_tls_is_recorded(recording: Recording, clickhouse: Server) -> None:
    with over_tls(clickhouse, host="localhost") as client:
        ((version,),) = client.execute("select version()")
    connect, select = recording.calls
    session = connect.session
    assert (connect.operation, session.encrypted, session.tls_version, session.verified) == (
        "connect", True, "1.3", "full" if VERIFIES else "none",
    )  # fmt: skip
    assert (session.system, session.address, session.port) == ("clickhouse", "localhost", clickhouse.tls_port)
    assert (session.peer_port, session.account, session.namespace) == (clickhouse.tls_port, clickhouse.user, "")
    assert (session.server_version, session.auth_method) == (version, "clear-password")
    assert len(session.certificate_sha256) == 64
    assert connect.received > 1000
    assert (select.session, select.sql, select.rows_returned) == (session, "select version()", 1)
    assert 0 < select.received < 1000


@pytest.mark.parametrize(
    ("options", "requested", "verified"),
    [
        ({}, "verify-full", "full"),
        pytest.param({"check_hostname": False}, "verify-ca", "chain", id="no host name"),
        ({"verify": False}, "require", "none"),
    ],
)
def test_requested_and_actual_verification_are_both_recorded(
    recording: Recording, clickhouse: Server, options: dict[str, Any], requested: str, verified: str
) -> None:
    if not VERIFIES:
        options.pop("check_hostname", None)
        requested, verified = ("verify-ca" if requested == "verify-full" else requested), "none"
    with over_tls(clickhouse, host="localhost", **options) as client:
        client.execute("select 1")
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit, session.verified) == (requested, True, verified)


def test_a_session_without_tls_is_recorded(recording: Recording, clickhouse: Server) -> None:
    with client_of(clickhouse) as client:
        client.execute("select 1")
    session = recording.calls[0].session
    assert (session.requested, session.requested_explicit, session.encrypted) == ("disable", False, False)


@pytest.mark.skipif(not VERIFIES, reason="this version verifies nothing")
def test_a_certificate_that_is_not_trusted_is_no_plaintext(
    recording: Recording, clickhouse: Server, tmp_path: Path
) -> None:
    with pytest.raises(errors.NetworkError):
        over_tls(clickhouse, ca_certs=None).execute("select 1")
    record = recording.calls[0]
    assert (record.operation, record.session.encrypted, type(record.error).__name__) == (
        "connect", None, "SSLCertVerificationError",
    )  # fmt: skip


def test_a_failed_login_is_recorded_with_its_tls(recording: Recording, clickhouse: Server) -> None:
    with pytest.raises(errors.ServerException):
        over_tls(clickhouse, password="wrong").execute("select 1")
    connect = recording.calls[0]
    assert connect.facts == {names.STATUS_CODE: "193"}
    assert (connect.session.encrypted, connect.session.auth_method) == (True, "")
    assert connect.received > 0


def test_each_host_that_was_tried_is_recorded(recording: Recording, clickhouse: Server) -> None:
    dead = free_port()
    with client_of(clickhouse, port=dead, alt_hosts=f"{clickhouse.host}:{clickhouse.port}") as client:
        client.execute("select 1")
    first, second, _ = recording.calls
    assert (first.session.port, type(first.error), first.session.encrypted) == (dead, ConnectionRefusedError, None)
    assert (second.session.port, second.error) == (clickhouse.port, None)


def test_the_secret_is_kept_nowhere(recording: Recording, clickhouse: Server) -> None:
    with client_of(clickhouse) as client:
        client.execute("select 1")
        assert clickhouse.password not in repr(recording.calls)
        assert clickhouse.password not in repr(client.__dict__["_backwatch_result"].sql)


def test_an_earlier_connection_is_observed_from_its_next_call(clickhouse: Server) -> None:
    with over_tls(clickhouse) as client:
        client.execute("select * from (select number from system.numbers limit 50000)")
        with watching(ClickHouseDriverProbe) as record:
            client.execute("select 1")
    (call,) = record.calls
    assert (call.session.encrypted, call.session.port, call.rows_returned) == (True, clickhouse.tls_port, 1)
    assert call.received < 1000


def test_another_database_is_another_session(recording: Recording, client: Any) -> None:
    client.execute("use system")
    client.execute("select 1")
    assert [call.session.namespace for call in recording.calls] == ["system", "system"]


# --- statements ---


def test_rows_and_bytes_of_statements(recording: Recording, client: Any) -> None:
    client.execute("create table t (a Int32, b String) engine = Memory")
    try:
        client.execute("insert into t (a, b) values", [(number, "x" * 100) for number in range(1000)])
        client.execute("select a, b from t where a >= %(low)s", {"low": 500}, columnar=True)
        client.execute("select a from t where a < 0")
        client.execute("insert into t select * from t")
    finally:
        client.execute("drop table t")
    create, insert, select, none, copied, _ = recording.calls
    assert (create.rows_returned, create.rows_affected) == (-1, -1)
    assert (insert.rows_affected, insert.rows_returned) == (1000, -1)
    assert insert.sent > 100_000
    assert (select.rows_returned, select.sql) == (500, "select a, b from t where a >= %(low)s")
    assert select.received > 50_000
    assert none.rows_returned == 0
    assert copied.rows_affected == -1


@pytest.mark.parametrize("read", ["iterate", "progress", "leave"])
def test_rows_of_a_lazy_statement_are_recorded_as_they_are_read(recording: Recording, client: Any, read: str) -> None:
    if read == "iterate":
        assert sum(1 for _ in client.execute_iter(NUMBERS, settings={"max_block_size": 100})) == 2500
    elif read == "progress":
        assert len(client.execute_with_progress(NUMBERS).get_result()) == 2500
    else:
        rows = client.execute_iter(NUMBERS, settings={"max_block_size": 100})
        next(rows)
        client.disconnect()
    executed, *fetches = recording.calls
    assert (executed.sql, executed.rows_returned) == (NUMBERS, -1)
    assert {(call.operation, call.sql) for call in fetches} == {("FETCH", NUMBERS)}
    assert sum(call.rows_returned for call in fetches) == (100 if read == "leave" else 2500)
    assert len(fetches) <= 4


def test_an_error_is_recorded_with_the_servers_number(recording: Recording, client: Any) -> None:
    with pytest.raises(errors.ServerException):
        client.execute("select * from nothing")
    (record,) = recording.calls
    assert (record.facts, record.sent) == ({names.STATUS_CODE: "60"}, -1)
    with pytest.raises(errors.ServerException):
        list(client.execute_iter("select throwIf(number = 3) from system.numbers limit 10"))
    assert recording.calls[1].operation == "connect"  # the driver had closed the connection
    assert recording.calls[-1].error is not None


def test_a_statement_over_db_api_is_recorded_once(recording: Recording, clickhouse: Server) -> None:
    connection = driver.connect(clickhouse.url)
    cursor = connection.cursor()
    cursor.execute("select 1, 2")
    assert cursor.fetchall() == [(1, 2)]
    connection.close()
    assert [(call.operation, call.sql) for call in recording.calls] == [("connect", None), ("", "select 1, 2")]


@not_overlaid
def test_the_oldest_version_is_recorded_the_same(clickhouse: Server) -> None:
    run_tests_with(["clickhouse-driver==0.2.6"], "clickhouse_driver", clickhouse)
