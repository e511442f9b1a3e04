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
from backwatch.collector.stream import Message, open_consumer, open_publisher

HOURS = 30
ROUNDS_A_DAY = 1_440
CHUNK = 400
"""Spans per record."""

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


def retold(found: list[Told], rounds: int, now_ns: int) -> Iterator[Told]:
    """The same calls over and over, spread over the past hours up to a few minutes ago."""
    hour_ns = 3_600 * 10**9
    begin, end = found[0][2].end_time_unix_nano, found[-1][2].end_time_unix_nano + 1
    copies = max(1, HOURS * ROUNDS_A_DAY // 24 // rounds)
    stretch = HOURS * hour_ns // copies
    first = now_ns - HOURS * hour_ns - 600 * 10**9
    for copy in range(copies):
        for resource, scope, span in found:
            again = Span()
            again.CopyFrom(span)
            lasted = span.end_time_unix_nano - span.start_time_unix_nano
            at = first + copy * stretch + (span.end_time_unix_nano - begin) * stretch // (end - begin)
            again.start_time_unix_nano, again.end_time_unix_nano = at - lasted, at
            again.trace_id, again.span_id, again.parent_span_id = secrets.token_bytes(16), secrets.token_bytes(8), b""
            yield resource, scope, again


def messages(told: Iterable[Told]) -> Iterator[Message]:
    """Calls as records of a backfill, their order kept: a scope is repeated where calls of different sessions take turns."""
    request = ExportTraceServiceRequest()
    count = 0
    scope_now: ScopeSpans | None = None
    for resource, scope, span in told:
        if count == 0:
            request.resource_spans.add().resource.CopyFrom(resource)
        if scope is not scope_now or count == 0:
            added = request.resource_spans[0].scope_spans.add()
            added.scope.CopyFrom(scope.scope)
            scope_now = scope
        request.resource_spans[0].scope_spans[-1].spans.append(span)
        count += 1
        if count == CHUNK:
            yield Message(value=request.SerializeToString(), backfill=True)
            request, count = ExportTraceServiceRequest(), 0
    if count:
        yield Message(value=request.SerializeToString(), backfill=True)


def publish(source: StreamSettings, target: StreamSettings, rounds: int) -> int:
    """Retells what ``source`` holds into ``target``; how many calls that made."""
    found = captured(source)
    if not found:
        raise RuntimeError("the quiet app left no calls behind: is it instrumented?")
    told = list(retold(found, rounds, time.time_ns()))
    publisher = open_publisher(target)
    try:
        publisher.publish(names.TOPIC_CALLS, list(messages(told)), timeout_s=30)
    finally:
        publisher.close(5)
    return len(told)
