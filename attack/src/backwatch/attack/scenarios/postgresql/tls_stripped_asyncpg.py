"""A3: asyncpg, asked for nothing, goes on in plaintext when it is told that there is no TLS, and says the password."""

import asyncio
from typing import Any

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.postgresql import PostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, Scenario
from backwatch.attack.techniques.postgresql import asyncpg_connected


class TlsStripped(Scenario):
    """On asyncpg, whose default only prefers TLS. The app asks for more everywhere but in one place."""

    code = "A3"
    attack = PostgreSQL.attack
    reference = PostgreSQL.reference
    driver = "asyncpg"
    rule = "tls-stripped"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It takes the password."""
        service = PostgreSQL(authority)
        service.taken = service.kept.append
        return service

    def work(self) -> None:
        """Reads a customer over verified TLS."""
        asyncio.run(self._read())

    def meet(self) -> object:
        """Does the same where somebody forgot to say ``ssl=``."""
        asyncio.run(self._read(ssl=None))
        return None

    async def _read(self, **options: Any) -> None:
        connection = await asyncpg_connected(self.config, **options)
        await connection.fetch(
            "SELECT id, name, mail FROM customers WHERE mail = $1 ORDER BY id", "customer1@shop.example"
        )
        await connection.close()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The password has arrived."""
        del got
        return SECRET.encode() in service.kept
