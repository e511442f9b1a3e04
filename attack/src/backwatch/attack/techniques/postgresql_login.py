"""B1, B4, B8: the service asks for another login than it always did, and takes whatever it is given."""

import struct

from backwatch.attack.demo.services.postgresql import said, send
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import Session

MD5 = struct.pack("!I", 5) + b"salt"


class AsksOtherwise(HonestPostgreSQL):
    """SCRAM yet; once it has turned, whatever ``asks`` says."""

    def log_in(self, session: Session) -> None:
        """By SCRAM-SHA-256, until it turns."""
        if self.hostile:
            self.asks(session)
        else:
            super().log_in(session)

    def asks(self, session: Session) -> None:
        """For nothing at all."""


class AsksInClear(AsksOtherwise):
    """For the password itself."""

    def asks(self, session: Session) -> None:
        """``AuthenticationCleartextPassword``."""
        self.take_password(session)


class AsksOldHash(AsksOtherwise):
    """For a hash that is guessed within hours."""

    def asks(self, session: Session) -> None:
        """``AuthenticationMD5Password``."""
        send(session, b"R", MD5)
        self.taken(said(session).rstrip(b"\0"))
