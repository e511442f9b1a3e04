"""A small real database behind honest servers, so that an injected statement reads real rows.

It executes SQLite's SQL. Statements of larger databases only (GRANT, COPY … TO PROGRAM, ALTER USER) succeed as for an
account with all rights: they have no effect, and are recorded.
"""

import re
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backwatch.attack.authority import Authority
from backwatch.attack.demo.services.mysql import OK, Packets
from backwatch.attack.demo.services.postgresql import RefusedError, row, send
from backwatch.attack.protocols.mysql import HonestMySQL
from backwatch.attack.protocols.postgresql import HonestPostgreSQL
from backwatch.attack.protocols.server import ServerSession

LOOT: Final = "$2b$12$of.an.administrator"
"""Content of the table of accounts, which no page of the shop reads."""
FILE: Final = "root:x:0:0: the database's machine"
"""Result of functions that read files."""
ACCOUNTS: Final = 3_000
LONGEST_SLEEP_S: Final = 1.0
_SCHEMA: Final = """
ATTACH ':memory:' AS information_schema;
CREATE TABLE information_schema.tables (table_schema, table_name);
INSERT INTO information_schema.tables VALUES ('shop', 'customers'), ('shop', 'orders'), ('shop', 'accounts');
ATTACH ':memory:' AS mysql;
CREATE TABLE mysql.user (user, host, authentication_string);
INSERT INTO mysql.user VALUES ('root', '%', '$2b$12$of.an.administrator');
CREATE TABLE pg_shadow (usename, passwd);
INSERT INTO pg_shadow VALUES ('postgres', '$2b$12$of.an.administrator');
CREATE TABLE customers (id INTEGER, name TEXT, mail TEXT);
CREATE TABLE orders (id INTEGER, customer TEXT, total TEXT);
CREATE TABLE accounts (id INTEGER, name TEXT, password TEXT);
"""
_ADMINISTRATION: Final = re.compile(
    r"\s*(?:grant|revoke|set|copy|kill|show|flush|change|begin|commit|rollback|start|purge"
    r"|create (?:user|role|extension|server|subscription|function)|alter (?:user|role|system))\b|.*\binto\s+outfile\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns and rows of a result. Without columns, ``affected`` is the number of changed rows."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    affected: int = 0


class Tables:
    """Customers, orders, and accounts that no app may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._database.executemany(
            "INSERT INTO customers VALUES (?, ?, ?)",
            [(i, f"customer {i}", f"customer{i}@shop.example") for i in range(20)],
        )
        self._database.executemany(
            "INSERT INTO orders VALUES (?, ?, '9.90')", [(i, f"customer {i % 4}") for i in range(40)]
        )
        self._database.executemany(
            "INSERT INTO accounts VALUES (?, ?, ?)", [(i, f"clerk {i}", f"{LOOT}.{i}") for i in range(ACCOUNTS)]
        )
        for name in ("sleep", "pg_sleep"):
            self._database.create_function(name, 1, _sleep)
        for name in ("load_file", "pg_read_file"):
            self._database.create_function(name, 1, lambda _path: FILE)
        for name, count in (("sys_exec", 1), ("dblink_connect", 1), ("pg_terminate_backend", 1)):
            self._database.create_function(name, count, lambda _given: "0")

    def ask(self, statement: str) -> Answer | None:
        """Execute a statement. ``None`` means an administrative statement.

        Raises:
            sqlite3.Error: The statement is not valid.
        """
        if _ADMINISTRATION.match(statement):
            return None
        with self._lock:
            cursor = self._database.execute(statement)
            if cursor.description is None:
                return Answer(affected=max(cursor.rowcount, 0))
            return Answer(tuple(one[0] for one in cursor.description), tuple(cursor.fetchall()))


class PostgreSQLOfTables(HonestPostgreSQL):
    """An honest PostgreSQL over :class:`Tables`."""

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self._tables = Tables()

    def statements(self, text: bytes) -> Sequence[bytes]:
        """Return the statements of a simple query."""
        return [one.encode() for one in _split(text.decode()) if one.strip()] or [text]

    def columns(self, statement: bytes) -> Sequence[bytes]:
        """Return the column names from the tables."""
        if statement.lstrip()[:6].upper() != b"SELECT":
            return ()
        return [name.encode() for name in self._asked(statement).columns]

    def answers(self, session: ServerSession, statement: bytes) -> bool:
        """Respond from the tables."""
        if not statement.strip():
            return False
        answer = self._asked(statement)
        verb = statement.split(None, 1)[0].upper()
        session.send(b"".join(row(_bytes(one)) for one in answer.rows))
        count = len(answer.rows) if answer.columns else answer.affected
        tag = {b"INSERT": b"INSERT 0 %d" % count}.get(verb, b"%s %d" % (verb, count))
        send(session, b"C", (verb if verb in (b"BEGIN", b"SET", b"GRANT") else tag) + b"\0")
        return True

    def _asked(self, statement: bytes) -> Answer:
        return _asked(self._tables, statement, self.keep, lambda text: RefusedError("42601", text))


class MySQLOfTables(HonestMySQL):
    """An honest MySQL over :class:`Tables`."""

    def __init__(self, authority: Authority, port: int = 0) -> None:
        super().__init__(authority, port)
        self._tables = Tables()

    def answers(self, wire: Packets, statement: bytes) -> bool:
        """Respond from the tables; a driver's session queries return no rows."""
        if statement.upper().startswith(b"SELECT @@"):
            wire.rows(("setting",), [("",)])
            return True
        try:
            answer = _asked(self._tables, statement, self.keep, ValueError)
        except ValueError as refused:
            wire.send(b"\xff" + struct.pack("<H", 1064) + b"#42000" + str(refused).encode())
            return True
        if answer.columns:
            wire.rows(answer.columns, [[str(value) for value in one] for one in answer.rows])
        else:
            wire.send(OK[:1] + bytes([min(answer.affected, 250)]) + OK[2:])
        return True


def _asked(
    tables: Tables, statement: bytes, remember: Callable[[bytes], None], refused: Callable[[str], Exception]
) -> Answer:
    try:
        answer = tables.ask(statement.decode())
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise refused(str(error)) from None
    if answer is None:
        remember(statement)
        return Answer()
    return answer


def _split(text: str) -> list[str]:
    """Split at semicolons outside of quotes; text after a comment sign belongs to the last statement."""
    return re.findall(r"(?:'[^']*(?:'|$)|--[^\n]*|[^;'])+", text)


def _bytes(values: Sequence[Any]) -> list[bytes | None]:
    return [None if value is None else str(value).encode() for value in values]


def _sleep(seconds: Any) -> str:
    time.sleep(min(float(seconds), LONGEST_SLEEP_S))
    return "0"
