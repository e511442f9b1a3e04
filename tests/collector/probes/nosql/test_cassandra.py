"""Cassandra: every request once, from any sending method, with the facts of the connection to its node."""

import gc
import secrets
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import cassandra
import pytest
from cassandra import AlreadyExists, InvalidRequest, OperationTimedOut, Unauthorized
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.policies import RetryPolicy
from cassandra.query import BatchStatement, SimpleStatement, dict_factory

from backwatch.collector import names
from backwatch.collector.probes.cassandra import CassandraProbe
from tests.collector.memory_stream import deliver
from tests.collector.probes.recording import Recording, watching
from tests.contract.exercises.cassandra import cluster_of, prepare_keyspace
from tests.services.overlays import not_overlaid, run_tests_with
from tests.services.server import Server

PROBES = (CassandraProbe,)
HERE = "tests/collector/probes/nosql/test_cassandra.py"
OLDEST = "3.26.0"


@pytest.fixture
def session(cassandra_node: Server, recording: Recording) -> Iterator[Any]:
    """A session on an empty table of a separate keyspace; the records of its setup are cleared."""
    with cluster_of(cassandra_node) as cluster:
        session = cluster.connect()
        session.default_timeout = 60
        prepare_keyspace(session, "tests")
        session.execute("TRUNCATE item")
        recording.calls.clear()
        yield session


def list_requests(recording: Recording) -> list[Any]:
    """Return the app's requests, without pushes of nodes."""
    return [call for call in recording.calls if call.sql is not None or call.operation == "GRAPH"]


# --- connections ---


def test_a_connection_is_recorded_with_its_login_and_its_bytes(cassandra_node: Server, recording: Recording) -> None:
    with cluster_of(cassandra_node) as cluster:
        cluster.connect().execute("SELECT key FROM system.local")
    connects = recording.of("connect")
    assert len(connects) == 2  # the control connection, and the one of the pool
    for record in connects:
        session = record.session
        assert (session.system, session.address, session.port) == ("cassandra", "127.0.0.1", cassandra_node.port)
        assert (session.account, session.auth_method) == (cassandra_node.user, "clear-password")
        assert (session.encrypted, session.verified, session.requested) == (True, "full", "verify-full")
        assert session.tls_version == "1.3"
        assert len(session.certificate_sha256) == 64
        assert (session.peer_address, session.peer_port) == ("127.0.0.1", cassandra_node.port)
        assert record.sent > 300
        assert record.received > 1000
        assert not record.estimated
    (call,) = recording.find("system.local")
    assert call.session.server_version == "5.0.4"
    assert len(call.session.server_id) == 36
    assert cassandra_node.password not in str(recording.calls)


def test_a_plain_connection_is_recorded_as_such(cassandra_node: Server, recording: Recording) -> None:
    with cluster_of(cassandra_node, tls=False) as cluster:
        cluster.connect()
    session = recording.of("connect")[0].session
    assert (session.encrypted, session.requested, session.requested_explicit) == (False, "disable", False)


def test_the_verification_is_recorded(cassandra_node: Server, recording: Recording) -> None:
    for check, record in (("chain", "verify-ca"), ("none", "require")):
        context = ssl.create_default_context(cafile=cassandra_node.ca_file)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if check == "chain" else ssl.CERT_NONE
        recording.calls.clear()
        with cluster_of(cassandra_node, ssl_context=context) as cluster:
            cluster.connect()
        session = recording.of("connect")[0].session
        assert (session.verified, session.requested, session.requested_explicit) == (check, record, True)


def test_a_version_of_the_protocol_that_a_node_refuses_is_no_failure(
    cassandra_node: Server, recording: Recording
) -> None:
    with cluster_of(cassandra_node) as cluster:
        cluster.connect()
    for record in recording.of("negotiate"):
        assert (record.error, record.facts) == (None, {names.STATUS_CODE: "0x000a"})
        assert (record.session.encrypted, record.session.verified) == (True, "full")
    assert not [call for call in recording.calls if call.error is not None]


def test_a_wrong_password_is_recorded(cassandra_node: Server, recording: Recording) -> None:
    with cluster_of(cassandra_node, password="wrong") as cluster, pytest.raises(NoHostAvailable):
        cluster.connect()
    (record,) = recording.of("connect")
    assert type(record.error).__name__ == "AuthenticationFailed"
    assert (record.session.account, record.session.auth_method) == (cassandra_node.user, "clear-password")
    assert record.session.encrypted is True


