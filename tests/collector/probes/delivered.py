"""Probes with the real pipeline behind them, down to the bytes of the stream: for facts that only the pipeline adds."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.probes import Probe
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Message, Publisher


class Delivered(Publisher):
    """A stream in memory."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        self.messages += messages

    def close(self, timeout_s: float) -> None:
        pass

    def calls(self) -> list[dict[str, Any]]:
        """Return every delivered call, in order of its beginning: facts of session and call by contract name."""
        found: list[tuple[int, dict[str, Any]]] = []
        for message in self.messages:
            for resource in ExportTraceServiceRequest.FromString(message.value).resource_spans:
                for scope in resource.scope_spans:
                    session = _attributes(scope.scope.attributes)
                    found += [
                        (span.start_time_unix_nano, {**session, "name": span.name, **_attributes(span.attributes)})
                        for span in scope.spans
                    ]
        return [call for _, call in sorted(found, key=lambda one: one[0])]

    def saying(self, text: str) -> list[dict[str, Any]]:
        """Return calls whose statement contains ``text``."""
        return [one for one in self.calls() if text in one.get(names.QUERY_TEXT, one.get(names.STATEMENT, ""))]


def _attributes(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def delivering(*kinds: type[Probe]) -> Generator[Delivered]:
    """Observe these drivers inside the block; all calls are delivered after it."""
    stream = Delivered()
    pipeline = Pipeline(CollectorSettings(flush_interval_s=0.01, heartbeat_s=3600.0), lambda: stream)
    with ExitStack() as stack:
        stack.callback(pipeline.close)
        for kind in kinds:
            probe = kind()
            probe.instrument(recorder=pipeline, skip_dep_check=True)
            stack.callback(probe.uninstrument)
        yield stream
        assert pipeline.flush(30)
