"""Common parts of the SQL workloads. A shop's database runs behind honest servers; one API serves five drivers."""

import contextlib
import re
import sqlite3
import struct
import time
from collections.abc import Sequence
from typing import Any, Final

from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Workload, WorkloadConfig
from backwatch.attack.clients.mysql_connector import MySQLConnector
from backwatch.attack.clients.psycopg import Psycopg
from backwatch.attack.clients.psycopg2 import Psycopg2
from backwatch.attack.clients.pymysql import PyMySQL
from backwatch.attack.clients.sql import SqlClient
from backwatch.attack.demo.services.mysql import OK, Packets
from backwatch.attack.demo.services.postgresql import RefusedError
from backwatch.attack.protocols.server import SECRET, HostileServer
from backwatch.attack.protocols.tables import Answer, MySQLOfTables, PostgreSQLOfTables, Tables

_CLIENTS: Final[dict[str, type[SqlClient]]] = {
    client.driver: client for client in (MySQLConnector, Psycopg, Psycopg2, PyMySQL)
}
SQL: Final = (*_CLIENTS, "sqlite3")
ORDERS: Final = 13_000
MAX_SLEEP_S: Final = 2.0
_SCHEMA: Final = """
CREATE TABLE baskets (id INTEGER PRIMARY KEY, customer TEXT, goods TEXT, version INTEGER DEFAULT 0);
CREATE TABLE sales (id INTEGER PRIMARY KEY, day INTEGER, customer TEXT, total TEXT);
CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, detail TEXT);
CREATE UNIQUE INDEX mails ON customers (mail);
CREATE TABLE pg_stat_database (datname TEXT, numbackends INTEGER);
"""
_WITHOUT_EFFECT: Final = re.compile(r"\s*(?:listen|unlisten|notify|analyze|set|begin|commit|rollback)\b", re.IGNORECASE)
"""Keywords of ordinary work that the underlying database does not support."""


def fill(database: Any) -> None:
    """Create the shop's own tables, and ``counted``, a slow function."""
    database.create_function("counted", 2, _sleep)
    database.executescript(_SCHEMA)
    sales = [(i, i % 40, f"customer {i % 20}", f"{i % 90}.90") for i in range(ORDERS)]
    database.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", sales)
    baskets = [(i, f"customer {i}", "two apples", 0) for i in range(20)]
    database.executemany("INSERT INTO baskets VALUES (?, ?, ?, ?)", baskets)


def _sleep(count: Any, seconds: Any) -> Any:
    time.sleep(min(float(seconds), MAX_SLEEP_S))
    return count


class _ShopTables(Tables):
    """The pack's tables, and those of the shop."""

    def __init__(self) -> None:
        super().__init__()
        fill(self._database)

    def ask(self, statement: str) -> Answer | None:
        """Execute a statement. Statements that only a larger database supports succeed without effect."""
        if _WITHOUT_EFFECT.match(statement):
            return Answer()
        return super().ask(statement)


class ShopPostgreSQL(PostgreSQLOfTables):
    """An honest server that reports why it refuses a statement."""

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self._tables = _ShopTables()

    def _asked(self, statement: bytes) -> Answer:
        try:
            return self._tables.ask(statement.decode()) or Answer()
        except sqlite3.IntegrityError as error:
            raise RefusedError("23505", str(error)) from None
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise RefusedError("42601", str(error)) from None


