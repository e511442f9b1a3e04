"""The hand-written OTLP equals the output of the generated classes."""

import math
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from backwatch.collector import names
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_calls, encode_heartbeat, session_attributes
from backwatch.collector.runtime.record import Call, CallSite, Session

APP = App("shop", "", "", (("service.name", "shop"), ("process.pid", 7)))

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
value = st.one_of(text, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
facts = st.lists(st.tuples(text.filter(bool), value), max_size=4).map(tuple)
count = st.one_of(st.just(-1), st.integers(0, 2**63 - 1), st.integers(0, 5000))
ident = st.integers(1, 2**64 - 1)


def make_call(session: Session, **changed: Any) -> Call:
    now = time.time_ns()
    values: dict[str, Any] = {
        "session": session, "operation": "SELECT", "text": "SELECT ?", "sql": True, "signs": "", "kind": 3,
        "start_ns": now - 5, "end_ns": now, "trace_id": 1 << 100, "span_id": 2, "parent_id": 0, "site": None,
        "route": "",
        "bytes_sent": -1, "bytes_received": -1, "bytes_estimated": False, "rows_returned": -1, "rows_affected": -1,
        "error": "", "facts": (),
    }  # fmt: skip
    return Call(**{**values, **changed})


sessions = st.builds(
    Session,
    system=st.sampled_from(["postgresql", "mysql", "redis", "http", "smtp", "kafka", "grpc"]),
    address=text, port=st.integers(0, 65535), namespace=text, transport=st.sampled_from(["tcp", "unix", ""]),
    requested=text, requested_explicit=st.one_of(st.none(), st.booleans()),
    encrypted=st.one_of(st.none(), st.booleans()), tls_version=text, account=text, server_version=text, extra=facts,
)  # fmt: skip
calls = st.builds(
    Call,
    session=sessions, operation=text, text=text, sql=st.booleans(), signs=st.sampled_from(["", "stacked"]),
    kind=st.sampled_from([3, 4, 5]), start_ns=ident, end_ns=ident, trace_id=st.integers(1, 2**128 - 1), span_id=ident,
    parent_id=st.one_of(st.just(0), ident),
    site=st.one_of(st.none(), st.builds(CallSite, text, text, st.integers(0, 2**31), text)), route=text,
    bytes_sent=count, bytes_received=count, bytes_estimated=st.booleans(), rows_returned=count, rows_affected=count,
    error=text, facts=facts,
)  # fmt: skip


def key_value(key: str, given_value: Any) -> KeyValue:
    made = KeyValue(key=key)
    kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(given_value)]
    setattr(made.value, kind, given_value)
    return made


def expected_span(call: Call) -> Span:
    attributes: list[tuple[str, Any]] = []
    if call.operation:
        attributes.append((names.OPERATION, call.operation))
    attributes += [(names.QUERY_TEXT if call.sql else names.STATEMENT, call.text)] if call.text else []
    attributes += [(names.QUERY_SIGNS, call.signs)] if call.signs else []
    if call.site is not None:
        keys = (names.CODE_FUNCTION, names.CODE_FILE, names.CODE_LINE)
        attributes += list(zip(keys, call.site[:3], strict=True))
        attributes += [(names.CALL_PATH, call.site.path)] if call.site.path else []
    attributes += [(names.HTTP_ROUTE, call.route)] if call.route else []
    attributes += [(names.BYTES_SENT, call.bytes_sent)] if call.bytes_sent >= 0 else []
    attributes += [(names.BYTES_RECEIVED, call.bytes_received)] if call.bytes_received >= 0 else []
    attributes += [(names.ROWS_RETURNED, call.rows_returned)] if call.rows_returned >= 0 else []
    attributes += [(names.ROWS_AFFECTED, call.rows_affected)] if call.rows_affected >= 0 else []
    attributes += [(names.BYTES_ESTIMATED, True)] if call.bytes_estimated else []
    attributes += call.facts
    attributes += [(names.ERROR_TYPE, call.error)] if call.error else []
    span = Span(
        trace_id=call.trace_id.to_bytes(16, "big"), span_id=call.span_id.to_bytes(8, "big"),
        parent_span_id=call.parent_id.to_bytes(8, "big") if call.parent_id else b"", name=call.operation,
        kind=call.kind, start_time_unix_nano=call.start_ns, end_time_unix_nano=call.end_ns,  # pyright: ignore[reportArgumentType]
        attributes=[key_value(*one) for one in attributes],
    )  # fmt: skip
    if call.error:
        span.status.code = 2  # pyright: ignore[reportAttributeAccessIssue]
    return span


