"""PyMySQL."""

from typing import Any

from backwatch.attack.clients import TIMEOUT_S
from backwatch.attack.clients.mysql import MySQLClient


class PyMySQL(MySQLClient):
    """Sends a file of the client only with ``local_infile=True``."""

    driver = "pymysql"

    def connect(self, **options: Any) -> Any:
        """Return the open connection, or a new one with these options."""
        import pymysql

        if self.connection is None or not self.connection.open:
            self.connection = pymysql.connect(
                **self.options(options), connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S
            )
        return self.connection
