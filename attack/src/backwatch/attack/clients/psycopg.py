"""psycopg 3."""

import logging
from typing import Any

from backwatch.attack.clients.postgresql import PostgreSQLClient


class Psycopg(PostgreSQLClient):
    """Connects in autocommit mode."""

    driver = "psycopg"

    def connect(self, **options: Any) -> Any:
        """Return the open connection, or a new one with these options of libpq."""
        import psycopg

        if self.connection is None or self.connection.closed:
            self.connection = psycopg.connect(**self.libpq_options(options), autocommit=True)
        return self.connection

    def count_notices(self) -> int:
        """Run the lookup on a new connection and log each notice."""
        logged: list[str | None] = []
        self.close()
        self.connect().add_notice_handler(lambda notice: logged.append(notice.message_primary))
        self.execute(*self.lookup)
        for message in logged:
            logging.getLogger("shop").debug("notice of the database: %s", message)
        return len(logged)
