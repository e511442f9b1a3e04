"""D8 on psycopg: thousands of notices, which nobody asked for, come with an answer, and are put into the app's log."""

import logging

from backwatch.attack.techniques.postgresql import CUSTOMERS, ONE, Psycopg
from backwatch.attack.techniques.postgresql_notices import FloodsNotices


class NoticeFlood(FloodsNotices, Psycopg):
    """In an app that writes every notice to its log."""

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
