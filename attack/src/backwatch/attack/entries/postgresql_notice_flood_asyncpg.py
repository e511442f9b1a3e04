"""D8: thousands of notices, which nobody asked for, come with an answer, and are put into the app's log."""

import asyncio
import logging

from backwatch.attack.authority import Authority
from backwatch.attack.entries import Entry, run
from backwatch.attack.entries._postgresql import asyncpg_connected
from backwatch.attack.servers import HostileServer, Session
from backwatch.attack.servers.postgresql import send
from backwatch.attack.speakers.postgresql import HonestPostgreSQL

MANY = 2_000
_NOTICE = b"SNOTICE\0C00000\0M" + b"please read this carefully" + b"\0\0"


class Noisy(HonestPostgreSQL):
    """Has much to say, once it has turned."""

    def answers(self, session: Session, statement: bytes) -> bool:
        """After it has said so."""
        if self.hostile:
            for _ in range(MANY):
                send(session, b"N", _NOTICE)
        return super().answers(session, statement)


class NoticeFlood(Entry):
    """On asyncpg, in an app that writes every notice to its log."""

    code = "D8"
    attack = "sends two thousand notices with an answer"
    reference = "https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC"
    driver = "asyncpg"
    notices = "a log that grows"
    rule = "notice-flood"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Noisy(authority)

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

        connection = await asyncpg_connected(self.place)
        connection.add_log_listener(log)
        await connection.fetch("SELECT id, name FROM customers WHERE mail = $1", "customer1@shop.example")
        await asyncio.sleep(0.2)  # listeners are called in turn
        await connection.close()
        return logged

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """All of them were taken."""
        del service
        return got == MANY


if __name__ == "__main__":
    run(NoticeFlood)