class ShopMySQL(MySQLOfTables):
    """An honest server that reports why it refuses a statement."""

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self._tables = _ShopTables()

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """Respond from the tables."""
        if statement.upper().startswith(b"SELECT @@"):
            wire.rows(("setting",), [("0" if b"CASE" in statement.upper() else "",)])
            return True
        if statement.upper().startswith((b"SHOW", b"SELECT VERSION()", b"SELECT DATABASE()")):
            self._describe_server(wire, statement.decode().upper())
            return True
        try:
            answer = self._tables.ask(statement.decode()) or Answer()
        except sqlite3.IntegrityError as error:
            _refuse(wire, 1062, b"23000", str(error))
        except (sqlite3.Error, sqlite3.Warning) as error:
            _refuse(wire, 1064, b"42000", str(error))
        else:
            if answer.columns:
                wire.rows(
                    answer.columns, [["" if value is None else str(value) for value in one] for one in answer.rows]
                )
            else:
                wire.send(OK[:1] + bytes([min(answer.affected, 250)]) + OK[2:])
        return True

    def _describe_server(self, wire: Packets, statement: str) -> None:
        """Respond to the catalogue queries of ORMs."""
        names = [str(row[0]) for row in self._query_rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        names = [name for name in names if not name.startswith("pg_")]
        if statement.startswith("SHOW FULL TABLES"):
            wire.rows(("Tables_in_shop", "Table_type"), [(name, "BASE TABLE") for name in names])
        elif statement.startswith("SHOW CREATE TABLE"):
            name = next((one for one in names if one.upper() in statement), "baskets")
            columns = ", ".join(f"`{row[1]}` varchar(200)" for row in self._query_rows(f"PRAGMA table_info({name})"))
            ddl = f"CREATE TABLE `{name}` (\n  " + columns.replace(", ", ",\n  ") + "\n) ENGINE=InnoDB"
            wire.rows(("Table", "Create Table"), [(name, ddl)])
        elif statement.startswith("SHOW"):
            wire.rows(("Variable_name", "Value"), [("Uptime", "86400"), ("Threads_connected", "3")])
        else:
            wire.rows(("value",), [("shop" if "DATABASE" in statement else self.version.decode(),)])

    def _query_rows(self, statement: str) -> Sequence[Sequence[Any]]:
        answer = self._tables.ask(statement)
        return answer.rows if answer else ()


def _refuse(wire: Packets, number: int, state: bytes, text: str) -> None:
    wire.send(b"\xff" + struct.pack("<H", number) + b"#" + state + text.encode())


class ShopWorkload(Workload):
    """A workload on a database, with any driver."""

    drivers = SQL

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self._connection: Any = None
        self._client: Any = None

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return the shop's database; ``sqlite3`` does not use it."""
        return ShopPostgreSQL(authority) if driver.startswith("psycopg") else ShopMySQL(authority)

    def cursor(self, **options: Any) -> Any:
        """Return a driver's cursor for a ``with``; connect, with further options, if there is no connection."""
        if self._connection is None:
            self._connection = self._connect(**options)
        return contextlib.closing(self._connection.cursor())

    def _connect(self, **options: Any) -> Any:
        if self.config.driver == "sqlite3":
            return _connect_sqlite3()
        if self.config.driver == "psycopg":
            import psycopg

            options["cursor_factory"] = psycopg.ClientCursor
        client = _CLIENTS[self.config.driver](self.config.port, self.config.ca_file)
        return client.connect(**options)

    def reconnect(self) -> None:
        """Close the connection; the next use opens a new one."""
        if self._connection is not None:
            with contextlib.suppress(Exception):  # it may be closed already
                self._connection.close()
        self._connection = None

    def redis(self, timeout_s: float = 5) -> Any:
        """Return the one client of Redis."""
        import redis

        if self._client is None:
            self._client = redis.Redis(
                host="localhost", port=self.config.port, password=SECRET, ssl=True, ssl_ca_certs=self.config.ca_file,
                socket_timeout=timeout_s,
            )  # fmt: skip
        return self._client

    def placeholders(self, count: int) -> str:
        """Return ``count`` placeholders of the driver, separated by commas."""
        return ", ".join(["?" if self.config.driver == "sqlite3" else "%s"] * count)

    @property
    def one(self) -> str:
        """Return one placeholder."""
        return self.placeholders(1)


def _connect_sqlite3() -> Any:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("CREATE TABLE customers (id INTEGER, name TEXT, mail TEXT);")
    fill(connection)
    return connection
