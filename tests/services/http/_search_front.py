"""A small front before OpenSearch for the tests: TLS, a password, Elasticsearch's name for its clients.

OpenSearch without its security plugin serves plain HTTP to every client. Elasticsearch cannot be installed here, and
its clients refuse every server without its name; the requests and responses are OpenSearch's own.
"""

import base64
import contextlib
import http.client
import http.server
import json
import ssl
import threading
from collections.abc import Generator
from typing import Any

from tests.services.server import HOST

_OWN = ("connection", "content-length", "transfer-encoding", "host", "keep-alive")


def _plain(value: str) -> str:
    """Return a media type without Elasticsearch's own name for it."""
    return value.partition(";")[0].replace("vnd.elasticsearch+", "") if "vnd.elasticsearch+" in value else value


def _introduce(content: bytes) -> bytes:
    """Return the server's name in Elasticsearch's form: clients of 7 read the number and the motto."""
    headers_out = json.loads(content)
    headers_out["tagline"] = "You Know, for Search"
    headers_out["version"] = {**headers_out["version"], "number": "7.17.0", "build_flavor": "default"}
    return json.dumps(headers_out).encode()


class _Front(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behind: int, login: str, *, elastic: bool, context: ssl.SSLContext | None) -> None:
        super().__init__((HOST, 0), _Handler)
        self.behind = behind
        self.login = login
        self.elastic = elastic
        self.context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the handshake on the connection's own thread."""
        with contextlib.suppress(OSError):
            if self.context is not None:
                request = self.context.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Front  # pyright: ignore[reportIncompatibleVariableOverride]

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        given = self.headers.get("Authorization")
        if given is not None and given.startswith("Basic ") and given != self.server.login:
            self._answer(
                401, {"Content-Type": "application/json"}, b'{"error":{"type":"security_exception"},"status":401}'
            )
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
        if self.server.elastic:
            headers = {name: _plain(value) for name, value in headers.items()}
            if self.path == "/":
                headers.pop("Accept-Encoding", None)
                headers.pop("accept-encoding", None)
        connection = http.client.HTTPConnection(HOST, self.server.behind, timeout=60)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            headers_out = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN}
            content = answer.read()
            if self.server.elastic:
                headers_out["X-Elastic-Product"] = "Elasticsearch"
                content = _introduce(content) if self.path == "/" and content else content
            self._answer(answer.status, headers_out, content)
        finally:
            connection.close()

    def do_GET(self) -> None:
        self._pass_on()

    def do_HEAD(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_PUT(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it
        pass


@contextlib.contextmanager
def front(
    behind: int, user: str, password: str, *, elastic: bool, certificate: tuple[str, str] | None = None
) -> Generator[int]:
    """Return the port of a front before ``behind``; ``certificate`` and key make it HTTPS."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    with _Front(behind, login, elastic=elastic, context=context) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
