"""Decoding of attributes from collectors and from third-party instrumentations."""

from collections.abc import Mapping

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_calls, encode_heartbeat
from backwatch.collector.runtime.record import CLIENT, CallSite, Session
from backwatch.collector.runtime.record import Call as Recorded
from backwatch.detector.decoding import schema
from backwatch.detector.decoding.decoder import EVIDENCE, DecodedCalls, decode

Facts = Mapping[str, str | int | bool | float]
APP = App("web", "shop", "prod", (("service.name", "web"), ("service.namespace", "shop"), (names.ENVIRONMENT, "prod")))


def request(span: Facts, scope: Facts | None = None, resource: Facts | None = None, **fields: int | str) -> bytes:
    found = ExportTraceServiceRequest()
    above = found.resource_spans.add()
    session = above.scope_spans.add()
    one = session.spans.add(**{"kind": 3, "start_time_unix_nano": 5, "end_time_unix_nano": 9, **fields})  # pyright: ignore[reportArgumentType]
    for facts, attributes in ((resource, above.resource), (scope, session.scope), (span, one)):
        for key, value in (facts or {}).items():
            pair = attributes.attributes.add(key=key)
            kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
            setattr(pair.value, kind, value)
    return found.SerializeToString()


def only(value: bytes) -> DecodedCalls:
    found = decode([value])
    assert (found.count, found.malformed) == (1, [])
    return found


PATH = "a.py:b > shop/views.py:views.orders"
REDIS: dict[str, str | int | bool | float] = {names.DB_SYSTEM: "redis"}


def test_spans_of_the_collector_decode_unchanged() -> None:
    session = Session(
        system="postgresql", address="db.internal", port=5432, namespace="shop", requested="verify-full",
        requested_explicit=True, encrypted=True, tls_version="1.3", verified="full", peer_address="10.0.0.5",
        peer_port=5432, account="shop", server_version="17.1",
    )  # fmt: skip
    call = Recorded(
        session, "SELECT", "SELECT * FROM orders WHERE id = ?", True, "tautology", CLIENT,
        CallSite("views.orders", "shop/views.py", 7, PATH), "/orders", 5, 9, 0xABC, 0xDEF, 0, 120, 4_096, False, 3, -1,
        "", (("db.collection.name", "orders"),),
    )  # fmt: skip
    found = only(encode_calls(APP, [call]))
    expected = {
        names.SERVICE_NAME: "web", names.SERVICE_NAMESPACE: "shop", names.ENVIRONMENT: "prod",
        names.DB_SYSTEM: "postgresql", names.SERVER_ADDRESS: "db.internal", names.SERVER_PORT: 5432,
        names.DB_NAMESPACE: "shop", names.TRANSPORT: "tcp", names.TLS_REQUESTED: "verify-full",
        names.TLS_REQUESTED_EXPLICIT: True, names.TLS_ESTABLISHED: True, names.TLS_VERSION: "1.3",
        names.TLS_VERIFIED: "full", names.PEER_ADDRESS: "10.0.0.5", names.PEER_PORT: 5432, names.ACCOUNT: "shop",
        names.SERVER_VERSION: "17.1", names.QUERY_TEXT: "SELECT * FROM orders WHERE id = ?",
        names.OPERATION: "SELECT", names.QUERY_SIGNS: "tautology", names.BYTES_SENT: 120, names.BYTES_RECEIVED: 4_096,
        names.ROWS_RETURNED: 3, names.CODE_FUNCTION: "views.orders", names.CODE_FILE: "shop/views.py",
        names.CODE_LINE: 7, names.CALL_PATH: PATH, names.HTTP_ROUTE: "/orders",
        names.DB_COLLECTION: "orders", names.SPAN_NAME: "SELECT",
    }  # fmt: skip
    assert expected == found.evidence(0)
    assert (f"{0xABC:032x}", f"{0xDEF:016x}", 5, 9) == (
        found.trace_id(0), found.span_id(0), found.start_ns[0], found.end_ns[0],
    )  # fmt: skip
    assert {name for name in expected if name in found.session_facts(0)} == set(found.session_facts(0))
    assert names.QUERY_TEXT not in found.session_facts(0)
    assert names.TLS_VERIFIED in found.session_facts(0)


