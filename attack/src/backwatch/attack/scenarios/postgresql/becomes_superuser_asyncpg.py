"""F6: the app's own account is given all rights."""

import asyncio

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import PostgreSQLOfTables
from backwatch.attack.techniques.abused import Abused, obeyed
from backwatch.attack.techniques.postgresql import asyncpg_connected


class BecomesSuperuser(Abused):
    """On asyncpg: a page for reports that was left behind, and runs whatever it is given."""

    code = "F6"
    attack = "makes the app's account a superuser"
    reference = "https://attack.mitre.org/techniques/T1098/"
    driver = "asyncpg"
    rule = "privilege-change"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest, with an account that may do everything."""
        return PostgreSQLOfTables(authority)

    def work(self) -> None:
        """Makes the usual report."""
        asyncio.run(self._report("SELECT name, mail FROM customers ORDER BY id LIMIT 10"))

    def meet(self) -> object:
        """Makes the attacker's."""
        return asyncio.run(self._report("ALTER ROLE shop SUPERUSER"))

    async def _report(self, statement: str) -> int:
        connection = await asyncpg_connected(self.config)
        found = await connection.fetch(statement)
        await connection.close()
        return len(found)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The statement was obeyed."""
        del got
        return obeyed(service, b"SUPERUSER")
