"""D8: thousands of notices, which nobody asked for, come with an answer, and are put into the app's log."""

import asyncio
import logging

from backwatch.attack.techniques.postgresql import asyncpg_connected
from backwatch.attack.techniques.postgresql_notices import FloodsNotices


class NoticeFlood(FloodsNotices):
    """On asyncpg, in an app that writes every notice to its log."""

    driver = "asyncpg"

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        asyncio.run(self._read())

    def meet(self) -> object:
        """The same: how many notices went to the log."""
        return asyncio.run(self._read())

    async def _read(self) -> int:
        logged = 0

        def log(_connection: object, message: object) -> None:
            nonlocal logged
            logged += 1
            logging.getLogger("shop").debug("the database says: %s", message)

        connection = await asyncpg_connected(self.config)
        connection.add_log_listener(log)
        await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await asyncio.sleep(0.2)  # listeners are called in turn
        await connection.close()
        return logged
