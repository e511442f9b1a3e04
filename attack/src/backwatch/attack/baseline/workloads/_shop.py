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
from backwatch.attack.demo.services.mysql import OK, Packets
from backwatch.attack.demo.services.postgresql import RefusedError
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.protocols.tables import Answer, MySQLOfTables, PostgreSQLOfTables, Tables
from backwatch.attack.scenarios import SECRET

SQL: Final = ("mysql.connector", "psycopg", "psycopg2", "pymysql", "sqlite3")
ORDERS: Final = 13_000
MOST_COUNTED_S: Final = 2.0
_SCHEMA: Final = """
CREATE TABLE baskets (id INTEGER PRIMARY KEY, customer TEXT, goods TEXT, version INTEGER DEFAULT 0);
CREATE TABLE sales (id INTEGER PRIMARY KEY, day INTEGER, customer TEXT, total TEXT);
CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, detail TEXT);
CREATE UNIQUE INDEX mails ON customers (mail);
CREATE TABLE pg_stat_database (datname TEXT, numbackends INTEGER);
"""
_NOWHERE: Final = re.compile(r"\s*(?:listen|unlisten|notify|analyze|set|begin|commit|rollback)\b", re.IGNORECASE)
"""Keywords of ordinary work that the underlying database does not support."""


def fill(database: Any) -> None:
    """Create the shop's own tables, and a slow function."""
    database.create_function("counted", 2, _counted)
    database.executescript(_SCHEMA)
    sales = [(i, i % 40, f"customer {i % 20}", f"{i % 90}.90") for i in range(ORDERS)]
    database.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", sales)
    baskets = [(i, f"customer {i}", "two apples", 0) for i in range(20)]
    database.executemany("INSERT INTO baskets VALUES (?, ?, ?, ?)", baskets)


def _counted(count: Any, seconds: Any) -> Any:
    time.sleep(min(float(seconds), MOST_COUNTED_S))
    return count


class _Shelves(Tables):
    """The pack's tables, and those of the shop."""

    def __init__(self) -> None:
        super().__init__()
        fill(self._database)

    def ask(self, statement: str) -> Answer | None:
        """Execute a statement. Statements that only a larger database supports succeed without effect."""
        if _NOWHERE.match(statement):
            return Answer()
        return super().ask(statement)


class ShopPostgreSQL(PostgreSQLOfTables):
    """An honest server that reports why it refuses a statement."""

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self._tables = _Shelves()

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
        self._tables = _Shelves()

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
        names = [str(row[0]) for row in self._listed("SELECT name FROM sqlite_master WHERE type = 'table'")]
        names = [name for name in names if not name.startswith("pg_")]
        if statement.startswith("SHOW FULL TABLES"):
            wire.rows(("Tables_in_shop", "Table_type"), [(name, "BASE TABLE") for name in names])
        elif statement.startswith("SHOW CREATE TABLE"):
            name = next((one for one in names if one.upper() in statement), "baskets")
            columns = ", ".join(f"`{row[1]}` varchar(200)" for row in self._listed(f"PRAGMA table_info({name})"))
            ddl = f"CREATE TABLE `{name}` (\n  " + columns.replace(", ", ",\n  ") + "\n) ENGINE=InnoDB"
            wire.rows(("Table", "Create Table"), [(name, ddl)])
        elif statement.startswith("SHOW"):
            wire.rows(("Variable_name", "Value"), [("Uptime", "86400"), ("Threads_connected", "3")])
        else:
            wire.rows(("value",), [("shop" if "DATABASE" in statement else self.version.decode(),)])

    def _listed(self, statement: str) -> Sequence[Sequence[Any]]:
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

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return the shop's database; ``sqlite3`` does not use it."""
        return ShopPostgreSQL(authority) if driver.startswith("psycopg") else ShopMySQL(authority)

    def cursor(self, **options: Any) -> Any:
        """Return a driver's cursor for a ``with``; connect, with further options, if there is no connection."""
        if self._connection is None:
            self._connection = _CONNECTED[self.config.driver](self.config, **options)
        return contextlib.closing(self._connection.cursor())

    def again(self) -> None:
        """Open a new connection in place of the current one."""
        if self._connection is not None:
            with contextlib.suppress(Exception):  # it may be closed already
                self._connection.close()
        self._connection = None

    def placeholders(self, count: int) -> str:
        """Return ``count`` placeholders of the driver, separated by commas."""
        return ", ".join(["?" if self.config.driver == "sqlite3" else "%s"] * count)

    @property
    def one(self) -> str:
        """Return one placeholder."""
        return self.placeholders(1)


def _libpq(config: WorkloadConfig, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "host": "localhost", "port": config.port, "user": "shop", "password": SECRET, "dbname": "shop",
        "sslmode": "verify-full", "sslrootcert": config.ca_file, "connect_timeout": 5, **options,
    }  # fmt: skip


def _mysql(config: WorkloadConfig) -> dict[str, Any]:
    return {
        "host": "localhost", "port": config.port, "user": "shop", "password": SECRET, "database": "shop",
        "autocommit": True, "ssl_ca": config.ca_file, "ssl_verify_cert": True, "ssl_verify_identity": True,
    }  # fmt: skip


def _psycopg(config: WorkloadConfig, **options: Any) -> Any:
    import psycopg

    return psycopg.connect(**_libpq(config, options), autocommit=True, cursor_factory=psycopg.ClientCursor)


def _psycopg2(config: WorkloadConfig, **options: Any) -> Any:
    import psycopg2

    connection = psycopg2.connect(**_libpq(config, options))
    connection.autocommit = True
    return connection


def _pymysql(config: WorkloadConfig) -> Any:
    import pymysql

    return pymysql.connect(**_mysql(config), connect_timeout=5, read_timeout=5)


def _connector(config: WorkloadConfig) -> Any:
    import mysql.connector

    return mysql.connector.connect(**_mysql(config), connection_timeout=5, use_pure=True)


def _sqlite3(config: WorkloadConfig) -> Any:
    del config
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("CREATE TABLE customers (id INTEGER, name TEXT, mail TEXT);")
    fill(connection)
    return connection


_CONNECTED: Final = {
    "psycopg": _psycopg, "psycopg2": _psycopg2, "pymysql": _pymysql, "mysql.connector": _connector,
    "sqlite3": _sqlite3,
}  # fmt: skip
