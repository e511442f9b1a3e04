"""The compiled decoder, compared with a plain reference on protobuf's own parser."""

import math
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.detector.decoding import schema
from backwatch.detector.decoding.decoder import DecodedCalls, decode
from backwatch.detector.ingest.tolerant_schema import Request

Facts = dict[str, Any]

KEYS = st.sampled_from(
    [name for column in schema.COLUMNS for name in (column.name, *column.aliases)]
    + [names.BACKWATCH_CONTRACT, "http.target", "db.user.name", "x", "server.addres", "backwatch.query.text"]
)
TEXTS = st.sampled_from(
    ["", "a", "5432", "true", "False", "postgresql", "http://h:80/x", "10.0.0.1", "ip_tcp", "1"]
) | st.text(max_size=8)
NUMBERS = st.sampled_from([0, 1, 2, 7, 15, 443, 9_999, 10_000, -1, (1 << 63) - 1, -(1 << 63)]) | st.integers(0, 70_000)
VALUES = (
    TEXTS
    | NUMBERS
    | st.booleans()
    | st.sampled_from([0.0, 1.5, -2.0, 1e300, math.inf, -math.inf, math.nan, 0.2, 2.0**40, 2.0**39 + 1])
    | st.lists(st.just("x"), max_size=1)
)
ATTRIBUTES = st.lists(st.tuples(KEYS, VALUES), max_size=6)
SYSTEM = st.sampled_from(
    [[(names.DB_SYSTEM, "mysql")], [(names.HTTP_METHOD, "GET")], [("messaging.system", "kafka")], []]
)
TIMES = st.sampled_from([0, 1, 1_790_000_000_000_000_000, 1 << 62, (1 << 62) + 1, (1 << 64) - 1])
SPAN = st.fixed_dictionaries({
    "attributes": st.builds(lambda system, rest: system + rest, SYSTEM, ATTRIBUTES),
    "kind": st.sampled_from([3, 3, 3, 4, 5, 0, 1, 2, 6]), "name": st.text(max_size=4), "start": TIMES, "end": TIMES,
    "trace": st.sampled_from([b"", b"t" * 16, b"t" * 15]), "span": st.sampled_from([b"", b"s" * 8, b"s" * 9]),
    "status": st.sampled_from([None, 0, 1, 2]), "events": st.lists(ATTRIBUTES, max_size=2),
})  # fmt: skip
SCOPE = st.fixed_dictionaries({"attributes": ATTRIBUTES, "spans": st.lists(SPAN, max_size=4)})
RESOURCE = st.fixed_dictionaries({"attributes": ATTRIBUTES, "scopes": st.lists(SCOPE, max_size=2)})
REQUEST = st.lists(RESOURCE, max_size=2)


def fill(attributes: Any, pairs: list[tuple[str, Any]]) -> None:
    for key, value in pairs:
        one = attributes.add(key=key)
        if isinstance(value, bool):
            one.value.bool_value = value
        elif isinstance(value, int):
            one.value.int_value = value
        elif isinstance(value, float):
            one.value.double_value = value
        elif isinstance(value, str):
            one.value.string_value = value
        else:
            one.value.array_value.values.add(string_value="in a list")


def build_request(resources: list[Facts]) -> bytes:
    request = ExportTraceServiceRequest()
    for resource in resources:
        resource_spans = request.resource_spans.add()
        fill(resource_spans.resource.attributes, resource["attributes"])
        for scope in resource["scopes"]:
            scope_spans = resource_spans.scope_spans.add()
            fill(scope_spans.scope.attributes, scope["attributes"])
            for reported in scope["spans"]:
                span = scope_spans.spans.add(
                    kind=reported["kind"], name=reported["name"], trace_id=reported["trace"], span_id=reported["span"],
                    start_time_unix_nano=reported["start"], end_time_unix_nano=reported["end"],
                )  # fmt: skip
                fill(span.attributes, reported["attributes"])
                if reported["status"] is not None:
                    span.status.code = reported["status"]
                for event in reported["events"]:
                    fill(span.events.add(name="exception").attributes, event)
    return request.SerializeToString()