@pytest.mark.parametrize(
    ("older", "value", "name"),
    [
        ("db.system", "mysql", names.DB_SYSTEM),
        ("db.statement", "SELECT 1", names.QUERY_TEXT),
        ("db.name", "shop", names.DB_NAMESPACE),
        ("db.user", "ada", names.ACCOUNT),
        ("net.peer.name", "db", names.SERVER_ADDRESS),
        ("net.peer.port", 3306, names.SERVER_PORT),
        ("net.peer.ip", "10.1.2.3", names.PEER_ADDRESS),
        ("net.sock.peer.addr", "2001:db8::7", names.PEER_ADDRESS),
        ("http.url", "http://h/x", names.URL_FULL),
        ("http.method", "GET", names.HTTP_METHOD),
        ("http.status_code", 404, names.HTTP_STATUS),
        ("code.filepath", "a.py", names.CODE_FILE),
        ("code.function", "f", names.CODE_FUNCTION),
        ("code.lineno", 3, names.CODE_LINE),
        ("messaging.destination", "orders", names.MESSAGING_DESTINATION),
        ("peer.service", "payments", names.SERVER_ADDRESS),
    ],
)
def test_older_attribute_name_is_read_and_newer_name_wins(older: str, value: str | int, name: str) -> None:
    assert value == only(request(REDIS | {older: value} if older != "db.system" else {older: value})).evidence(0)[name]
    newer = "10.9.9.9" if name == names.PEER_ADDRESS else "newer" if isinstance(value, str) else 1
    for facts in ({older: value, name: newer}, {name: newer, older: value}):
        if not name.startswith("backwatch.") or name == names.ACCOUNT:
            assert newer == only(request(REDIS | facts)).evidence(0)[name]


def test_app_name_comes_from_the_resource_only() -> None:
    above = {names.SERVICE_NAME: "web", "deployment.environment": "prod"}
    found = only(request(REDIS | {names.SERVICE_NAME: "bank"}, {names.SERVICE_NAME: "bank"}, above))
    assert (found.text(names.SERVICE_NAME, 0), found.text(names.ENVIRONMENT, 0)) == ("web", "prod")


def test_session_facts_of_a_span_override_its_scope() -> None:
    scope = {names.TLS_ESTABLISHED: True, names.ACCOUNT: "shop", names.SERVER_ADDRESS: "db"}
    found = only(request(REDIS | {names.TLS_ESTABLISHED: False, "db.user": "root", names.QUERY_TEXT: "x"}, scope))
    assert {names.TLS_ESTABLISHED: False, names.ACCOUNT: "root", names.SERVER_ADDRESS: "db"}.items() <= found.evidence(
        0
    ).items()


def test_call_facts_are_never_inherited() -> None:
    found = only(request(REDIS, {names.QUERY_TEXT: "SELECT 1", names.BYTES_SENT: 7, names.SERVER_ADDRESS: "db"}))
    assert found.evidence(0) == {names.DB_SYSTEM: "redis", names.SERVER_ADDRESS: "db"}


@pytest.mark.parametrize("where", ["scope", "span"])
def test_newer_contract_is_judged_on_standard_names_only_and_counted(where: str) -> None:
    facts = {names.BACKWATCH_CONTRACT: names.CONTRACT + 1}
    span = REDIS | {names.STATEMENT: "GET ?", names.TLS_ESTABLISHED: False, "db.user": "ada"}
    scope = {names.SERVER_VERSION: "7.2", names.SERVER_ADDRESS: "cache"}
    found = only(request(span | facts, scope) if where == "span" else request(span, scope | facts))
    assert found.newer == 1
    # The facts of a span's scope follow a known contract.
    scope_s_own = {names.SERVER_VERSION: "7.2"} if where == "span" else {}
    assert scope_s_own | {
        names.DB_SYSTEM: "redis", names.TLS_ESTABLISHED: False, names.ACCOUNT: "ada", names.SERVER_ADDRESS: "cache",
    } == found.evidence(0)  # fmt: skip
    assert only(request(span, {names.BACKWATCH_CONTRACT: names.CONTRACT})).newer == 0


