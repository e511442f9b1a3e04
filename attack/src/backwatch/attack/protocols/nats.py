"""An honest NATS server over TLS, for scenarios to extend."""

import json
from typing import Any

from backwatch.attack.protocols.server import MAX_KEPT, HostileServer, ServerSession


class NATS(HostileServer):
    """Distributes orders."""

    name = "nats"
    attack = "is honest"
    reference = "https://docs.nats.io/reference/reference-protocols/nats-protocol"
    driver = "nats"
    rule = "hostile-payload"

    def serve(self, session: ServerSession) -> None:
        """Send INFO, negotiate TLS, then serve commands."""
        session.send(b"INFO " + json.dumps(self.information()).encode() + b"\r\n")
        session.secure()
        subscribed: dict[bytes, bytes] = {}
        while True:
            verb, *given = session.line().split(b" ")
            if verb == b"CONNECT":
                self.on_leak(b" ".join(given))
            elif verb == b"PING":
                session.send(b"PONG\r\n")
            elif verb == b"SUB" and len(subscribed) < MAX_KEPT:
                subscribed[given[-1]] = given[0]
            elif verb == b"UNSUB":
                subscribed.pop(given[0], None)
            elif verb == b"PUB":
                payload = self.message(session.read(int(given[-1])))
                session.read(2)
                for number, subject in subscribed.items():
                    if subject == given[0]:
                        head = b"MSG %s %s %d\r\n" % (self.subject(subject), number, len(payload))
                        session.send(head + payload + b"\r\n")

    def information(self) -> dict[str, Any]:
        """Return the server information that INFO sends."""
        return {
            "server_id": "NATSONLOOPBACK", "server_name": "shop", "version": "2.10.14", "proto": 1, "headers": False,
            "host": "localhost", "port": self.port, "max_payload": 1_048_576, "tls_required": True,
        }  # fmt: skip

    def subject(self, published: bytes) -> bytes:
        """Return the subject to deliver a message under; the published one here."""
        return published

    def message(self, body: bytes) -> bytes:
        """Return the message for subscribers; the published one here."""
        return body
