"""D9: an answer has a thousand times the rows that the statement ever had."""

import asyncio

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario
from backwatch.attack.scenarios.postgresql.result_flood import MANY, Flooding
from backwatch.attack.techniques.postgresql import asyncpg_connected


class ResultFlood(Scenario):
    """On asyncpg, which reads all of an answer into memory."""

    code = "D9"
    attack = "answers a search for one customer with twenty thousand rows"
    reference = "https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/"
    driver = "asyncpg"
    notices = "a long list"
    rule = "bulk-read"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Flooding(authority)

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
        """The app took them all."""
        del service
        return got == MANY
