"""The app over HTTP: a path for each template, fields in the query or a form, errors shown."""

import contextlib
import html
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from bench.campaigns.app import App, Call
from tests.services.server import HOST

MAX_SHOWN_ROWS = 200


def page(call: Call) -> bytes:
    """Return the page of a call: its rows, or the error that the app does not hide."""
    if call.answer.error:
        return f"<h1>Error</h1><pre>{html.escape(f'{call.answer.error}: {call.answer.message}')}</pre>".encode()
    cells = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in call.answer.rows[:MAX_SHOWN_ROWS])
    rows = "\n".join(f"<tr>{row}</tr>" for row in cells)
    written = f"<p>{call.answer.affected} saved</p>" if not rows else ""
    return f"<h1>{call.template.tid}</h1>{written}<table>\n{rows}\n</table><p>The library</p>".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, app: App, on_call: Callable[[Call], None]) -> None:
        super().__init__((HOST, 0), _Handler)
        self.app = app
        self.on_call = on_call
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that are killed in the middle of a response."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("utf-8", "replace"))

    def _serve(self, query: str) -> None:
        tid = urlsplit(self.path).path[1:]
        request = dict(parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="replace"))
        status, body = 404, b"no such page"
        with self.server.lock, contextlib.suppress(KeyError):
            call = self.server.app.call(tid, request)
            self.server.on_call(call)
            status, body = (500 if call.answer.error else 200), page(call)
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Print nothing."""


@contextlib.contextmanager
def serve(app: App, on_call: Callable[[Call], None]) -> Generator[str]:
    """Serve the app and yield its URL; ``on_call`` gets every call, one at a time."""
    server = _Server(app, on_call)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        with server.lock:  # a call that is still running would delay the next user of the database
            pass
        server.server_close()
        thread.join()
