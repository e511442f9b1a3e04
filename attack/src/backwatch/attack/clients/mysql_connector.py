"""mysql-connector-python, in pure Python."""

from typing import Any

from backwatch.attack.clients import TIMEOUT_S
from backwatch.attack.clients.mysql import MySQLClient


class MySQLConnector(MySQLClient):
    """Checks, before it sends a file, that its own statement loads one."""

    driver = "mysql.connector"

    def connect(self, **options: Any) -> Any:
        """Return the open connection, or a new one with these options."""
        import mysql.connector

        if self.connection is None or not self.connection.is_connected():
            self.connection = mysql.connector.connect(
                **self.options(options), connection_timeout=TIMEOUT_S, use_pure=True
            )
        return self.connection
