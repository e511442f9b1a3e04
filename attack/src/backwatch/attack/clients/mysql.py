"""Common parts of the MySQL drivers."""

from typing import Any

from backwatch.attack.clients import given
from backwatch.attack.clients.sql import SqlClient
from backwatch.attack.protocols.server import SECRET

ORDERS = ("SELECT id, customer, total FROM orders WHERE customer = %s ORDER BY id", ("customer 3",))
DEFAULT_TLS: dict[str, Any] = {"ssl_ca": None, "ssl_verify_cert": None, "ssl_verify_identity": None}
"""Options that leave TLS to the driver's defaults."""


class MySQLClient(SqlClient):
    """A driver of MySQL."""

    protocol = "mysql"
    lookup = ORDERS

    def options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a verified session; ``None`` stands for the driver's default."""
        return given({
            "host": "localhost", "port": self.port, "user": "shop", "password": SECRET, "database": "shop",
            "autocommit": True, "ssl_ca": self.ca_file, "ssl_verify_cert": True, "ssl_verify_identity": True,
            **options,
        })  # fmt: skip
