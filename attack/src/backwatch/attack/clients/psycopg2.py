"""psycopg2."""

from typing import Any

from backwatch.attack.clients.postgresql import PostgreSQLClient


class Psycopg2(PostgreSQLClient):
    """Connects in autocommit mode."""

    driver = "psycopg2"

    def connect(self, **options: Any) -> Any:
        """Return the open connection, or a new one with these options of libpq."""
        import psycopg2

        if self.connection is None or self.connection.closed:
            self.connection = psycopg2.connect(**self.libpq_options(options))
            self.connection.autocommit = True
        return self.connection
