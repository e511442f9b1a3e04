"""H7: the app's account has become one that may do everything."""

import asyncio
from typing import Any

from backwatch.attack.scenarios.postgresql import superuser
from backwatch.attack.techniques.postgresql import asyncpg_connected


class Superuser(superuser.Superuser):
    """On asyncpg: nothing that the app does shows it, until an injected statement uses it."""

    driver = "asyncpg"

    def _read(self, **options: Any) -> int:
        return asyncio.run(self._fetched(**options))

    async def _fetched(self, **options: Any) -> int:
        connection = await asyncpg_connected(self.config, **options)
        found = await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await connection.close()
        return len(found)
