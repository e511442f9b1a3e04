"""H7: the app's account has become one that may do everything."""

import asyncio

from backwatch.attack.entries import postgresql_superuser, run
from backwatch.attack.entries._postgresql import asyncpg_connected


class Superuser(postgresql_superuser.Superuser):
    """On asyncpg: nothing that the app does shows it, until an injected statement uses it."""

    driver = "asyncpg"

    def _read(self) -> int:
        return asyncio.run(self._fetched())

    async def _fetched(self) -> int:
        connection = await asyncpg_connected(self.place)
        found = await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await connection.close()
        return len(found)


if __name__ == "__main__":
    run(Superuser)
