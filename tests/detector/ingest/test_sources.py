"""Recorded traces in every supported shape, and handling of damaged ones."""

import gzip
import io
import json
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.pipeline.protobuf import varint
from backwatch.detector.decoding.decoder import decode
from backwatch.detector.ingest.otlp_json import NotATrace, parse, to_protobuf
from backwatch.detector.ingest.sources import RecordedRequest, UnreadablePiece, read
from tests.detector.streams import SAFE, START_NS, Call, encode, statement


def document(name: str = "q") -> dict[str, Any]:
    return {
        "resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeSpans": [{"scope": {"name": "s"}, "spans": [{
                "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": name, "kind": 3,
                "startTimeUnixNano": "1790000000000000000", "endTimeUnixNano": "1790000000000000009",
                "attributes": [
                    {"key": "db.system", "value": {"stringValue": "redis"}},
                    {"key": "server.port", "value": {"intValue": "6379"}},
                ],
                "status": {"code": 2},
            }]}],
        }],
    }  # fmt: skip


def names_of(path: Path | str) -> list[str]:
    """Return span names in order, with ``!`` for each unreadable piece."""
    found: list[str] = []
    for item in read([str(path)]):
        if isinstance(item, UnreadablePiece):
            found.append("!")
        else:
            request = ExportTraceServiceRequest.FromString(item.request)
            found += [one.name for r in request.resource_spans for s in r.scope_spans for one in s.spans]
    return found


def lines(*documents: str) -> bytes:
    return "".join(one + "\n" for one in documents).encode()


LINE = [json.dumps(document(name)) for name in "abc"]
PRETTY = [json.dumps(document(name), indent=2) for name in "abc"]
BODY = [to_protobuf(document(name)) for name in "abc"]


def frame(body: bytes) -> bytes:
    return varint(len(body)) + body


def frame_of(size: int) -> bytes:
    """Return a request of exactly so many bytes."""
    request = ExportTraceServiceRequest.FromString(to_protobuf(document()))
    request.resource_spans[0].scope_spans[0].spans[0].name = "long"
    request.resource_spans[0].resource.attributes[0].value.string_value = ""
    del request.resource_spans[0].scope_spans[0].spans[0].attributes[:]
    missing = size - len(request.SerializeToString())
    request.resource_spans[0].resource.attributes[0].value.string_value = "x" * missing
    assert size == len(request.SerializeToString())
    return request.SerializeToString()


SHAPES: dict[str, tuple[bytes, Sequence[str]]] = {
    "lines": (lines(*LINE), "abc"),
    "lines, the last without its end": (lines(*LINE)[:-1], "abc"),
    "lines between blank ones": (b"\n\n" + lines(LINE[0], "", LINE[1]), "ab"),
    "lines of Windows": (lines(*LINE).replace(b"\n", b"\r\n"), "abc"),
    "a byte order mark": (b"\xef\xbb\xbf" + lines(*LINE), "abc"),
    "one document": (LINE[0].encode(), "a"),
    "one document over many lines": (PRETTY[0].encode(), "a"),
    "many documents over many lines": (lines(*PRETTY), "abc"),
    "a list of documents": (json.dumps([document(name) for name in "abc"]).encode(), "abc"),
    "a list over many lines": (json.dumps([document(name) for name in "abc"], indent=1).encode(), "abc"),
    "one protobuf request": (BODY[0], "a"),
    "a protobuf frame as long as a brace": (b"{" + frame_of(123), ["long"]),
    "protobuf with varint lengths": (b"".join(map(frame, BODY)), "abc"),
    "protobuf with four-byte lengths": (b"".join(struct.pack(">I", len(one)) + one for one in BODY), "abc"),
    "nothing": (b"", ""),
    "blank lines": (b"\n\n", ""),
}
DAMAGED: dict[str, tuple[bytes, Sequence[str]]] = {
    "a line cut short": (lines(LINE[0], LINE[1][:-40], LINE[2]), "a!c"),
    "a line cut short at the end": (lines(LINE[0], LINE[1])[:-20], "a!"),
    "a line of nonsense": (lines(LINE[0], "nonsense", LINE[1]), "a!b"),
    "a line with a bracket too many": (lines(LINE[0], "}", LINE[1]), "a!b"),
    "a document that is no trace": (lines(LINE[0], '{"resourceLogs": []}', LINE[1]), "a!b"),
    "a document that is no object": (lines("[1]", LINE[1]), "!b"),
    "a document nested too deeply": (lines("[" * 200_000 + "]" * 200_000, LINE[1]), "!b"),
    "a document over many lines that breaks off": (PRETTY[0].encode()[:-60] + b"\n" + lines(LINE[1]), "!b"),
    "bytes that are no UTF-8": (lines(LINE[0]).replace(b'"a"', b'"\xff"') + lines(LINE[1]), "!b"),
    "text": (b"hello", "!"),
    "a first line of nonsense": (lines("nonsense", LINE[1]), "!b"),
    "bytes": (bytes(range(256)) * 4, "!"),
    "a bad frame between good ones": (frame(BODY[0]) + b"\x02\xff\xff" + frame(BODY[1]), "a!b"),
    "a frame cut short": (frame(BODY[0]) + frame(BODY[1])[:-3], "a!"),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [*SHAPES, *DAMAGED])
