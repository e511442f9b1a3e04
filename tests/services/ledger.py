"""Counts per app of calls and reported drops in its stream."""

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Consumer, StreamUnavailable
from backwatch.collector.stream.factory import open_consumer


@dataclass(slots=True)
class Ledger:
    """Ledger entries by the app's name."""

    operation: str = "SELECT"
    """Calls of this operation are counted."""
    delivered: dict[str, set[bytes]] = field(default_factory=dict[str, set[bytes]])
    """Their spans: none counts twice, however often it came."""
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    """Drops that heartbeats reported."""

    def count_accounted(self, app: str) -> int:
        """Return calls that were delivered or reported as dropped."""
        return len(self.delivered.get(app, ())) + self.dropped.get(app, 0)

    def read(self, streams: Iterable[StreamSettings], done: Callable[[], bool], timeout_s: float) -> bool:
        """Read these one-partition streams from their beginning until done; return false after ``timeout_s``."""
        settings = {one.url: one for one in streams}
        until = time.monotonic() + timeout_s
        with contextlib.ExitStack() as stack:
            opened: dict[str, Consumer] = {}
            sought: set[str] = set()
            while not done():
                if time.monotonic() > until:
                    return False
                for url, one in settings.items():
                    with contextlib.suppress(StreamUnavailable):  # a topic that does not exist yet, on a full disk
                        if url not in opened:
                            opened[url] = open_consumer(one, names.TOPIC_CALLS, "ledger")
                            stack.callback(opened[url].close)
                        if url in sought:
                            self._read(opened[url])
                        elif _sought(opened[url]):
                            sought.add(url)
        return True

    def _read(self, consumer: Consumer) -> None:
        for record in consumer.poll(0.3):
            for one in ExportTraceServiceRequest.FromString(record.value).resource_spans:
                dropped = {pair.key: pair.value.string_value for pair in one.resource.attributes}
                for scope in one.scope_spans:
                    self._enter(dropped[names.SERVICE_NAME], scope)

    def _enter(self, app: str, scope: Any) -> None:
        spans = self.delivered.setdefault(app, set())
        spans.update(span.span_id for span in scope.spans if span.name == self.operation)
        for pair in scope.scope.attributes:
            if pair.key.startswith(names.DROPPED_PREFIX):
                self.dropped[app] = self.dropped.get(app, 0) + pair.value.int_value


def _sought(consumer: Consumer) -> bool:
    """Return whether the partition is assigned to this reader, and read from its beginning."""
    consumer.poll(0.3)
    if not consumer.assignment():
        return False
    consumer.seek(0, 0)
    return True
