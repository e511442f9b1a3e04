"""An OTLP/HTTP receiver that keeps every span it is sent, with the resource and scope it came under."""

import contextlib
import threading
import zlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SpanKey = tuple[tuple[tuple[str, str], ...], tuple[Any, ...], str]
"""A span as something that can be compared: resource's attributes, its scope, and the span itself."""


@dataclass
class Kept:
    """What has come in so far."""

    url: str = ""
    spans: list[SpanKey] = field(default_factory=list[SpanKey])


def pairs(attributes: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    """Attributes in the order of their names, with their types."""
    return tuple(sorted((one.key, str(one.value)) for one in attributes))


def span_keys(request: ExportTraceServiceRequest) -> list[SpanKey]:
    """Every span of a request; unlike a protobuf's, the order of its attributes does not matter."""
    found: list[SpanKey] = []
    for one in request.resource_spans:
        for scope_spans in one.scope_spans:
            scope = scope_spans.scope
            for span in scope_spans.spans:
                attributes = pairs(span.attributes)
                del span.attributes[:]
                if not span.status.ByteSize():
                    span.ClearField("status")  # an empty status means the same as none
                place = (scope.name, scope.version, pairs(scope.attributes), attributes)
                found.append((pairs(one.resource.attributes), place, str(span)))
    return sorted(found)


@contextlib.contextmanager
def receive() -> Generator[Kept]:
    """Listens on loopback inside the block."""
    kept = Kept()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompress(body, 47)
            kept.spans += span_keys(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield kept
        finally:
            server.shutdown()