def number_of(which: str, value: Any) -> int:
    if which == "string_value" and 0 < len(value) <= 18 and value.isdigit():
        value = int(value)
    elif which == "double_value":
        value = -1 if math.isnan(value) or math.copysign(1, value) < 0 else min(value, schema.LARGEST)
    elif which != "int_value":
        return -1
    return min(max(int(value), -1), schema.LARGEST)


def flag_of(which: str, value: Any) -> int:
    if which == "bool_value" or (which == "int_value" and value in (0, 1)):
        return int(value)
    return {b"true": 1, b"false": 0}.get(value.lower(), -1) if which == "string_value" else -1


def text_of(which: str, value: Any) -> bytes | None:
    if which == "string_value":
        return value
    return str(value).encode() if which == "int_value" and 0 <= value < 10_000 else None


def choose_facts(pairs: list[Any], level: int, *, own: bool) -> Facts:
    """Return attributes by contract name. The best name wins, and of equal names the last."""
    found: dict[str, tuple[int, Any]] = {}
    for pair in pairs:
        key, which = pair.key.decode("utf-8", "replace"), pair.value.WhichOneof("value")
        value = getattr(pair.value, which) if which else None
        for column in schema.COLUMNS:
            if key not in (column.name, *column.aliases) or (key.startswith("backwatch.") and not own):
                continue
            rank = (column.name, *column.aliases).index(key)
            levels = column.levels if rank else column.levels & ~schema.EVENT
            if not levels & level or which is None or rank > found.get(column.name, (99, 0))[0]:
                continue
            read: Any = {schema.TEXT: text_of, schema.NUMBER: number_of, schema.FLAG: flag_of}[column.kind](
                which, value
            )
            if read is not None and read != -1:
                found[column.name] = (rank, read)
    return {name: read for name, (_, read) in found.items()} | {
        "ranks": {name: rank for name, (rank, _) in found.items()}
    }


def contract(pairs: list[Any]) -> int:
    found = 0
    for pair in pairs:
        if pair.key == names.BACKWATCH_CONTRACT.encode():
            which = pair.value.WhichOneof("value")
            found = max(number_of(which, getattr(pair.value, which)), 0) if which else 0
    return found


def reference(value: bytes) -> list[Facts]:
    """Return the calls of a request, without facts derived from a URL."""
    calls: list[Facts] = []
    for resource in Request.FromString(value).resource_spans:
        above = choose_facts(resource.resource.attributes, schema.RESOURCE, own=True)
        for scope in resource.scope_spans:
            own = contract(scope.scope.attributes) <= names.CONTRACT
            session = above | choose_facts(scope.scope.attributes, schema.SCOPE, own=own)
            for span in scope.spans:
                calls += call_of(span, session, own=own)
    return calls


def call_of(span: Any, session: Facts, *, own: bool) -> list[Facts]:
    events = [pair for event in span.events for pair in event.attributes]
    own = own and contract(span.attributes) <= names.CONTRACT
    found = choose_facts(span.attributes, schema.SPAN, own=own)
    errors = choose_facts(events, schema.EVENT, own=own)
    if found["ranks"].get(names.ERROR_TYPE, 1) == 1 and names.ERROR_TYPE in errors:
        found[names.ERROR_TYPE] = errors[names.ERROR_TYPE]
    facts = session | found
    if span.kind not in (3, 4, 5):
        return []
    if not any(facts.get(name) for name in names.SYSTEMS):
        if not facts.get(names.HTTP_METHOD) and not facts.get(names.URL_FULL):
            return []
        facts[names.SYSTEM] = b"http"
    ranks = found["ranks"]
    if ranks.get(names.BYTES_SENT) or ranks.get(names.BYTES_RECEIVED):
        facts[names.BYTES_ESTIMATED] = 1
    facts[names.SPAN_NAME] = span.name
    facts["times"] = span.start_time_unix_nano, span.end_time_unix_nano
    facts["error"] = span.status.code == 2
    facts["ids"] = (
        span.trace_id.hex() if len(span.trace_id) == 16 else "",
        span.span_id.hex() if len(span.span_id) == 8 else "",
    )
    return [facts]


