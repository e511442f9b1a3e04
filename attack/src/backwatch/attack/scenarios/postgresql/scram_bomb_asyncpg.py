"""B6: the server names how often the client hashes the password: millions of times."""

import asyncio
import contextlib
import time

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario
from backwatch.attack.scenarios.postgresql.scram_bomb import Bomb
from backwatch.attack.techniques.postgresql import asyncpg_connected


class ScramBomb(Scenario):
    """On asyncpg, which hashes on the loop that serves all other requests: the app stands still."""

    code = "B6"
    attack = "asks for millions of rounds of hashing at each login"
    reference = "CVE-2026-42198; https://datatracker.ietf.org/doc/html/rfc5802"
    driver = "asyncpg"
    notices = "an app that hangs"
    rule = "slow-response"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet; asyncpg hashes as fast as Python's own function does."""
        service = Bomb(authority)
        service.seconds = 4.6
        return service

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        asyncio.run(self._read())

    def meet(self) -> object:
        """Tries to, by the clock of its processor: seconds."""
        begun = time.process_time()
        with contextlib.suppress(Exception):  # in the end it is not let in
            self.work()
        return time.process_time() - begun

    async def _read(self) -> None:
        connection = await asyncpg_connected(self.config)
        await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await connection.close()

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app has computed for as long as a thousand honest logins take."""
        del service
        return isinstance(got, float) and got > 1
