"""A server that sends anything gives one line on the terminal, and no traceback."""

import http.server
import json
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backwatch.detector.audit.mysql_catalogue import parse_grant
from backwatch.detector.privileges import mongodb, rabbitmq, redis
from tests.detector.privileges.recording import audit

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3), max_leaves=9,
)  # fmt: skip


@contextmanager
def serve_bytes(reply: bytes) -> Generator[int]:
    """Send the same bytes three times to each client, and close."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(2)
            try:
                for _ in range(3):
                    self.request.sendall(reply)
                    self.request.recv(65_536)
            except OSError:
                pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


REPLIES = (
    b"", b"\0" * 400, b"\xff" * 400, b"HTTP/1.1 200 OK\r\n\r\n" * 9, b"*2\r\n:1\r\n:2\r\n", b"%1\r\n+a\r\n*0\r\n",
    b"+OK\r\n$3\r\nabc\r\n", b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", b"\x05\0\0\0\x0a5.7.1\0" + b"\1" * 90,
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "redis", "amqp", "mongodb"])
@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_of_any_bytes_is_one_line(scheme: str, reply: bytes, tmp_path: Path) -> None:
    with serve_bytes(reply) as port:
        option = f"?management_port={port}" if scheme == "amqp" else ""
        url = f"{scheme}://shop:s3cret@127.0.0.1:{port}/shop{option}"
        code, output = audit({"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 's.db'}"}, url, "--timeout", "1")

    assert (code, output.count("\n")) == (1, 1), output
    assert "s3cret" not in output


def test_a_management_api_that_sends_any_json_is_one_line(tmp_path: Path) -> None:
    bodies: list[object] = [3, [], {}, {"tags": 3}, {"tags": {"a": 1}}, {"tags": "administrator"}, "x", None]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(bodies[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name in the library
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        while bodies:
            url = f"amqp://shop:s3cret@127.0.0.1:5672/shop?management_port={server.server_address[1]}"
            code, output = audit({"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 's.db'}"}, url)
            assert code in (0, 1, 2, 3), output
            assert code in (0, 3) or output.count("\n") == 1
            bodies.pop(0)
        server.shutdown()


@given(ANYTHING, ANYTHING)
def test_privileges_of_any_form_are_compared(one: object, two: object) -> None:
    rows = [row for row in (one, two) if isinstance(row, dict)]

    mongodb.compare("1", "a", ["b"], rows, {}, "c", "d")
    rabbitmq.compare("1", "a", ["b"], rows, {}, "c", "d")


@given(st.text("GRANTONTO`.'*(),_% abWITHSELECT\\", max_size=80))
def test_lines_of_grants_of_any_form_are_read(line: str) -> None:
    parse_grant(line)
    parse_grant(f"GRANT {line}")


@given(ANYTHING, ANYTHING)
def test_users_of_any_form_have_rights_or_are_refused(one: object, two: object) -> None:
    rights = redis.Rights(known={"get": frozenset({"read"})})
    user = {"flags": one, "commands": two, "keys": one, "selectors": [two]}
    try:
        redis.apply_user(rights, user)
    except (TypeError, ValueError):
        return  # the caller turns these into one line
    redis.compare(rights, "a", {}, "b")
