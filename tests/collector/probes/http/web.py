"""HTTP and HTTPS servers for tests: the standard library's, on loopback, with a certificate of the tests' authority."""

import atexit
import contextlib
import functools
import gzip
import http.server
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.authority import Authority

BODY = b"x" * 50_000
DOCUMENT = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><r>&b;</r>'
METADATA = "http://user:secret@169.254.169.254/latest/meta-data/?token=secret#part"


class Handler(http.server.BaseHTTPRequestHandler):
    """One path, one behaviour."""

    protocol_version = "HTTP/1.1"
    server_version = "Test/1"
    sys_version = ""

    def do_GET(self) -> None:
        kind = self.path.partition("?")[0].split("/")[1]
        if kind in ("redirect", "around"):
            self._answer(302, b"moved", Location=METADATA if kind == "redirect" else "/plain")
        elif kind == "big":
            self._answer(200, BODY * 100)
        elif kind == "gzip":
            self._answer(200, gzip.compress(BODY), **{"Content-Encoding": "gzip"})
        elif kind == "document":
            self._answer(200, DOCUMENT, **{"Content-Type": "application/xml"})
        elif kind == "chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(3):
                self.wfile.write(b"4e20\r\n" + b"y" * 20_000 + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        elif kind == "broken":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"short")
            self.close_connection = True
        elif kind == "silent":
            self.close_connection = True
        else:
            self._answer(404 if kind == "missing" else 200, BODY)

    def do_HEAD(self) -> None:
        self._answer(200, b"")

    def do_POST(self) -> None:
        while self.headers["Transfer-Encoding"] == "chunked" and (size := int(self.rfile.readline(), 16)):
            self.rfile.read(size + 2)
        self.rfile.read(int(self.headers["Content-Length"] or "2"))
        self._answer(200, b"taken")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class Closing(Handler):
    """One request per connection."""

    protocol_version = "HTTP/1.0"


class _Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Unix(_Quiet):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """``url`` and ``tls_url`` keep connections open, ``closing_url`` and ``closing_tls_url`` do not.

    The same, without TLS, listens on the unix socket ``path``.
    """

    url: str
    tls_url: str
    closing_url: str
    closing_tls_url: str
    path: str
    ca_file: str
    servers: tuple[http.server.HTTPServer, ...]

    def close(self) -> None:
        """Stop listening."""
        for server in self.servers:
            server.shutdown()
            server.server_close()


def _serve(handler: type[Handler], context: ssl.SSLContext | None) -> http.server.HTTPServer:
    server = _Quiet(("127.0.0.1", 0), handler)
    if context is not None:
        # The handshake belongs to the connection's thread: one client that stalls must not stop the others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def _serve_unix(path: str) -> http.server.HTTPServer:
    server = _Unix(path, Handler)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def _start(ca: Authority) -> Web:
    certificate = ca.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    servers = tuple(_serve(handler, tls) for handler in (Handler, Closing) for tls in (None, context))
    urls = [f"{'https' if number % 2 else 'http'}://127.0.0.1:{one.server_port}" for number, one in enumerate(servers)]
    folder = tempfile.mkdtemp(prefix="bw-")  # short: a unix socket's path has 107 bytes
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = str(Path(folder) / "web")
    return Web(
        path=path,
        url=urls[0],
        tls_url=urls[1],
        closing_url=urls[2],
        closing_tls_url=urls[3],
        ca_file=str(ca.ca_file),
        servers=(*servers, _serve_unix(path)),
    )


@contextlib.contextmanager
def serve(ca: Authority) -> Generator[Web]:
    """Run separate servers, which stop at the end of the block."""
    web = _start(ca)
    try:
        yield web
    finally:
        web.close()


shared = functools.cache(_start)
"""Servers that stay until the process ends, at the same ports for the same authority."""


@contextlib.contextmanager
def serve_once(response: bytes) -> Generator[str]:
    """A server that reads one request and writes these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def once() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(response)

        thread = threading.Thread(target=once, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/path"
        thread.join(5)
