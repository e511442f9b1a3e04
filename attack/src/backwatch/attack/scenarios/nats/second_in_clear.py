"""A1 on nats: the app attaches a second server by ``nats://``."""

from typing import Any

from backwatch.attack.protocols.nats import NATS
from backwatch.attack.techniques.nats import ReceivesOrders
from backwatch.attack.techniques.second import AttachesInClear, InClear


class _Both(InClear, NATS):
    def information(self) -> dict[str, Any]:
        """Return server information without TLS."""
        return super().information() | {"tls_required": not self.listened_to}


class NatsSecond(AttachesInClear, ReceivesOrders):
    """nats-py uses TLS only if the server asks for it, or with ``tls_handshake_first``. The URL does not matter."""

    attack = "is attached in plaintext beside another one, so that who is on the way reads what is published"
    rule = "plaintext-session"
    server = _Both
    confidential = b"order 7"

    def visit(self, host: str, *, careful: bool) -> object:
        """Publish an order, and receive it."""
        return repr(self.receive(b"order 7", host=host, in_clear=not careful).data)
