"""An honest HTTP/1.1 server over TLS, for scenarios to extend, and a second one for redirects."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import LOOPBACK, HostileServer, ServerSession

MAX_HEADERS = 100
CREDENTIALS = b'{"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "only-on-loopback"}'
"""Response of the machine's metadata address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. Header names are in lower case."""

    method: bytes
    path: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


class Web(HostileServer):
    """Serves exchange rates."""

    name = "http"
    attack = "is honest"
    reference = "https://datatracker.ietf.org/doc/html/rfc9112"
    driver = "requests"
    rule = "redirected"

    def serve(self, session: ServerSession) -> None:
        """Negotiate TLS, then serve requests."""
        session.secure()
        self.obey(session)

    def obey(self, session: ServerSession) -> None:
        """Serve one request after the other."""
        while True:
            self.reply(session, self.read_request(session))

    @staticmethod
    def read_request(session: ServerSession) -> Request:
        """Return the next request."""
        method, _, rest = session.line().partition(b" ")
        headers: dict[bytes, bytes] = {}
        while line := session.line():
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
            if len(headers) > MAX_HEADERS:
                raise ValueError("so many headers are no client's")
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            raise ValueError("no client of the pack sends chunks")
        if headers.get(b"expect", b"").lower() == b"100-continue":
            session.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = session.read(int(headers.get(b"content-length", b"0")))
        return Request(method=method, path=rest.partition(b" ")[0], headers=headers, body=body)

    def reply(self, session: ServerSession, request: Request) -> None:
        """Send the response."""
        session.send(self.answer(request))

    def answer(self, request: Request) -> bytes:
        """Return the whole response; an honest one here."""
        del request
        return format_response(json.dumps({"base": "EUR", "rates": {"USD": 1.08, "GBP": 0.85}}).encode())


class Logging(Web):
    """Records the first line of each request, as a web server's log does, and serves honestly."""

    def answer(self, request: Request) -> bytes:
        """Record the request, and respond honestly."""
        self.keep(request.method + b" " + request.path)
        return super().answer(request)


class Elsewhere(Web):
    """Target of a redirect: records the requests that arrive, and responds with credentials."""

    name = "elsewhere"

    def answer(self, request: Request) -> bytes:
        """Record the request, and respond."""
        lines = [name + b": " + value for name, value in request.headers.items()]
        self.keep(b"\r\n".join([request.method + b" " + request.path, *lines]) + b"\r\n\r\n" + request.body)
        return format_response(CREDENTIALS)


class RedirectingWeb(Web):
    """Redirects, once hostile, to a service of another host name: loopback's address instead of its name.

    Attributes:
        elsewhere: Target of the redirect; ``kept`` records its requests.
        path: Path on the target.
    """

    path = b"/latest/meta-data/iam/security-credentials/shop"

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self.elsewhere = self.attach(Elsewhere(authority))

    def answer(self, request: Request) -> bytes:
        """Return a redirect, once hostile."""
        if not self.hostile:
            return super().answer(request)
        target = b"https://%s:%d%s" % (LOOPBACK.encode(), self.elsewhere.port, self.path)
        return format_response(b"", status=b"302 Found", headers=(b"Location: " + target,))


def format_response(body: bytes, *, status: bytes = b"200 OK", headers: tuple[bytes, ...] = ()) -> bytes:
    """Return status line, headers and body."""
    all_headers = (b"Content-Type: application/json", b"Content-Length: %d" % len(body), *headers)
    return b"HTTP/1.1 " + status + b"\r\n" + b"\r\n".join(all_headers) + b"\r\n\r\n" + body