@pytest.mark.parametrize(
    ("facts", "kind", "calls"),
    [
        ({}, 3, 0),
        ({"http.target": "/x"}, 3, 0),
        (REDIS, 3, 1),
        (REDIS, 1, 0),
        (REDIS, 2, 0),
        ({names.MESSAGING_SYSTEM: "kafka"}, 4, 1),
        ({names.MESSAGING_SYSTEM: "kafka"}, 5, 1),
        ({names.RPC_SYSTEM: "grpc"}, 3, 1),
        ({names.SYSTEM: "smtp"}, 3, 1),
        ({"http.url": "http://h/"}, 3, 1),
        ({names.HTTP_METHOD: "GET"}, 3, 1),
        ({names.HTTP_METHOD: "GET"}, 2, 0),
    ],
)
def test_call_names_a_backing_service_and_every_span_counts(facts: Facts, kind: int, calls: int) -> None:
    found = decode([request(facts, kind=kind)])
    assert (1, calls) == (found.spans, found.count)


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("https://api.example/v1/x?q=1", "api.example", 443),
        ("http://api.example:8080", "api.example", 8080),
        ("http://ada:secret@api.example/x@y", "api.example", 80),
        ("https://[2001:db8::1]:8443/", "2001:db8::1", 8443),
        ("http://[2001:db8::1]/", "2001:db8::1", 80),
        ("http://h?x", "h", 80),
        ("http://169.254.169.254\\@good.example/", "169.254.169.254", 80),
        ("/relative", "", -1),
        ("http://h:port/", "", -1),
        ("http:///x", "", -1),
        ("http://" + "h" * 600, "h" * 512, 80),
    ],
)
def test_destination_of_a_request_is_read_from_its_url(url: str, address: str, port: int) -> None:
    found = only(request({"http.url": url, "http.method": "GET"}))
    assert ("http", address) == (found.text(names.SYSTEM, 0), found.text(names.SERVER_ADDRESS, 0))
    assert port == found.numbers[0, schema.NUMBER_INDEX[names.SERVER_PORT]]


def test_reported_server_overrides_the_url() -> None:
    found = only(request({names.URL_FULL: "http://h:1/", names.SERVER_ADDRESS: "db.internal", names.SERVER_PORT: 2}))
    assert {names.SERVER_ADDRESS: "db.internal", names.SERVER_PORT: 2}.items() <= found.evidence(0).items()


@pytest.mark.parametrize(
    ("peer", "kept"),
    [("10.0.0.1", True), ("::1", True), ("fe80::1%eth0", True), ("/run/db.sock", True), ("@abstract", True),
     ("localhost", False), ("bad.cafe", False), ("db", False), ("1.2.3", False), ("x" * 200, False)],
)  # fmt: skip
def test_peer_is_an_address_or_path_and_never_the_requested_name(peer: str, kept: bool) -> None:
    assert kept == (names.PEER_ADDRESS in only(request(REDIS | {names.PEER_ADDRESS: peer})).evidence(0))


def test_older_spelling_of_a_transport_is_read() -> None:
    for reported, expected in (("ip_tcp", "tcp"), ("ip_udp", "udp"), ("unix", "unix"), ("inproc", "inproc")):
        assert expected == only(request(REDIS | {"net.transport": reported})).text(names.TRANSPORT, 0)