def test_every_format_is_read_and_damage_stays_within_its_part(shape: str, packed: bool, tmp_path: Path) -> None:
    content, expected = {**SHAPES, **DAMAGED}[shape]
    path = tmp_path / "spans"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert list(expected) == names_of(path)


def test_standard_input_is_read_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(lines(*LINE)))))
    assert list("abc") == names_of("-")


def test_damaged_gzip_yields_its_intact_part_before_the_next_file(tmp_path: Path) -> None:
    many = gzip.compress(lines(*LINE * 2_000))
    (tmp_path / "cut.gz").write_bytes(many[: len(many) // 2])
    (tmp_path / "good").write_bytes(lines(*LINE))
    items = list(read([str(tmp_path / "cut.gz"), str(tmp_path / "good")]))
    bad = [item for item in items if isinstance(item, UnreadablePiece)]
    assert [str(tmp_path / "cut.gz")] == [item.origin for item in bad]
    assert [f"{tmp_path / 'good'}:{line}" for line in (1, 2, 3)] == [item.origin for item in items[-3:]]
    assert len(items) > 4


def test_missing_file_is_reported_before_any_read(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(lines(*LINE))
    with pytest.raises(FileNotFoundError, match="missing"):
        next(read([str(tmp_path / "good"), str(tmp_path / "missing")]))


def test_each_part_has_its_location(tmp_path: Path) -> None:
    path = tmp_path / "spans"
    path.write_bytes(lines(*PRETTY, "nonsense"))
    per = PRETTY[0].count("\n") + 1
    items = list(read([str(path)]))
    assert [f"{path}:{1 + i * per}" for i in range(4)] == [item.origin for item in items]
    assert isinstance(items[3], UnreadablePiece)
    assert "is not JSON" in items[3].reason
    assert "\n" not in items[3].reason


@pytest.mark.data
def test_recorded_systems_are_read_completely(data_folder: Path) -> None:
    files = sorted(map(str, (data_folder / "otlp").glob("*.otlp.jsonl.gz")))
    items = list(read(files))
    assert not [item for item in items if isinstance(item, UnreadablePiece)]
    found = decode([item.request for item in items if isinstance(item, RecordedRequest)])
    assert (found.spans, found.malformed) == (41_700, [])
    assert found.count > 30_000


# --- OTLP/JSON ---


def spans_of(value: bytes) -> list[Any]:
    request = ExportTraceServiceRequest.FromString(value)
    return [one for r in request.resource_spans for s in r.scope_spans for one in s.spans]


def test_ids_are_hex_and_numbers_may_be_text() -> None:
    (span,) = spans_of(to_protobuf(document()))
    assert (span.trace_id.hex(), span.span_id.hex()) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert (
        span.kind, span.start_time_unix_nano, span.end_time_unix_nano, span.status.code,
    ) == (3, 1_790_000_000_000_000_000, 1_790_000_000_000_000_009, 2)  # fmt: skip
    assert [(one.key, getattr(one.value, str(one.value.WhichOneof("value")))) for one in span.attributes] == [
        ("db.system", "redis"),
        ("server.port", 6379),
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": "x"}, "x"),
        ({"intValue": "9223372036854775807"}, (1 << 63) - 1),
        ({"intValue": 7}, 7),
        ({"boolValue": False}, False),
        ({"doubleValue": 1.5}, 1.5),
        ({"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}}, '["a", 1]'),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}, '{"k": true}'),
        ({"string_value": "x"}, "x"),
        ({"int_value": "3"}, 3),
    ],
)
def test_every_kind_of_value_is_converted(value: dict[str, Any], expected: object) -> None:
    found = document()
    found["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] = [{"key": "k", "value": value}]
    (attribute,) = spans_of(to_protobuf(found))[0].attributes
    assert expected == getattr(attribute.value, str(attribute.value.WhichOneof("value")))


def test_snake_case_names_enum_words_and_short_ids_are_read() -> None:
    found = {
        "resource_spans": [{"scope_spans": [{"spans": [{
            "trace_id": "b7ad6b7169203331", "span_id": "t61rcWkgMzE=", "parent_span_id": "zz",
            "kind": "SPAN_KIND_CLIENT", "start_time_unix_nano": 5, "status": {"code": "STATUS_CODE_ERROR"},
            "events": [{"name": "exception", "attributes": [{"key": "exception.type", "value": {"stringValue": "E"}}]}],
        }]}]}],
    }  # fmt: skip
    (span,) = spans_of(to_protobuf(found))
    assert (
        span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.kind, span.start_time_unix_nano,
        span.status.code,
    ) == ("0000000000000000b7ad6b7169203331", "b7ad6b7169203331", "", 3, 5, 2)  # fmt: skip
    assert span.attributes[0].value.string_value == "E"


def test_field_of_the_wrong_type_does_not_lose_its_span() -> None:
    wrong: Sequence[Any] = [None, 1, -5, "x", [], {}, True, 1e400]
    for value in wrong:
        found = document()
        span = found["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        for name in ("traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "status"):
            span[name] = value
        span["attributes"] = [{"key": value, "value": value}, {"value": {"intValue": value}}]
        assert len(spans_of(to_protobuf(found))) == 1


@pytest.mark.parametrize(
    "broken", [[], 7, "x", None, {"resourceLogs": []}, {"resourceSpans": 7}, {"resourceSpans": [7]}]
)
def test_input_other_than_a_trace_is_refused_in_one_line(broken: object) -> None:
    with pytest.raises(NotATrace) as refused:
        to_protobuf(broken)
    assert "\n" not in str(refused.value)


WORDS = (
    "resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "stringValue", "arrayValue", "values",
    "status", "events", "resource", "scope", "kvlistValue", "intValue",
)  # fmt: skip
KEYS = st.sampled_from(WORDS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


@settings(deadline=None, max_examples=200)
@given(JSON)
def test_any_json_is_a_request_or_refused(found: Any) -> None:
    for one in (found, {"resourceSpans": [found]}, {"resourceSpans": [{"scopeSpans": [{"spans": [found]}]}]}):
        try:
            value = to_protobuf(one)
        except NotATrace:
            continue
        ExportTraceServiceRequest.FromString(value)


def test_all_json_parser_errors_become_one_kind() -> None:
    for text in ("[" * 200_000, "{", b"\xff{}", "1" * 5_000, '{"a": \x00}'):
        with pytest.raises(ValueError, match=r"^(is not|nested|Exceeds)"):
            parse(text)


def test_recorded_collector_requests_are_read_back() -> None:
    value = encode([Call(START_NS, SAFE, statement("SELECT 1"))])
    assert decode([value]).text(names.QUERY_TEXT, 0) == "SELECT 1"
