"""E4: who logs in is cut off each time."""

import asyncio

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario
from backwatch.attack.scenarios.postgresql.error_storm import TRIES, Resetting
from backwatch.attack.techniques.postgresql import asyncpg_connected


class ErrorStorm(Scenario):
    """On asyncpg, in an app that simply tries again."""

    code = "E4"
    attack = "checks the login, and hangs up"
    reference = "https://attack.mitre.org/techniques/T1499/003/"
    driver = "asyncpg"
    notices = "errors"
    rule = "error-storm"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Resetting(authority)

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        asyncio.run(self._read())

    def meet(self) -> object:
        """Tries again and again, as apps do: how often that failed."""
        failed = 0
        for _ in range(TRIES):
            try:
                self.work()
            except Exception:  # noqa: BLE001  the driver's own, whatever it is
                failed += 1
        return failed

    async def _read(self) -> None:
        connection = await asyncpg_connected(self.config)
        await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await connection.close()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """Nothing was answered."""
        del service
        return got == TRIES
