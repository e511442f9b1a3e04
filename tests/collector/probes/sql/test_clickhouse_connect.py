"""clickhouse-connect against a real ClickHouse behind `tests/services/databases/clickhouse_http.py`."""

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from backwatch.collector import names
from backwatch.collector.probes.aiohttp import AiohttpProbe
from backwatch.collector.probes.clickhouse_connect import ClickHouseConnectProbe
from backwatch.collector.probes.urllib3 import Urllib3Probe
from tests.collector.probes.recording import Recording, watching
from tests.services.databases.clickhouse_http import MOVED
from tests.services.overlays import not_overlaid, run_tests_with
from tests.services.process import free_port
from tests.services.server import Server

PROBES = (ClickHouseConnectProbe,)
SECRET = "canary-7f3a"
OLD = [("clickhouse-connect==0.8.0",), ("clickhouse-connect==1.0.0",)]


def options(server: Server, *, tls: bool = True, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"username": server.user, "password": server.password, "compress": "gzip"}
    if tls:
        made.update(host="localhost", port=server.tls_port, secure=True, ca_cert=server.ca_file)
    else:
        made.update(host=server.host, port=server.port)
    return {**made, **changes}


@pytest.fixture
def client(recording: Recording, clickhouse_http: Server) -> Iterator[Any]:
    with contextlib.closing(clickhouse_connect.get_client(**options(clickhouse_http, database="default"))) as made:
        recording.calls.clear()
        yield made


# --- the session ---


def test_a_session_over_tls_is_recorded(recording: Recording, clickhouse_http: Server) -> None:
    client: Any = clickhouse_connect.get_client(**options(clickhouse_http, database="default"))
    client.query("select 1")
    connect, version, *_, select = recording.calls
    session = select.session
    assert (connect.operation, connect.session.system, version.sql) == (
        "connect", "clickhouse", "SELECT version(), timezone()",
    )  # fmt: skip
    assert (session.system, session.address, session.port) == ("clickhouse", "localhost", clickhouse_http.tls_port)
    assert (session.encrypted, session.tls_version, session.verified) == (True, "1.3", "full")
    assert (session.requested, len(session.certificate_sha256)) == ("verify-full", 64)
    assert (session.account, session.auth_method) == (clickhouse_http.user, "clear-password")
    assert (session.namespace, session.server_version) == ("default", client.server_version)
    assert (select.sql, select.rows_returned, select.facts) == ("select 1", 1, {names.HTTP_STATUS: 200})
    assert 0 < select.sent < 1500
    assert clickhouse_http.password not in repr(recording.calls)


def test_a_session_without_tls_is_recorded(recording: Recording, clickhouse_http: Server) -> None:
    clickhouse_connect.get_client(**options(clickhouse_http, tls=False))
    assert {(one.session.encrypted, one.session.requested) for one in recording.calls} == {(False, "disable")}


def test_a_failed_login_is_recorded_with_the_servers_number(recording: Recording, clickhouse_http: Server) -> None:
    with pytest.raises(DatabaseError):
        clickhouse_connect.get_client(**options(clickhouse_http, password="wrong"))
    recorded = recording.calls[-1]
    assert (recorded.facts[names.STATUS_CODE], type(recorded.error).__name__) == ("193", "DatabaseError")
    assert (recorded.session.account, recorded.session.encrypted) == (clickhouse_http.user, True)


def test_a_login_without_a_password_is_none(recording: Recording, clickhouse_http: Server) -> None:
    with pytest.raises(DatabaseError):
        clickhouse_connect.get_client(**options(clickhouse_http, password=""))
    assert recording.calls[-1].session.auth_method == "none"


@pytest.mark.parametrize("dead", [True, False], ids=["no server there", "not trusted"])
def test_a_connection_that_fails_is_recorded_as_such(recording: Recording, clickhouse_http: Server, dead: bool) -> None:
    changes: dict[str, Any] = {"port": free_port()} if dead else {"ca_cert": None}
    with pytest.raises(Exception, match="executing HTTP request"):
        clickhouse_connect.get_client(**options(clickhouse_http, **changes))
    assert {(one.operation, one.session.encrypted, one.session.system) for one in recording.calls} == {
        ("connect", None, "clickhouse")
    }
    assert recording.calls[0].error is not None


# --- statements ---


