"""Common parts of the PostgreSQL drivers."""

from typing import Any

from backwatch.attack.clients import TIMEOUT_S, given
from backwatch.attack.clients.sql import SqlClient
from backwatch.attack.protocols.server import SECRET

CUSTOMER = ("SELECT id, name, mail FROM customers WHERE mail = %s ORDER BY id", ("customer1@shop.example",))
SHORT_CUSTOMER = ("SELECT id, name FROM customers WHERE mail = %s", ("customer1@shop.example",))


class PostgreSQLClient(SqlClient):
    """A driver of PostgreSQL, on libpq or with the same options."""

    protocol = "postgresql"
    lookup = CUSTOMER

    def libpq_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a verified session; ``None`` stands for libpq's default."""
        return given({
            "host": "localhost", "port": self.port, "user": "shop", "password": SECRET, "dbname": "shop",
            "sslmode": "verify-full", "sslrootcert": self.ca_file, "connect_timeout": TIMEOUT_S, **options,
        })  # fmt: skip

    def count_notices(self) -> int:
        """Run the lookup on a new connection and return the number of notices that the driver reported.

        Raises:
            NotImplementedError: The driver has no callback for notices.
        """
        raise NotImplementedError
