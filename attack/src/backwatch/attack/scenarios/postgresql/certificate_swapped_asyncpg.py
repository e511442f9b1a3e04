"""A6: who answers has another certificate, which the same authority issued."""

import asyncio

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario
from backwatch.attack.techniques.postgresql import asyncpg_connected


class CertificateSwapped(Scenario):
    """On asyncpg, verified in full: the authority that both trust has been talked into a second certificate."""

    code = "A6"
    attack = "shows another certificate of the same authority, and serves its own data"
    reference = "https://attack.mitre.org/techniques/T1649/"
    driver = "asyncpg"
    rule = "certificate-changed"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest, with a certificate of its own."""
        return HonestPostgreSQL(authority)

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Somebody else answers now, with a key of his own."""
        service.certificate = service.authority.issue("in the middle")
        service.turn()

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        asyncio.run(self._read())

    def meet(self) -> object:
        """The same."""
        return asyncio.run(self._read())

    async def _read(self) -> int:
        connection = await asyncpg_connected(self.config)
        found = await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await connection.close()
        return len(found)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app took what it was given for its own data."""
        del service
        return got == 20
