"""B10 on asyncpg: passwords of a PostgreSQL account are tried out through the app."""

import asyncio
import ssl

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.techniques.refused_logins import Guessed


class PostgresqlGuessed(Guessed):
    """The server answers 28P01 to each."""

    driver = "asyncpg"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """It checks the password."""
        return HonestPostgreSQL(authority)

    def log_in(self, password: str) -> None:
        """And reads a customer."""
        asyncio.run(self._read(password))

    async def _read(self, password: str) -> None:
        import asyncpg

        connection = await asyncpg.connect(
            host="localhost", port=self.config.port, user="shop", password=password, database="shop", timeout=5,
            command_timeout=5, ssl=ssl.create_default_context(cafile=self.config.ca_file),
        )  # fmt: skip
        await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await connection.close()
