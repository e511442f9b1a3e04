"""B1, B4, B8: the server requests another login method than before, and accepts any response."""

import struct

from backwatch.attack.demo.services.postgresql import receive, send
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import ServerSession

MD5 = struct.pack("!I", 5) + b"salt"


class AsksOtherwise(HonestPostgreSQL):
    """Requests SCRAM at first; once hostile, the method of ``asks``."""

    def log_in(self, session: ServerSession) -> None:
        """Check a login by SCRAM-SHA-256, until it turns hostile."""
        if self.hostile:
            self.asks(session)
        else:
            super().log_in(session)

    def asks(self, session: ServerSession) -> None:
        """Request no login at all."""


class AsksInClear(AsksOtherwise):
    """Requests the password itself."""

    def asks(self, session: ServerSession) -> None:
        """Send ``AuthenticationCleartextPassword``."""
        self.take_password(session)


class AsksOldHash(AsksOtherwise):
    """Requests a hash that can be cracked within hours."""

    def asks(self, session: ServerSession) -> None:
        """Send ``AuthenticationMD5Password``."""
        send(session, b"R", MD5)
        self.on_leak(receive(session).rstrip(b"\0"))