def test_numbers_as_text_and_texts_as_numbers_are_read() -> None:
    reported = {
        names.SERVER_PORT: "6379",
        "db.redis.database_index": 15,
        names.ROWS_RETURNED: 3.0,
        names.LOCAL_INFILE: "true",
    }
    expected = {names.SERVER_PORT: 6379, names.DB_NAMESPACE: "15", names.ROWS_RETURNED: 3, names.LOCAL_INFILE: True}
    assert expected.items() <= only(request(REDIS | reported)).evidence(0).items()


def test_large_numbers_saturate_and_negative_numbers_are_absent() -> None:
    found = only(request(REDIS | {names.BYTES_SENT: (1 << 63) - 1, names.ROWS_AFFECTED: -1}))
    assert found.evidence(0) == {names.DB_SYSTEM: "redis", names.BYTES_SENT: schema.LARGEST}


def test_body_size_is_marked_as_an_estimate() -> None:
    found = only(request({names.HTTP_METHOD: "GET", "http.response.body.size": 9}))
    assert {names.BYTES_RECEIVED: 9, names.BYTES_ESTIMATED: True}.items() <= found.evidence(0).items()
    assert names.BYTES_ESTIMATED not in only(request(REDIS | {names.BYTES_RECEIVED: 9})).evidence(0)


def test_exception_event_names_the_error_in_absence_of_other_facts() -> None:
    value = ExportTraceServiceRequest.FromString(request(REDIS))
    event = value.resource_spans[0].scope_spans[0].spans[0].events.add(name="exception")
    event.attributes.add(key="exception.type").value.string_value = "OperationalError"
    event.attributes.add(key=names.QUERY_TEXT).value.string_value = "not of an event"
    found = only(value.SerializeToString())
    assert found.evidence(0) == {names.DB_SYSTEM: "redis", names.ERROR_TYPE: "OperationalError"}


@pytest.mark.parametrize(
    ("start", "end", "appended", "expected"),
    [
        (5, 9, 0, (5, 9)),
        (9, 5, 0, (9, 9)),  # the end is never before the start
        (0, 9, 0, (9, 9)),
        (5, 0, 0, (5, 5)),
        (5, (1 << 64) - 1, 0, (5, 5)),
        (0, 0, 0, (0, 0)),
        (0, 0, 100, (100, 100)),  # no times reported: the append time
        (5, 900, 100, (5, 100)),  # the client's clock is the attacker's
        (800, 900, 100, (100, 100)),
        (5, 9, 100, (5, 9)),
    ],
)
def test_impossible_times_are_corrected(start: int, end: int, appended: int, expected: tuple[int, int]) -> None:
    value = request(REDIS, start_time_unix_nano=start, end_time_unix_nano=end)
    found = decode([value], np.array([appended]))
    assert expected == (found.start_ns[0], found.end_ns[0])


def test_heartbeat_reports_drops_and_adds_no_call() -> None:
    beat = encode_heartbeat(APP, {"queue": 3, "publish": 2, "encode": 0, "some-day": 1})
    found = decode([request(REDIS), beat, beat])
    reported = (("queue", 3), ("publish", 2), ("other", 1))
    assert [(record, "shop/web/prod", *one) for record in (1, 2) for one in reported] == found.dropped
    assert (found.spans, found.count) == (1, 1)


def test_heartbeats_beyond_the_initial_capacity_are_all_reported() -> None:
    beats = [encode_heartbeat(APP, {"queue": i + 1}) for i in range(500)]
    assert [(i, "shop/web/prod", "queue", i + 1) for i in range(500)] == decode(beats).dropped


def test_evidence_is_bounded() -> None:
    found = only(request(REDIS | {names.QUERY_TEXT: "x" * 100_000}))
    assert found.evidence(0)[names.QUERY_TEXT] == "x" * EVIDENCE
    assert found.lengths[0, schema.TEXT_INDEX[names.QUERY_TEXT]] == 100_000


def test_empty_request_has_no_calls() -> None:
    assert ((found := decode([])).count, found.spans, found.malformed) == (0, 0, [])
    assert ((found := decode([b"", b""])).count, found.spans, found.malformed) == (0, 0, [])