def test_a_missing_password_is_recorded_without_a_login(cassandra_node: Server, recording: Recording) -> None:
    with cluster_of(cassandra_node, auth_provider=None) as cluster, pytest.raises(NoHostAvailable):
        cluster.connect()
    (record,) = recording.of("connect")
    assert (type(record.error).__name__, record.session.account) == ("AuthenticationFailed", "")
    assert record.session.auth_method == ""


def test_a_self_signed_certificate_is_recorded(cassandra_node: Server, recording: Recording) -> None:
    with (
        cluster_of(cassandra_node, ssl_context=ssl.create_default_context()) as cluster,
        pytest.raises(NoHostAvailable),
    ):
        cluster.connect()
    (record,) = recording.of("connect")
    assert isinstance(record.error, ssl.SSLCertVerificationError)
    assert (record.session.address, record.session.encrypted, record.session.requested) == (
        "127.0.0.1",
        None,
        "verify-full",
    )


def test_a_closed_port_is_recorded(cassandra_node: Server, recording: Recording) -> None:
    with cluster_of(cassandra_node, port=1) as cluster, pytest.raises(NoHostAvailable):
        cluster.connect()
    (record,) = recording.of("connect")
    assert isinstance(record.error, OSError)
    assert record.session.port == 1


def test_the_nodes_that_the_cluster_announces_are_recorded(cassandra_node: Server, recording: Recording) -> None:
    with cluster_of(cassandra_node) as cluster:
        cluster.connect()
    record = [call for call in recording.calls if names.TOPOLOGY in call.facts]
    assert {call.facts[names.TOPOLOGY] for call in record} == {f"127.0.0.1:{cassandra_node.port}"}


def test_a_foreign_node_and_the_connection_to_it_are_recorded(cassandra_node: Server, recording: Recording) -> None:
    values = "'rack1', 'datacenter1', uuid(), uuid(), '127.0.0.9', 1, '5.0.4', {'1'}"
    columns = "rack, data_center, host_id, schema_version, native_address, native_port, release_version, tokens"
    with cluster_of(cassandra_node) as cluster:
        cluster.connect().execute(
            f"INSERT INTO system.peers_v2 (peer, peer_port, {columns}) VALUES ('127.0.0.9', 1, {values})"
        )
    recording.calls.clear()
    try:
        with cluster_of(cassandra_node) as cluster:
            cluster.connect(wait_for_all_pools=True)
    finally:
        with cluster_of(cassandra_node) as cluster:
            cluster.connect().execute("DELETE FROM system.peers_v2 WHERE peer = '127.0.0.9' AND peer_port = 1")
    nodes = f"127.0.0.1:{cassandra_node.port},127.0.0.9:1"
    assert nodes in [call.facts.get(names.TOPOLOGY) for call in recording.calls]
    failed = [call for call in recording.of("connect") if call.error is not None]
    assert {(call.session.address, call.session.port) for call in failed} == {("127.0.0.9", 1)}


# --- requests ---


def test_each_kind_of_request_is_recorded_once(session: Any, recording: Recording) -> None:
    session.execute("INSERT INTO item (id, name) VALUES (%s, %s)", (1, "a secret"))
    insert = session.prepare("INSERT INTO item (id, name) VALUES (?, ?)")
    session.execute(insert, (2, "b"))
    session.execute(insert.bind((3, "c")))
    session.execute_async("SELECT id FROM item").result()
    session.execute("UPDATE item SET name = 'x' WHERE id = 1 IF EXISTS")
    assert [(call.operation, call.sql, call.rows_returned) for call in list_requests(recording)] == [
        ("", "INSERT INTO item (id, name) VALUES (%s, %s)", -1),
        ("PREPARE", "INSERT INTO item (id, name) VALUES (?, ?)", -1),
        ("", "INSERT INTO item (id, name) VALUES (?, ?)", -1),
        ("", "INSERT INTO item (id, name) VALUES (?, ?)", -1),
        ("", "SELECT id FROM item", 3),
        ("", "UPDATE item SET name = 'x' WHERE id = 1 IF EXISTS", 1),
    ]
    assert all(call.estimated and call.sent > 20 and call.received >= 9 for call in list_requests(recording))
    assert {call.session.namespace for call in list_requests(recording)} == {"tests"}
    assert len({id(call.session) for call in list_requests(recording)}) == 1


