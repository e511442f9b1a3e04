"""A stream in memory, and probes that deliver to it through the real pipeline, which adds facts of its own."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from backwatch.collector import names
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.probes import Probe
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Message, Publisher


class MemoryStream(Publisher):
    """A stream in memory that can be made to fail."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.failing: Exception | None = None
        self.tries = 0

    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        assert topic == names.TOPIC_CALLS
        self.tries += 1
        if self.failing is not None:
            raise self.failing
        self.messages += messages

    def close(self, timeout_s: float) -> None:
        pass

    def scopes(self, name: str) -> list[ScopeSpans]:
        return [scope for scope in self._scopes() if scope.scope.name == name]

    def spans(self) -> list[Span]:
        return [span for scope in self.scopes(names.SCOPE_CALLS) for span in scope.spans]

    def calls(self) -> list[dict[str, Any]]:
        """Return every delivered call, in order of its beginning: facts of session and call by contract name."""
        found: list[tuple[int, dict[str, Any]]] = []
        for scope in self._scopes():
            session = read_attributes(scope.scope.attributes)
            found += [
                (span.start_time_unix_nano, {**session, "name": span.name, **read_attributes(span.attributes)})
                for span in scope.spans
            ]
        return [call for _, call in sorted(found, key=lambda pair: pair[0])]

    def find(self, text: str) -> list[dict[str, Any]]:
        """Return calls whose statement contains ``text``."""
        return [call for call in self.calls() if text in call.get(names.QUERY_TEXT, call.get(names.STATEMENT, ""))]

    def count_dropped(self) -> dict[str, int]:
        """Return the sum of the drops in all heartbeats."""
        total: dict[str, int] = {}
        for scope in self.scopes(names.SCOPE_HEARTBEAT):
            for key, value in read_attributes(scope.scope.attributes).items():
                if key.startswith(names.DROPPED_PREFIX):
                    kind = key.removeprefix(names.DROPPED_PREFIX)
                    total[kind] = total.get(kind, 0) + value
        return total

    def _scopes(self) -> Iterator[ScopeSpans]:
        for message in self.messages:
            for resource in ExportTraceServiceRequest.FromString(message.value).resource_spans:
                yield from resource.scope_spans


def read_attributes(attributes: Any) -> dict[str, Any]:
    """Return attributes of OTLP by their keys."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in attributes}


@contextmanager
def deliver(*kinds: type[Probe]) -> Generator[MemoryStream]:
    """Observe these drivers inside the block; all calls are delivered after it."""
    stream = MemoryStream()
    pipeline = Pipeline(CollectorSettings(flush_interval_s=0.01, heartbeat_s=3600.0), lambda: stream)
    with ExitStack() as stack:
        stack.callback(pipeline.close)
        for kind in kinds:
            probe = kind()
            probe.instrument(recorder=pipeline, skip_dep_check=True)
            stack.callback(probe.uninstrument)
        yield stream
        assert pipeline.flush(30)
