"""What the apps of the PostgreSQL entries share: how each driver is asked for a connection, verified in full."""

import contextlib
import ssl
from abc import abstractmethod
from typing import Any

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, AppConfig, Scenario

CUSTOMERS = "SELECT id, name, mail FROM customers WHERE mail = %s ORDER BY id"
ONE = ("customer1@shop.example",)


class PostgreSQLApp(Scenario):
    """An app with a connection of its own; a subclass names the driver by its base."""

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config)
        self.connection: Any = None

    def again(self, **options: Any) -> Any:
        """A new connection in place of the one there is."""
        self.renew()
        return self.connected(**options)

    @abstractmethod
    def connected(self, **options: Any) -> Any:
        """The connection; a new one where there is none."""

    def renew(self) -> None:
        """Gives the connection up; the next work makes a new one."""
        if self.connection is not None:
            with contextlib.suppress(Exception):  # it may be gone already
                self.connection.close()
        self.connection = None


class Psycopg(PostgreSQLApp):
    """On psycopg 3."""

    driver = "psycopg"

    def connected(self, **options: Any) -> Any:
        """The connection; a new one where there is none. Options are libpq's; ``None``: its default."""
        import psycopg

        if self.connection is None or self.connection.closed:
            self.connection = psycopg.connect(**_libpq(self.config, options), autocommit=True)
        return self.connection


class Psycopg2(PostgreSQLApp):
    """On psycopg2."""

    driver = "psycopg2"

    def connected(self, **options: Any) -> Any:
        """The connection; a new one where there is none. Options are libpq's; ``None``: its default."""
        import psycopg2

        if self.connection is None or self.connection.closed:
            self.connection = psycopg2.connect(**_libpq(self.config, options))
            self.connection.autocommit = True
        return self.connection


class ReadsCustomers(PostgreSQLApp):
    """Reads a customer, on a new connection each time, also once the service has turned."""

    def work(self) -> None:
        """Reads a customer, on a new connection each time."""
        self._read()

    def meet(self) -> object:
        """The same."""
        return self._read()

    def _read(self, **options: Any) -> int:
        with self.again(**options).cursor() as cursor:
            cursor.execute(CUSTOMERS, ONE)
            return len(cursor.fetchall())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app took what it was given for its own data."""
        del service
        return got == 20


async def asyncpg_connected(config: AppConfig, **options: Any) -> Any:
    """A connection of asyncpg's; options are its own.

    Args:
        place: Where.
        options: In place of a verifying ``ssl``.
    """
    import asyncpg

    options.setdefault("ssl", ssl.create_default_context(cafile=config.ca_file))
    asked: dict[str, Any] = {"database": "shop", **options}
    return await asyncpg.connect(
        host="localhost", port=config.port, user="shop", password=SECRET, timeout=5, command_timeout=5, **asked
    )


def _libpq(config: AppConfig, options: dict[str, Any]) -> dict[str, Any]:
    asked = {
        "host": "localhost", "port": config.port, "user": "shop", "password": SECRET, "dbname": "shop",
        "sslmode": "verify-full", "sslrootcert": config.ca_file, "connect_timeout": 5, **options,
    }  # fmt: skip
    return {name: value for name, value in asked.items() if value is not None}