def test_bytes_grow_with_the_result(session: Any, recording: Recording) -> None:
    session.execute("INSERT INTO item (id, name) VALUES (1, %s)", (secrets.token_hex(5000),))
    session.execute("SELECT name FROM item")
    insert, select = list_requests(recording)
    assert insert.sent > 5000 > insert.received
    assert select.received > 5000 > select.sent


def test_pages_are_recorded_as_they_come(session: Any, recording: Recording) -> None:
    execute_concurrent_with_args(session, "INSERT INTO item (id) VALUES (%s)", [(n,) for n in range(25)])
    recording.calls.clear()
    rows = session.execute(SimpleStatement("SELECT id FROM item", fetch_size=10))
    assert [call.rows_returned for call in recording.find("SELECT")] == [10]
    assert len(list(rows)) == 25
    assert [(call.operation, call.rows_returned) for call in recording.find("SELECT")] == [
        ("", 10), ("FETCH", 10), ("FETCH", 5),
    ]  # fmt: skip


def test_a_batch_of_any_size_is_one_call(session: Any, recording: Recording) -> None:
    insert = session.prepare("INSERT INTO item (id, name) VALUES (?, ?)")
    for count in (2, 20):
        batch = BatchStatement()
        for number in range(count):
            batch.add(insert, (number, "a"))
            batch.add("DELETE FROM item WHERE id = %s", (100 + number,))
        session.execute(batch)
    record = recording.of("BATCH")
    assert [call.sql for call in record] == [
        "BEGIN BATCH INSERT INTO item (id, name) VALUES (?, ?) DELETE FROM item WHERE id = 100 APPLY BATCH"
    ] * 2
    assert record[1].sent > record[0].sent


def test_calls_are_recorded_at_the_apps_call_site(cassandra_node: Server) -> None:
    def ask(session: Any) -> list[Any]:
        return list(session.execute("SELECT key FROM system.local WHERE key = 'local'"))

    with deliver(CassandraProbe) as stream, cluster_of(cassandra_node) as cluster:
        assert len(ask(cluster.connect())) == 1
    (record,) = stream.find("system.local")
    assert record[names.QUERY_TEXT] == "SELECT key FROM system.local WHERE key = ?"
    assert (record["name"], record[names.CODE_FILE]) == ("SELECT", HERE)
    assert record[names.CODE_FUNCTION].endswith("ask")
    connect = next(call for call in stream.calls() if call["name"] == "connect")
    assert connect[names.CODE_FUNCTION] == "test_calls_are_recorded_at_the_apps_call_site"


def test_cql_syntax_beyond_sql_is_redacted(cassandra_node: Server) -> None:
    with deliver(CassandraProbe) as stream, cluster_of(cassandra_node) as cluster:
        session = cluster.connect()
        session.execute("SELECT key FROM system.local WHERE key = $$it's secret$$")
        session.execute("SELECT * FROM system_traces.events WHERE session_id = abcdefab-3f90-4c93-8f61-eabfa4a803e2")
    assert [call[names.QUERY_TEXT] for call in stream.calls() if call["name"] == "SELECT"] == [
        "SELECT key FROM system.local WHERE key = ?", "SELECT * FROM system_traces.events WHERE session_id = ?",
    ]  # fmt: skip


def test_callbacks_and_many_threads_lose_nothing(session: Any, recording: Recording) -> None:
    done = threading.Event()
    session.execute_async("SELECT id FROM item").add_callback(lambda _: done.set())
    assert done.wait(20)

    def ask() -> None:
        for number in range(25):
            session.execute("INSERT INTO item (id) VALUES (%s)", (number,))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for call in threads:
        call.start()
    for call in threads:
        call.join()
    assert len(recording.find("INSERT")) == 100
    assert all(call.caller.site.function.endswith("ask") for call in recording.find("INSERT"))  # type: ignore[union-attr]


def test_rows_are_counted_for_every_row_factory(session: Any, recording: Recording) -> None:
    session.execute("INSERT INTO item (id) VALUES (1)")
    session.row_factory = lambda _, rows: ({"n": row} for row in rows)
    assert len(list(session.execute("SELECT id FROM item"))) == 1
    session.row_factory = dict_factory
    assert list(session.execute("SELECT id FROM item WHERE id = 5")) == []
    assert [call.rows_returned for call in recording.find("SELECT")] == [1, 0]


# --- errors and pushed events ---


