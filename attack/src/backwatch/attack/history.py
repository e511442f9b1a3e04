"""A quiet history: the shop's real calls with past event times. They are marked as a backfill.

The detector learns from it on the shipped thresholds, by the same path as from live calls.
"""

import secrets
import time
from collections.abc import Iterable, Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import open_consumer, open_publisher

HOURS = 1.5
EVERY_S = 0.5
"""Seconds between rounds, the same as live: another pace would make the shop's ordinary day a spike."""
SPANS_PER_RECORD = 400
"""Spans per record."""
RECORDS_PER_PUBLISH = 16
"""Number of records that are published at once."""
_HOUR_NS = 3_600 * 10**9
_GAP_NS = 300 * 10**9
"""Between the end of the history and now: longer than the detector waits for late calls."""

CapturedCall = tuple[Resource, ScopeSpans, Span]


def end_ns(call: CapturedCall) -> int:
    """Return the end time of a call."""
    return call[2].end_time_unix_nano


def capture_calls(stream: StreamSettings) -> list[CapturedCall]:
    """Return every span of a stream, in order of its end."""
    consumer = open_consumer(stream, names.TOPIC_CALLS, "backwatch-history")
    found: list[CapturedCall] = []
    try:
        for partition in consumer.assignment():
            consumer.seek(partition, 0)
        while records := consumer.poll(0.2):
            for record in records:
                for spans in ExportTraceServiceRequest.FromString(record.value).resource_spans:
                    found += [(spans.resource, scope, span) for scope in spans.scope_spans for span in scope.spans]
    finally:
        consumer.close()
    return sorted(found, key=end_ns)


def repeat_calls(
    found: list[CapturedCall], rounds: int, now_ns: int, *, hours: float = HOURS, every_s: float = EVERY_S
) -> Iterator[CapturedCall]:
    """Repeat the same calls over the past hours, up to a few minutes ago."""
    copies = max(1, round(hours * 3_600 / every_s / rounds))
    stretch = int(hours * _HOUR_NS) // copies
    first = now_ns - _GAP_NS - int(hours * _HOUR_NS)
    for copy in range(copies):
        yield from repeat_calls_once(found, first + copy * stretch, stretch)


def repeat_calls_once(found: list[CapturedCall], first_ns: int, stretch_ns: int) -> Iterator[CapturedCall]:
    """Repeat the same calls once, spread over ``stretch_ns`` from ``first_ns`` on; each keeps its duration."""
    begin, end = found[0][2].end_time_unix_nano, found[-1][2].end_time_unix_nano + 1
    for resource, scope, span in found:
        again = Span()
        again.CopyFrom(span)
        lasted = span.end_time_unix_nano - span.start_time_unix_nano
        at = first_ns + (span.end_time_unix_nano - begin) * stretch_ns // (end - begin)
        again.start_time_unix_nano, again.end_time_unix_nano = at - lasted, at
        again.trace_id, again.span_id, again.parent_span_id = secrets.token_bytes(16), secrets.token_bytes(8), b""
        yield resource, scope, again


def to_messages(call_data: Iterable[CapturedCall]) -> Iterator[Message]:
    """Yield calls as records of a backfill, in order. A change of app or scope starts a new group."""
    request = ExportTraceServiceRequest()
    count = 0
    resource_now: Resource | None = None
    scope_now: ScopeSpans | None = None
    for resource, scope, span in call_data:
        if resource is not resource_now or count == 0:
            request.resource_spans.add().resource.CopyFrom(resource)
            resource_now, scope_now = resource, None
        if scope is not scope_now:
            added = request.resource_spans[-1].scope_spans.add()
            added.scope.CopyFrom(scope.scope)
            scope_now = scope
        request.resource_spans[-1].scope_spans[-1].spans.append(span)
        count += 1
        if count == SPANS_PER_RECORD:
            yield Message(value=request.SerializeToString(), backfill=True)
            request, count = ExportTraceServiceRequest(), 0
    if count:
        yield Message(value=request.SerializeToString(), backfill=True)


def publish(source: StreamSettings, target: StreamSettings, rounds: int) -> tuple[int, int]:
    """Copy the calls of ``source`` into ``target`` as a repeated past.

    Returns:
        The number of calls, and when the last of them ended.

    Raises:
        RuntimeError: The app recorded no calls.
    """
    found = capture_calls(source)
    if not found:
        raise RuntimeError("the quiet app left no calls behind: is it watched?")
    return publish_calls(repeat_calls(found, rounds, time.time_ns()), target)


def publish_calls(call_data: Iterable[CapturedCall], target: StreamSettings) -> tuple[int, int]:
    """Publish ordered calls; return their number, and when the last of them ended."""
    count = last_ns = 0

    def count_calls() -> Iterator[CapturedCall]:
        nonlocal count, last_ns
        for call in call_data:
            count, last_ns = count + 1, call[2].end_time_unix_nano
            yield call

    # All of it is built before any of it is published: at the log's end a detector assumes that time has reached now.
    # It judges calls that come after that as late, and does not learn from them.
    waiting = list(to_messages(count_calls()))
    publisher = open_publisher(target)
    try:
        for at in range(0, len(waiting), RECORDS_PER_PUBLISH):
            publisher.publish(names.TOPIC_CALLS, waiting[at : at + RECORDS_PER_PUBLISH], timeout_s=30)
    finally:
        publisher.close(5)
    return count, last_ns
