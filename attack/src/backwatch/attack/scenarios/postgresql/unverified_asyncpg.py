"""A5: encryption was asked for, but not from whom: a self-signed certificate will do, and the password is said."""

import asyncio
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario
from backwatch.attack.scenarios.postgresql.unverified import Impostor
from backwatch.attack.techniques.postgresql import asyncpg_connected


class Unverified(Scenario):
    """On asyncpg. The shop verifies in full; its reports, in a database of their own, only want encryption."""

    code = "A5"
    attack = "shows a self-signed certificate, and asks for the password in clear"
    reference = "https://magicstack.github.io/asyncpg/current/api/index.html#connection"
    driver = "asyncpg"
    rule = "unverified-session"
    option = 'ssl="require"'

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes the password."""
        service = Impostor(authority)
        service.taken = service.kept.append
        return service

    @classmethod
    def turn(cls, service: HostileServer) -> None:
        """Somebody else answers now."""
        service.certificate = Authority(service.authority.ca_file.parent / "impostor").issue("impostor")
        service.turn()

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        asyncio.run(self._read())

    def meet(self) -> object:
        """Makes the first report."""
        asyncio.run(self._read(database="reports", ssl="require"))
        return None

    async def _read(self, **options: Any) -> None:
        connection = await asyncpg_connected(self.config, **options)
        await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await connection.close()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The password has arrived."""
        del got
        return SECRET.encode() in service.kept
