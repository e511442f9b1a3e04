"""D8 on psycopg: thousands of notices, which nobody asked for, come with an answer, and are put into the app's log."""

import logging

from backwatch.attack.authority import Authority
from backwatch.attack.entries import run
from backwatch.attack.entries._postgresql import CUSTOMERS, ONE, Psycopg
from backwatch.attack.entries.postgresql_notice_flood_asyncpg import MANY, Noisy
from backwatch.attack.servers import HostileServer


class NoticeFlood(Psycopg):
    """In an app that writes every notice to its log."""

    code = "D8"
    attack = "sends two thousand notices with an answer"
    reference = "https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC"
    notices = "a log that grows"
    rule = "notice-flood"

    @classmethod
    def service(cls, authority: Authority) -> HostileServer:
        """Honest yet."""
        return Noisy(authority)

    def work(self) -> None:
        """Reads a customer."""
        self.connected().execute(CUSTOMERS, ONE).fetchall()

    def meet(self) -> object:
        """The same: how many notices went to the log."""
        logged: list[str | None] = []
        connection = self.again()
        connection.add_notice_handler(lambda notice: logged.append(notice.message_primary))
        self.work()
        for message in logged:
            logging.getLogger("shop").debug("the database says: %s", message)
        return len(logged)

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """All of them were taken."""
        del service
        return got == MANY


if __name__ == "__main__":
    run(NoticeFlood)
