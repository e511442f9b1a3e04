"""asyncpg, on an event loop and a connection of its own for each statement."""

import asyncio
import logging
from collections.abc import Sequence
from itertools import count
from typing import Any

from backwatch.attack.clients import TIMEOUT_S
from backwatch.attack.clients.postgresql import SHORT_CUSTOMER, PostgreSQLClient
from backwatch.attack.clients.sql import Rows
from backwatch.attack.protocols.server import SECRET


class Asyncpg(PostgreSQLClient):
    """A client with libpq's option names. ``ssl`` is asyncpg's own option; ``None`` leaves it at its default."""

    driver = "asyncpg"
    lookup = SHORT_CUSTOMER

    def connect(self, **options: Any) -> Any:
        """Return an awaitable connection."""
        import asyncpg

        connect_options: dict[str, Any] = {
            "host": "localhost", "port": self.port, "user": "shop", "password": SECRET, "database": "shop",
            "timeout": TIMEOUT_S, "command_timeout": TIMEOUT_S, "ssl": self.tls_context(), **options,
        }  # fmt: skip
        return asyncpg.connect(**connect_options)

    def execute(self, statement: str, parameters: Sequence[Any] = (), **options: Any) -> Rows:
        """Execute a statement on a new connection and return its rows."""
        return asyncio.run(self._execute(statement, parameters, options))

    async def _execute(self, statement: str, parameters: Sequence[Any], options: dict[str, Any]) -> Rows:
        for number in count(1):
            if "%s" not in statement or not parameters:
                break
            statement = statement.replace("%s", f"${number}", 1)
        connection = await self.connect(**options)
        try:
            rows = await connection.fetch(statement, *parameters)
        finally:
            await connection.close()
        return [[str(value) for value in row.values()] for row in rows]

    def count_notices(self) -> int:
        """Run the lookup on a new connection and log each notice."""
        return asyncio.run(self._count_notices())

    async def _count_notices(self) -> int:
        logged = 0

        def on_notice(_connection: object, message: object) -> None:
            nonlocal logged
            logged += 1
            logging.getLogger("shop").debug("notice of the database: %s", message)

        connection = await self.connect()
        connection.add_log_listener(on_notice)
        statement, parameters = self.lookup
        await connection.fetch(statement.replace("%s", "$1"), *parameters)
        await asyncio.sleep(0.2)  # the loop calls listeners later
        await connection.close()
        return logged
