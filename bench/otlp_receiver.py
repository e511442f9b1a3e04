"""An OTLP/HTTP receiver in a separate process: ``POST /v1/traces`` counts spans, ``GET /NAME`` returns a count.

``python -m bench.otlp_receiver`` prints its port and serves until its standard input ends.
"""

import http.server
import sys
import threading
from collections import Counter
from typing import ClassVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

ACCEPTED = ExportTraceServiceResponse().SerializeToString()


def count_spans(value: bytes) -> Counter[str]:
    """Count spans in a request by ``service.name``; raise if it cannot be parsed."""
    found: Counter[str] = Counter()
    for resource_spans in ExportTraceServiceRequest.FromString(value).resource_spans:
        name = next(
            (pair.value.string_value for pair in resource_spans.resource.attributes if pair.key == "service.name"), ""
        )
        found[name] += sum(len(scope.spans) for scope in resource_spans.scope_spans)
    return found


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    spans: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        self.spans.update(count_spans(self.rfile.read(int(self.headers["content-length"]))))
        self._answer(ACCEPTED, "application/x-protobuf")

    def do_GET(self) -> None:
        self._answer(str(self.spans[self.path[1:]]).encode(), "text/plain")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the standard library's name
        """Log nothing."""


def main() -> None:
    """Serve until standard input ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
