"""What the apps of the MySQL entries share: how each driver is asked for a connection, verified in full."""

import contextlib
from abc import abstractmethod
from typing import Any

from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import SECRET, AppConfig, Scenario

ORDERS = "SELECT id, customer, total FROM orders WHERE customer = %s ORDER BY id"
ONE = ("customer 3",)


class MySQLApp(Scenario):
    """An app with a connection of its own; a subclass names the driver by its base."""

    def __init__(self, config: AppConfig) -> None:
        super().__init__(config)
        self.connection: Any = None

    @abstractmethod
    def connected(self, **options: Any) -> Any:
        """The connection; a new one where there is none."""

    def renew(self) -> None:
        """Gives the connection up; the next work makes a new one."""
        if self.connection is not None:
            with contextlib.suppress(Exception):  # it may be gone already
                self.connection.close()
        self.connection = None

    def asked(self, **options: Any) -> dict[str, Any]:
        """The arguments of a connection; ``None``: the driver's default."""
        asked = {
            "host": "localhost", "port": self.config.port, "user": "shop", "password": SECRET, "database": "shop",
            "autocommit": True, "ssl_ca": self.config.ca_file, "ssl_verify_cert": True, "ssl_verify_identity": True,
            **options,
        }  # fmt: skip
        return {name: value for name, value in asked.items() if value is not None}


PLAIN: dict[str, Any] = {"ssl_ca": None, "ssl_verify_cert": None, "ssl_verify_identity": None}
"""Says nothing of TLS."""


class PyMySQL(MySQLApp):
    """On PyMySQL."""

    driver = "pymysql"

    def connected(self, **options: Any) -> Any:
        """The connection; a new one where there is none."""
        import pymysql

        if self.connection is None or not self.connection.open:
            self.connection = pymysql.connect(**self.asked(connect_timeout=5, read_timeout=5, **options))
        return self.connection


class Connector(MySQLApp):
    """On mysql-connector-python."""

    driver = "mysql.connector"

    def connected(self, **options: Any) -> Any:
        """The connection; a new one where there is none."""
        import mysql.connector

        if self.connection is None or not self.connection.is_connected():
            self.connection = mysql.connector.connect(**self.asked(connection_timeout=5, use_pure=True, **options))
        return self.connection


class ReadsOrders(MySQLApp):
    """Reads a customer's orders, on a new connection each time, also once the service has turned."""

    def work(self) -> None:
        """Reads orders, on a new connection each time."""
        self._read()

    def meet(self) -> object:
        """The same."""
        return self._read()

    def _read(self, **options: Any) -> int:
        self.renew()
        with self.connected(**options).cursor() as cursor:
            cursor.execute(ORDERS, ONE)
            return len(cursor.fetchall())

    @classmethod
    def succeeded(cls, service: HostileServer, got: object) -> bool:
        """The app took what it was given for its own data."""
        del service
        return got == 12
