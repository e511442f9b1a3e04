"""ClickHouse over HTTP for today's clients: a proxy in front of the real server, Debian's 18.16.

The front adds parts that newer servers send: the column ``readonly`` of ``system.settings``, the columns of
``DESCRIBE TABLE``, the number of an error as a header, and the summary of a statement, in the server's own figures (its
query log's). It removes settings that 18.16 does not know. Statements, rows, errors and logins are the real server's.
"""

import contextlib
import http.client
import http.server
import json
import re
import ssl
import threading
import time
import uuid
from collections.abc import Generator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.services.authority import Authority
from tests.services.databases import clickhouse
from tests.services.server import HOST, Fixture, Server

SETTINGS = b"SELECT name, value, readonly"
NEWER = (b"codec_expression", b"ttl_expression")
UNKNOWN = ("client_protocol_version",)
MOVED = "/moved"
"""Under this path every request is sent on to the server's own."""
_OWN = ("connection", "content-length", "transfer-encoding", "host", "keep-alive", "authorization", "accept-encoding")
_CODE = re.compile(rb"Code: (\d+)")

FIXTURE = Fixture("clickhouse_http", kind="clickhouse_http", port=8123)


def _describe(block: bytes) -> bytes:
    """Return a table's description, one block of ``Native``, with the columns and names of newer servers."""
    if len(block) < 2:
        return block
    count, rows = block[0], block[1]
    empty = b"".join(bytes((len(name),)) + name + b"\x06String" + bytes(rows) for name in NEWER)
    return bytes((count + len(NEWER),)) + block[1:].replace(b"\x12comment_expression", b"\x07comment", 1) + empty


class _Front(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behind: int, context: ssl.SSLContext | None) -> None:
        super().__init__((HOST, 0), _Handler)
        self.behind = behind
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

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _pass_on(self) -> None:
        body, parts = self._body(), urlsplit(self.path)
        if parts.path.startswith(MOVED):
            self._answer(307, {"Location": f"/?{parts.query}"}, b"")
            return
        if parts.path == "/ping":
            self._answer(200, {}, b"Ok.\n")
            return
        if body.startswith(SETTINGS):
            body = body.replace(SETTINGS, b"SELECT name, value, toUInt8(0) AS readonly", 1)
        asked = {name: value for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in UNKNOWN}
        asked.update(log_queries="1", query_id=asked.get("query_id") or str(uuid.uuid4()))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
        status, headers_out, content = self._ask(asked, headers, body)
        headers_out["X-ClickHouse-Query-Id"] = asked["query_id"]
        if body.startswith(b"DESCRIBE TABLE"):
            content = _describe(content)
        if status >= 400 and (code := _CODE.search(content)):
            headers_out["X-ClickHouse-Exception-Code"] = code.group(1).decode()
        if status == 200:
            headers_out["X-ClickHouse-Summary"] = self._summary(asked["query_id"])
        self._answer(status, headers_out, content)

    def _ask(
        self, asked: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """The real server's response."""
        connection = http.client.HTTPConnection(HOST, self.server.behind, timeout=60)
        login = {"Authorization": self.headers["Authorization"]} if "Authorization" in self.headers else {}
        try:
            connection.request("POST", f"/?{urlencode(asked)}", body, {**headers, **login})
            answer = connection.getresponse()
            headers_out = {name: value for name, value in answer.getheaders() if name.lower() not in _OWN}
            return answer.status, headers_out, answer.read()
        finally:
            connection.close()

    def _summary(self, query_id: str) -> str:
        """Return the server's own figures, in the form of newer servers."""
        figures = "SELECT read_rows, written_rows, result_rows FROM system.query_log WHERE query_id = '{}' AND type = 2"
        found: list[bytes] = []
        for _try in range(100):  # the log may be a moment behind
            self._ask({}, {}, b"SYSTEM FLUSH LOGS")
            status, _headers, content = self._ask({}, {}, figures.format(query_id).encode())
            found = content.split() if status == 200 else []
            if found:
                break
            time.sleep(0.02)
        named = ("read_rows", "written_rows", "result_rows")
        return json.dumps({name: value.decode() for name, value in zip(named, found, strict=False)})

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")  # as the server itself does
        self.end_headers()
        if body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it
        pass


@contextlib.contextmanager
def _front(behind: int, context: ssl.SSLContext | None) -> Generator[int]:
    with _Front(behind, context) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Server]:
    """Run a separate server; the fixture ``clickhouse_http`` is shared by the whole run."""
    certificate = ca.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    with (
        clickhouse.serve(ca) as real,
        _front(real.http_port, None) as port,
        _front(real.http_port, context) as tls_port,
    ):
        yield Server(
            kind="clickhouse_http", port=port, tls_port=tls_port, user=real.user, password=real.password,
            ca_file=str(ca.ca_file), url=f"clickhouse://{real.user}:{real.password}@{HOST}:{port}/default",
            tls_url=f"clickhouses://{real.user}:{real.password}@{HOST}:{tls_port}/default",
        )  # fmt: skip
