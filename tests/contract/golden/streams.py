"""Recorded OTLP input: the calls of many apps, each made once and repeated over a past, as data without names of code.

A file holds one JSON object per line, compressed. ``times_ns`` is when the first call of ``request`` ends, once per
repetition, and ``stretch_ns`` over how long one repetition is spread; 0: the calls keep their distances. A line without
``times_ns`` stands as it was recorded, behind all others. The lines of one app are its stream, by the calls' ends.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from tests.contract.golden.renames import Renames

MAX_CHUNK_SPANS = 400
"""Spans per request. No finding depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Calls of one app, and when they are repeated.

    Attributes:
        times_ns: When the first call of each repetition ends; empty: the request stands as it is.
        stretch_ns: From there to the end of the repetition; 0: as long as the calls really took.
    """

    app: str
    name: str
    request: ExportTraceServiceRequest
    times_ns: Sequence[int] = ()
    stretch_ns: int = 0


def write(path: Path, blocks: Iterable[Block]) -> None:
    """Write blocks as compressed JSON lines; the same blocks give the same bytes."""
    lines = [json.dumps(_to_document(block), separators=(",", ":")) for block in blocks]
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0))


def read(path: Path) -> dict[str, list[Block]]:
    """Return the blocks of a file by app."""
    found: dict[str, list[Block]] = {}
    for line in gzip.decompress(path.read_bytes()).splitlines():
        document = json.loads(line)
        request = json_format.ParseDict(document.pop("request"), ExportTraceServiceRequest())
        found.setdefault(document["app"], []).append(Block(request=request, **document))
    return found


def requests_of(blocks: Sequence[Block], renames: Renames) -> Iterator[bytes]:
    """Return the whole stream of one app as ``ExportTraceServiceRequest`` bytes, under the names of today."""
    for block in blocks:
        rename_attributes(block.request, renames)
    calls = [call for number, block in enumerate(blocks) if block.times_ns for call in _repeat(number, block)]
    yield from _chunks(sorted(calls, key=lambda call: call[2].end_time_unix_nano))
    for block in blocks:
        if not block.times_ns:
            yield block.request.SerializeToString()


def rename_attributes(request: ExportTraceServiceRequest, renames: Renames) -> None:
    """Apply the table of renames to every attribute and every scope's name of a request."""
    for resource_spans in request.resource_spans:
        attributes = [*resource_spans.resource.attributes]
        for scope_spans in resource_spans.scope_spans:
            scope_spans.scope.name = renames.fact(scope_spans.scope.name)
            attributes += scope_spans.scope.attributes
            for span in scope_spans.spans:
                attributes += span.attributes
        for attribute in attributes:
            _rename(attribute, renames)


def _rename(attribute: KeyValue, renames: Renames) -> None:
    was = attribute.key
    attribute.key = renames.fact(was)
    _rename_value(was, attribute.value, renames)


def _rename_value(fact: str, value: AnyValue, renames: Renames) -> None:
    if value.HasField("string_value"):
        value.string_value = renames.value(fact, value.string_value)
    for element in value.array_value.values:
        _rename_value(fact, element, renames)


def _to_document(block: Block) -> dict[str, Any]:
    document: dict[str, Any] = {"app": block.app, "name": block.name}
    if block.times_ns:
        document |= {"times_ns": list(block.times_ns), "stretch_ns": block.stretch_ns}
    return document | {"request": json_format.MessageToDict(block.request)}


Call = tuple[ResourceSpans, ScopeSpans, Span]


def calls_of(request: ExportTraceServiceRequest) -> list[Call]:
    """Return every call of a request with its scope and its resource."""
    return [
        (resource_spans, scope_spans, span)
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def _repeat(number: int, block: Block) -> Iterator[Call]:
    calls = sorted(calls_of(block.request), key=lambda call: call[2].end_time_unix_nano)
    begin, end = calls[0][2].end_time_unix_nano, calls[-1][2].end_time_unix_nano + 1
    stretch_ns = block.stretch_ns or end - begin
    for repetition, first_ns in enumerate(block.times_ns):
        for index, (resource_spans, scope_spans, span) in enumerate(calls):
            again = Span()
            again.CopyFrom(span)
            lasted_ns = span.end_time_unix_nano - span.start_time_unix_nano
            end_ns = first_ns + (span.end_time_unix_nano - begin) * stretch_ns // (end - begin)
            again.start_time_unix_nano, again.end_time_unix_nano = end_ns - lasted_ns, end_ns
            again.span_id = b"".join(
                part.to_bytes(size) for part, size in ((number, 2), (repetition, 3), (index + 1, 3))
            )
            again.trace_id = again.span_id * 2
            yield resource_spans, scope_spans, again


def _chunks(calls: Iterable[Call]) -> Iterator[bytes]:
    request, count = ExportTraceServiceRequest(), 0
    last: tuple[ResourceSpans | None, ScopeSpans | None] = (None, None)
    for resource_spans, scope_spans, span in calls:
        if resource_spans is not last[0] or not count:
            request.resource_spans.add().resource.CopyFrom(resource_spans.resource)
        if scope_spans is not last[1] or resource_spans is not last[0] or not count:
            request.resource_spans[-1].scope_spans.add().scope.CopyFrom(scope_spans.scope)
        last = (resource_spans, scope_spans)
        request.resource_spans[-1].scope_spans[-1].spans.append(span)
        count += 1
        if count == MAX_CHUNK_SPANS:
            yield request.SerializeToString()
            request, count = ExportTraceServiceRequest(), 0
    if count:
        yield request.SerializeToString()