DERIVED = {names.SERVER_ADDRESS, names.SERVER_PORT, names.PEER_ADDRESS, names.TRANSPORT}


def assert_same(found: DecodedCalls, calls: list[Facts]) -> None:
    assert len(calls) == found.count
    for row, facts in enumerate(calls):
        for name in schema.TEXTS:
            if name not in DERIVED:
                assert facts.get(name, b"") == found.raw(name, row), name
        for name in schema.NUMBERS:
            if name not in DERIVED:
                assert facts.get(name, -1) == found.numbers[row, schema.NUMBER_INDEX[name]], name
        for name in schema.FLAGS:
            assert facts.get(name, -1) == found.flags[row, schema.FLAG_INDEX[name]], name
        start, end = (time if 0 < time <= schema.LATEST_NS else 0 for time in facts["times"])
        assert max(start, end) == found.end_ns[row]
        assert (start or end) == found.start_ns[row]
        assert facts["error"] == found.error[row]
        assert facts["ids"] == (found.trace_id(row), found.span_id(row))


@settings(deadline=None, max_examples=150)
@given(st.lists(REQUEST, max_size=3))
def test_decoder_agrees_with_protobuf(requests: list[list[Facts]]) -> None:
    values = [build_request(resources) for resources in requests]
    found = decode(values)
    assert found.malformed == []
    assert sum(len(s["spans"]) for one in requests for r in one for s in r["scopes"]) == found.spans
    assert_same(found, [call for value in values for call in reference(value)])


def reverse_fields(value: bytes, nested: Mapping[int, Any]) -> bytes:
    """Return the message with its fields reversed, and those of its nested messages."""
    parts: list[bytes] = []
    at = 0
    while at < len(value):
        begin, tag = at, value[at]
        at += 1
        if tag & 7 == 2:
            length = shift = 0
            while True:
                byte = value[at]
                length |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128:
                    break
            head, body = value[begin:at], value[at : at + length]
            at += length
            parts.append(head + (reverse_fields(body, nested[tag]) if tag in nested else body))
        else:
            at += {1: 8, 5: 4}.get(tag & 7, 0)
            while tag & 7 == 0:
                at += 1
                if value[at - 1] < 128:
                    break
            parts.append(value[begin:at])
    return b"".join(reversed(parts))


@settings(deadline=None, max_examples=60)
@given(REQUEST)
def test_field_order_changes_only_the_order_of_calls(resources: list[Facts]) -> None:
    value = reverse_fields(build_request(resources), {0x0A: {0x12: {0x12: {}}}})
    found = decode([value])
    assert found.malformed == []
    assert_same(found, reference(value))


def test_message_in_parts_is_merged() -> None:
    """Protobuf merges a repeated occurrence of a field. A streaming encoder may write one."""
    first = build_request([{"attributes": [(names.SERVICE_NAME, "shop")], "scopes": []}])
    span = {
        "attributes": [(names.DB_SYSTEM, "redis")], "kind": 3, "name": "GET", "start": 1, "end": 2, "trace": b"",
        "span": b"", "status": 2, "events": [],
    }  # fmt: skip
    second = build_request([{"attributes": [], "scopes": [{"attributes": [], "spans": [span]}]}])
    # Two ResourceSpans bodies glued into one: two Resource messages in it.
    body = first[2:] + second[2:]
    value = b"\x0a" + bytes([len(body)]) + body
    found = decode([value])
    assert found.text(names.SERVICE_NAME, 0) == "shop"
    assert_same(found, reference(value))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0.0, 0),
        (1.9, 1),
        (2.0**53, schema.LARGEST),
        (-0.5, -1),
        (math.inf, schema.LARGEST),
        (math.nan, -1),
        (1e-320, 0),
    ],
)
def test_double_is_read_as_its_integer_part(number: float, expected: int) -> None:
    from backwatch.detector.decoding.attributes import whole

    assert expected == whole(struct.unpack("<q", struct.pack("<d", number))[0])
