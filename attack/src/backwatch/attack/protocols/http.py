"""An honest HTTP/1.1 service over TLS, for entries that turn it; and a second one, beside it, to which it can lead."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import LOOPBACK, HostileServer, Session

MOST_HEADERS = 100
CREDENTIALS = b'{"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "only-on-loopback"}'
"""What the machine's metadata address would hand out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. Header names are in lower case."""

    method: bytes
    path: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


class Web(HostileServer):
    """Exchange rates are fetched from it."""

    name = "http"
    attack = "is honest"
    reference = "https://datatracker.ietf.org/doc/html/rfc9112"
    driver = "requests"
    rule = "redirected"

    def serve(self, session: Session) -> None:
        """TLS, then requests."""
        session.secure()
        self.obey(session)

    def obey(self, session: Session) -> None:
        """One request after the other."""
        while True:
            self.reply(session, self.received(session))

    @staticmethod
    def received(session: Session) -> Request:
        """The next request."""
        method, _, rest = session.line().partition(b" ")
        headers: dict[bytes, bytes] = {}
        while line := session.line():
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
            if len(headers) > MOST_HEADERS:
                raise ValueError("so many headers are no client's")
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            raise ValueError("no client of the pack sends chunks")
        if headers.get(b"expect", b"").lower() == b"100-continue":
            session.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = session.read(int(headers.get(b"content-length", b"0")))
        return Request(method=method, path=rest.partition(b" ")[0], headers=headers, body=body)

    def reply(self, session: Session, request: Request) -> None:
        """Sends the answer."""
        session.send(self.answer(request))

    def answer(self, request: Request) -> bytes:
        """All of an answer; an honest one here."""
        del request
        return answered(json.dumps({"base": "EUR", "rates": {"USD": 1.08, "GBP": 0.85}}).encode())


class Logging(Web):
    """Keeps the first line of each request, as every web server's log does, and serves honestly."""

    def answer(self, request: Request) -> bytes:
        """Keeps it."""
        self.keep(request.method + b" " + request.path)
        return super().answer(request)


class Elsewhere(Web):
    """Where a client is led: it keeps the requests that arrive, and answers with credentials."""

    name = "elsewhere"

    def answer(self, request: Request) -> bytes:
        """Keeps what came."""
        lines = [name + b": " + value for name, value in request.headers.items()]
        self.keep(b"\r\n".join([request.method + b" " + request.path, *lines]) + b"\r\n\r\n" + request.body)
        return answered(CREDENTIALS)


class Leading(Web):
    """Redirects, once it has turned, to a service of another host name: loopback's address instead of its name.

    Attributes:
        elsewhere: The other one; what arrived is in its ``kept``.
        path: Where on it.
    """

    path = b"/latest/meta-data/iam/security-credentials/shop"

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self.elsewhere = Elsewhere(authority)

    def start(self) -> None:
        """Start both servers."""
        self.elsewhere.start()
        super().start()

    def stop(self) -> None:
        """Stop both servers."""
        super().stop()
        self.elsewhere.stop()

    def answer(self, request: Request) -> bytes:
        """A redirect, once it has turned."""
        if not self.hostile:
            return super().answer(request)
        target = b"https://%s:%d%s" % (LOOPBACK.encode(), self.elsewhere.port, self.path)
        return answered(b"", status=b"302 Found", headers=(b"Location: " + target,))


def answered(body: bytes, *, status: bytes = b"200 OK", headers: tuple[bytes, ...] = ()) -> bytes:
    """Status line, headers and body."""
    all_headers = (b"Content-Type: application/json", b"Content-Length: %d" % len(body), *headers)
    return b"HTTP/1.1 " + status + b"\r\n" + b"\r\n".join(all_headers) + b"\r\n\r\n" + body
