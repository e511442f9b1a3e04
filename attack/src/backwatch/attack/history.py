"""A quiet history: calls that the shop really made, told again with past event times and marked as a backfill.

So what is normal is learnt on the shipped thresholds, by the same path that live calls take.
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
"""Seconds between rounds, then as now: a history at another pace would make the shop's ordinary day a spike."""
CHUNK = 400
"""Spans per record."""
RECORDS = 16
"""Published at once."""
_HOUR_NS = 3_600 * 10**9
_GAP_NS = 300 * 10**9
"""Between the end of the history and now: longer than the detector waits for what comes late."""

Told = tuple[Resource, ScopeSpans, Span]


def captured(stream: StreamSettings) -> list[Told]:
    """Every span of a stream, in order of its end."""
    consumer = open_consumer(stream, names.TOPIC_CALLS, "backwatch-history")
    found: list[Told] = []
    try:
        for partition in consumer.assignment():
            consumer.seek(partition, 0)
        while records := consumer.poll(0.2):
            for record in records:
                for spans in ExportTraceServiceRequest.FromString(record.value).resource_spans:
                    found += [(spans.resource, scope, span) for scope in spans.scope_spans for span in scope.spans]
    finally:
        consumer.close()
    return sorted(found, key=lambda told: told[2].end_time_unix_nano)


def retold(
    found: list[Told], rounds: int, now_ns: int, *, hours: float = HOURS, every_s: float = EVERY_S
) -> Iterator[Told]:
    """The same calls over and over, spread over the past hours up to a few minutes ago."""
    copies = max(1, round(hours * 3_600 / every_s / rounds))
    stretch = int(hours * _HOUR_NS) // copies
    first = now_ns - _GAP_NS - int(hours * _HOUR_NS)
    for copy in range(copies):
        yield from retold_once(found, first + copy * stretch, stretch)


def retold_once(found: list[Told], first_ns: int, stretch_ns: int) -> Iterator[Told]:
    """The same calls once more, spread over ``stretch_ns`` from ``first_ns`` on; each lasts as long as it did."""
    begin, end = found[0][2].end_time_unix_nano, found[-1][2].end_time_unix_nano + 1
    for resource, scope, span in found:
        again = Span()
        again.CopyFrom(span)
        lasted = span.end_time_unix_nano - span.start_time_unix_nano
        at = first_ns + (span.end_time_unix_nano - begin) * stretch_ns // (end - begin)
        again.start_time_unix_nano, again.end_time_unix_nano = at - lasted, at
        again.trace_id, again.span_id, again.parent_span_id = secrets.token_bytes(16), secrets.token_bytes(8), b""
        yield resource, scope, again


def messages(told: Iterable[Told]) -> Iterator[Message]:
    """Calls as records of a backfill, in order: app and scope are repeated where those of several take turns."""
    request = ExportTraceServiceRequest()
    count = 0
    resource_now: Resource | None = None
    scope_now: ScopeSpans | None = None
    for resource, scope, span in told:
        if resource is not resource_now or count == 0:
            request.resource_spans.add().resource.CopyFrom(resource)
            resource_now, scope_now = resource, None
        if scope is not scope_now:
            added = request.resource_spans[-1].scope_spans.add()
            added.scope.CopyFrom(scope.scope)
            scope_now = scope
        request.resource_spans[-1].scope_spans[-1].spans.append(span)
        count += 1
        if count == CHUNK:
            yield Message(value=request.SerializeToString(), backfill=True)
            request, count = ExportTraceServiceRequest(), 0
    if count:
        yield Message(value=request.SerializeToString(), backfill=True)


def publish(source: StreamSettings, target: StreamSettings, rounds: int) -> tuple[int, int]:
    """Retells what ``source`` holds into ``target``.

    Returns:
        How many calls that made, and when the last of them ended.

    Raises:
        RuntimeError: The app left nothing behind.
    """
    found = captured(source)
    if not found:
        raise RuntimeError("the quiet app left no calls behind: is it watched?")
    return publish_told(retold(found, rounds, time.time_ns()), target)


def publish_told(told: Iterable[Told], target: StreamSettings) -> tuple[int, int]:
    """Publishes calls that come in order: how many there were, and when the last of them ended."""
    count = last_ns = 0

    def counted() -> Iterator[Told]:
        nonlocal count, last_ns
        for one in told:
            count, last_ns = count + 1, one[2].end_time_unix_nano
            yield one

    # All of it is made before any of it is published: at the log's end a detector takes time to have gone on to now,
    # and calls that come after that are late, judged by what was told and learnt by nobody.
    waiting = list(messages(counted()))
    publisher = open_publisher(target)
    try:
        for at in range(0, len(waiting), RECORDS):
            publisher.publish(names.TOPIC_CALLS, waiting[at : at + RECORDS], timeout_s=30)
    finally:
        publisher.close(5)
    return count, last_ns
