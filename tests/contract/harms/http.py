"""requests follows a redirect to any target: an internal response reaches the app."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import requests

from backwatch.attack.demo.services.http import HTTP

PROBE = "urllib3"
SECRET = b'{"AccessKeyId": "only-a-test"}'


class _Metadata(BaseHTTPRequestHandler):
    """A stand-in for the cloud's metadata service, on loopback."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(SECRET)))
        self.end_headers()
        self.wfile.write(SECRET)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it
        pass


def _rates(server: HTTP, *, follows: bool) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(
            f"https://localhost:{server.port}/v1/rates/EUR", timeout=5, allow_redirects=follows,
            verify=str(server.authority.ca_file),
        )  # fmt: skip


def works(server: HTTP) -> None:
    assert _rates(server, follows=True).json()["base"] == "EUR"


def is_harmed(server: HTTP, folder: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _Metadata) as metadata:
        thread = threading.Thread(target=metadata.serve_forever, args=(0.05,))
        thread.start()
        server.target = b"http://127.0.0.1:%d/latest/meta-data/iam/security-credentials/" % metadata.server_port
        try:
            assert _rates(server, follows=True).content == SECRET
        finally:
            metadata.shutdown()
            thread.join()


def meets_it(server: HTTP) -> None:
    """An app that stops at ``Location``: it connects nowhere."""
    answer = _rates(server, follows=False)
    assert answer.is_redirect
    assert "169.254.169.254" in answer.headers["Location"]