def test_errors_are_recorded_with_their_code(session: Any, recording: Recording) -> None:
    for text, kind, code in (
        ("SELECT no_such FROM item", InvalidRequest, "0x2200"),
        ("CREATE TABLE item (id int PRIMARY KEY)", AlreadyExists, "0x2400"),
    ):
        with pytest.raises(kind):
            session.execute(text)
        (record,) = recording.find(text)
        assert isinstance(record.error, kind)
        assert record.facts == {names.STATUS_CODE: code}
        assert record.rows_returned == -1


def test_a_missing_permission_is_recorded(cassandra_node: Server, session: Any, recording: Recording) -> None:
    session.execute("CREATE ROLE IF NOT EXISTS small WITH PASSWORD = 'tiny' AND LOGIN = true")
    assert "tiny" not in str([call for call in recording.calls if call.sql is None])
    login = PlainTextAuthProvider("small", "tiny")
    with cluster_of(cassandra_node, auth_provider=login) as cluster, pytest.raises(Unauthorized):
        cluster.connect().execute("SELECT * FROM tests.item")
    (record,) = recording.find("tests.item")
    assert (record.session.account, record.facts) == ("small", {names.STATUS_CODE: "0x2100"})


def test_a_timeout_is_recorded(session: Any, recording: Recording) -> None:
    with pytest.raises(OperationTimedOut):
        session.execute("SELECT count(*) FROM item", timeout=0.000001)
    (record,) = recording.find("SELECT count")
    assert isinstance(record.error, OperationTimedOut)


def test_a_request_that_reaches_no_node_is_recorded(session: Any, recording: Recording) -> None:
    session.cluster.default_retry_policy = RetryPolicy()
    for pool in list(session.get_pools()):
        pool.shutdown()
    with pytest.raises(NoHostAvailable):
        session.execute("SELECT id FROM item")
    (record,) = recording.find("SELECT id")
    assert isinstance(record.error, NoHostAvailable)
    assert (record.session.address, record.session.system) == ("127.0.0.1", "cassandra")


def test_warnings_of_a_node_are_recorded(session: Any, recording: Recording) -> None:
    future = session.execute_async("SELECT count(*) FROM item")
    future.result()
    (record,) = recording.find("count")
    assert record.facts == {names.NOTICES: len(future.warnings)}


def test_a_changed_schema_is_pushed(session: Any, recording: Recording) -> None:
    changed = threading.Event()
    session.cluster.control_connection._connection._push_watchers["SCHEMA_CHANGE"].add(lambda _: changed.set())
    session.execute("CREATE TABLE IF NOT EXISTS other (id int PRIMARY KEY)")
    session.execute("DROP TABLE other")
    assert changed.wait(20)
    assert recording.of("SCHEMA_CHANGE")[0].facts == {names.NOTICES: 1}


def test_a_future_is_not_kept_alive(session: Any) -> None:
    future = session.execute_async("SELECT id FROM item")
    future.result()
    gone = weakref.ref(future)
    del future
    until = time.monotonic() + 5
    while gone() is not None and time.monotonic() < until:  # the driver's own thread may still hold it for a moment
        time.sleep(0.01)
        gc.collect()
    assert gone() is None


def test_a_connection_older_than_the_probe_is_described(cassandra_node: Server) -> None:
    with cluster_of(cassandra_node) as cluster:
        session = cluster.connect()
        with watching(CassandraProbe) as recording:
            session.execute("SELECT key FROM system.local")
        session.execute("SELECT key FROM system.local")
    (record,) = recording.calls
    assert (record.session.account, record.session.encrypted) == (cassandra_node.user, True)


@pytest.mark.parametrize("reactor", ["asyncioreactor.AsyncioConnection", "asyncorereactor.AsyncoreConnection"])
def test_every_reactor_yields_the_same_records(reactor: str, cassandra_node: Server, recording: Recording) -> None:
    module, _, name = reactor.partition(".")
    if cassandra.__version__ == OLDEST and name == "AsyncioConnection":
        pytest.skip("that version's is for older Pythons")
    kind = getattr(pytest.importorskip(f"cassandra.io.{module}"), name)
    # Neither supports TLS on every Python; the observed code is common to both.
    with cluster_of(cassandra_node, tls=False, connection_class=kind) as cluster:
        cluster.connect().execute("SELECT key FROM system.local")
    assert len(recording.of("connect")) == 2
    (record,) = recording.find("system.local")
    assert (record.rows_returned, record.session.account) == (1, cassandra_node.user)


@not_overlaid
def test_the_oldest_driver_is_recorded_the_same(cassandra_node: Server) -> None:
    run_tests_with([f"cassandra-driver=={OLDEST}", "six==1.16.0"], "cassandra", cassandra_node)