@given(st.lists(calls, max_size=5))
def test_every_call_reads_back_as_the_generated_classes_would_have_written_it(batch: list[Call]) -> None:
    request = ExportTraceServiceRequest.FromString(encode_calls(APP, batch))
    (resource,) = request.resource_spans
    assert [key_value(*one) for one in APP.attributes] == list(resource.resource.attributes)
    spans = {span.span_id + span.trace_id: span for scope in resource.scope_spans for span in scope.spans}
    for call in batch:
        key = call.span_id.to_bytes(8, "big") + call.trace_id.to_bytes(16, "big")
        if sum((one.span_id, one.trace_id) == (call.span_id, call.trace_id) for one in batch) == 1:
            assert expected_span(call) == spans[key]
    assert len(batch) == sum(len(scope.spans) for scope in resource.scope_spans)


@given(sessions)
def test_a_session_is_the_scope_with_its_facts_and_the_contract(session: Session) -> None:
    request = ExportTraceServiceRequest.FromString(encode_calls(APP, [make_call(session)]))
    scope = request.resource_spans[0].scope_spans[0].scope
    assert scope.name == names.SCOPE_CALLS
    assert [key_value(*one) for one in session_attributes(session).items()] == list(scope.attributes)
    assert key_value(names.BACKWATCH_CONTRACT, names.CONTRACT) in scope.attributes


def test_sessions_with_the_same_facts_share_one_scope() -> None:
    batch = [make_call(Session(system="redis", address="a", port=1), span_id=at) for at in (1, 2)]
    batch.append(make_call(Session(system="redis", address="b", port=1)))
    (resource,) = ExportTraceServiceRequest.FromString(encode_calls(APP, batch)).resource_spans
    assert [len(scope.spans) for scope in resource.scope_spans] == [2, 1]


def test_unreported_driver_facts_are_absent_rather_than_false() -> None:
    attributes = session_attributes(Session(system="mysql", address="db", port=3306))
    assert names.TLS_ESTABLISHED not in attributes
    assert {"backwatch.contract", "db.system.name", "server.address", "server.port", "network.transport"} == set(
        attributes
    )
    assert False is session_attributes(Session(system="mysql", encrypted=False))[names.TLS_ESTABLISHED]


def test_true_and_one_are_distinguished_in_any_order() -> None:
    call = make_call(Session(system="redis"), facts=(("a", 1), ("a", True), ("a", 1.0), ("a", "1")))
    (span,) = ExportTraceServiceRequest.FromString(encode_calls(APP, [call])).resource_spans[0].scope_spans[0].spans
    kinds = [one.value.WhichOneof("value") for one in span.attributes if one.key == "a"]
    assert kinds == ["int_value", "bool_value", "double_value", "string_value"]


def test_invalid_unicode_and_too_large_numbers_are_encoded() -> None:
    call = make_call(
        Session(system="redis"),
        text="\udcff",
        rows_returned=2**64 - 1,
        facts=(("n", 2**70), ("f", math.inf), ("t", "x" * 20_000)),
    )
    (span,) = ExportTraceServiceRequest.FromString(encode_calls(APP, [call])).resource_spans[0].scope_spans[0].spans
    attributes = {one.key: one.value for one in span.attributes}
    assert 2**63 - 1 == attributes["n"].int_value == attributes[names.ROWS_RETURNED].int_value
    assert math.isinf(attributes["f"].double_value)
    assert len(attributes["t"].string_value) == 8192


def test_a_heartbeat_has_no_spans_and_carries_the_drop_counts() -> None:
    request = ExportTraceServiceRequest.FromString(encode_heartbeat(APP, {"queue": 300, "probe": 1}))
    (scope,) = request.resource_spans[0].scope_spans
    assert (scope.scope.name, len(scope.spans)) == (names.SCOPE_HEARTBEAT, 0)
    attributes = {one.key: one.value.int_value for one in scope.scope.attributes}
    assert attributes == {"backwatch.contract": 1, "backwatch.dropped.queue": 300, "backwatch.dropped.probe": 1}
