"""B1, B4, B8: the service asks for another login than it always did, and takes whatever it is given."""

import asyncio
import struct
from typing import ClassVar

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.postgresql import said, send
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer, Session
from backwatch.attack.scenarios import Scenario
from backwatch.attack.techniques.postgresql import asyncpg_connected

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


class AskedOtherwise(Scenario):
    """What they share, on every driver; goes before an app of ``_postgresql.py`` in the list of a class's bases.

    Attributes:
        asks: The service.
    """

    rule = "auth-downgraded"
    notices = "nothing"

    asks: ClassVar[type[AsksOtherwise]]

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It asks for SCRAM yet."""
        return cls.asks(authority)


class SkipsLogin(AskedOtherwise):
    """Nobody is asked who they are."""

    code = "B8"
    attack = "lets the app in without a password, as whoever does not know it must"
    reference = "https://www.postgresql.org/docs/current/auth-trust.html; ATT&CK T1557"
    asks = AsksOtherwise


class LoginOfAsyncpg(AskedOtherwise):
    """On asyncpg, on a new connection each time; chain and name are checked."""

    driver = "asyncpg"

    def work(self) -> None:
        """Reads a customer."""
        self.meet()

    def meet(self) -> object:
        """The same."""
        return asyncio.run(self._read())

    async def _read(self) -> int:
        connection = await asyncpg_connected(self.config)
        try:
            return len(
                await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
            )
        finally:
            await connection.close()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app reads what it is given."""
        del service
        return bool(got)