def test_rows_and_bytes_of_statements(recording: Recording, client: Any) -> None:
    client.command("create table t (a Int32, b String) engine = Memory")
    try:
        client.insert("t", [[one, "x" * 100] for one in range(1000)], column_names=["a", "b"])
        client.raw_insert("t", ["a", "b"], f"5000\t{SECRET}\n", fmt="TSV")
        client.command(f"insert into t format CSV\n5001,{SECRET}")
        found = client.query("select a from t where a >= %(low)s", parameters={"low": 500})
        assert len(found.result_rows) == 502
        client.query("select a from t where a < 0").result_rows  # noqa: B018  a property that reads
        client.raw_query("select a from t limit 3", fmt="TSV")
    finally:
        client.command("drop table t")
    create, describe, insert, raw, command, select, none, unparsed, _ = recording.calls
    assert (max(create.rows_returned, 0), create.rows_affected, describe.rows_returned) == (0, -1, 2)
    assert str(insert.sql).replace("`t`", "t") == "INSERT INTO t (`a`, `b`) FORMAT Native"
    assert insert.rows_affected == 1000
    assert (raw.sql, raw.rows_affected) == ("INSERT INTO t (`a`, `b`) FORMAT TSV", 1)
    assert (command.sql, command.rows_affected) == ("insert into t format CSV", 1)
    assert (select.sql, select.rows_returned) == ("select a from t where a >= %(low)s", 502)
    assert (none.rows_returned, unparsed.rows_returned) == (0, 3)
    assert SECRET not in repr(recording.calls)


@pytest.mark.parametrize("read", ["all", "some", "never"])
def test_rows_of_a_stream_are_recorded_as_far_as_they_were_read(recording: Recording, client: Any, read: str) -> None:
    asked = "select number from system.numbers limit 50000"
    stream = client.query_row_block_stream(asked, settings={"max_block_size": 1000})
    if read != "never":
        with stream:
            seen = sum(len(block) for _, block in zip(range(50 if read == "all" else 3), stream, strict=False))
            assert seen == (50000 if read == "all" else 3000)
    del stream
    gc.collect()
    recorded = recording.find("system.numbers")
    assert [one.rows_returned for one in recorded] == [{"all": 50000, "some": 3000, "never": -1}[read]]
    assert recorded[0].received > 1000


def test_an_error_is_recorded_with_the_servers_number(recording: Recording, client: Any) -> None:
    with pytest.raises(DatabaseError):
        client.query("select * from nothing")
    (recorded,) = recording.calls
    assert recorded.facts == {names.HTTP_STATUS: 404, names.STATUS_CODE: "60"}
    assert (type(recorded.error).__name__, recorded.rows_returned) == ("DatabaseError", -1)


def test_ping_is_one_call(recording: Recording, client: Any) -> None:
    assert client.ping()
    assert [(one.operation, one.sql) for one in recording.calls] == [("ping", None)]


def test_the_target_of_a_redirect_is_reported(recording: Recording, client: Any, clickhouse_http: Server) -> None:
    transport = getattr(client, "_backend", client)
    transport.url += MOVED
    if hasattr(transport, "_base_url"):
        transport._base_url = transport.url
    client.raw_query("select 7")
    first, second = recording.calls
    assert str(first.facts[names.REDIRECT_TARGET]).startswith(f"https://localhost:{clickhouse_http.tls_port}/")
    assert (first.sql, second.sql, second.rows_returned) == ("select 7", "select 7", 1)


# --- the layers below ---


@pytest.mark.parametrize("below", [Urllib3Probe, AiohttpProbe])
@pytest.mark.parametrize("first", [True, False])
def test_nothing_is_recorded_twice(clickhouse_http: Server, below: Any, first: bool) -> None:
    kinds = (ClickHouseConnectProbe, below) if first else (below, ClickHouseConnectProbe)

    async def waiting() -> None:
        client: Any = await clickhouse_connect.get_async_client(**options(clickhouse_http))
        await client.query("select 1")
        closed = client.close()
        if closed is not None:
            await closed

    with watching(kinds[0]) as recording, watching(kinds[1], recording):
        if below is Urllib3Probe:
            clickhouse_connect.get_client(**options(clickhouse_http)).query("select 1")
        else:
            asyncio.run(waiting())
    assert {one.session.system for one in recording.calls} == {"clickhouse"}
    assert len(recording.of("connect")) == 1
    assert len(recording.find("select 1")) == 1


def test_statements_of_asyncio_are_recorded_with_their_rows(recording: Recording, clickhouse_http: Server) -> None:
    async def waiting() -> None:
        client: Any = await clickhouse_connect.get_async_client(**options(clickhouse_http))
        await client.query("select number from system.numbers limit 30")
        with pytest.raises(DatabaseError):
            await client.query("select * from nothing")
        assert await client.raw_query("select 1", fmt="TSV") == b"1\n"
        closed = client.close()
        if closed is not None:
            await closed

    asyncio.run(waiting())
    rows, failed, raw = recording.calls[-3:]
    assert (rows.sql, rows.rows_returned) == ("select number from system.numbers limit 30", 30)
    assert (rows.session.encrypted, rows.session.verified) == (True, "full")
    assert failed.facts[names.STATUS_CODE] == "60"
    assert raw.rows_returned == 1


@not_overlaid
@pytest.mark.parametrize("versions", OLD, ids=lambda one: one[0])
def test_old_versions_are_recorded_likewise(clickhouse_http: Server, versions: tuple[str, ...]) -> None:
    run_tests_with(versions, "clickhouse_connect", clickhouse_http)
