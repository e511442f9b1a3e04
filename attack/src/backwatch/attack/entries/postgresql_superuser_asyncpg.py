"""H7: the app's account has become one that may do everything."""

import asyncio
from typing import Any

from backwatch.attack.entries import postgresql_superuser, run
from backwatch.attack.entries._postgresql import asyncpg_connected


class Superuser(postgresql_superuser.Superuser):
    """On asyncpg: nothing that the app does shows it, until an injected statement uses it."""

    driver = "asyncpg"

    def _read(self, **options: Any) -> int:
        return asyncio.run(self._fetched(**options))

    async def _fetched(self, **options: Any) -> int:
        connection = await asyncpg_connected(self.place, **options)
        found = await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await connection.close()
        return len(found)


if __name__ == "__main__":
    run(Superuser)
