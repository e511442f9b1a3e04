"""The databases, and what they answer: rows, time, and errors with their class and code."""

import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg2
import pymysql
from pymysql.constants import CLIENT

from bench.campaigns import schema
from bench.campaigns.dialect import DIALECTS, Dialect
from bench.campaigns.templates import Statement
from tests.services.authority import Authority
from tests.services.databases import fresh_database, mariadb, postgresql

MAX_ROWS = 2_000
TIMEOUT_S = 5
MAX_SQLITE_BYTES = 120_000_000
"""sqlmap delays SQLite by random blobs, which nothing interrupts: those of a second pass, longer ones fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the database answered.

    Attributes:
        rows: The rows that it returned, at most ``MAX_ROWS``.
        affected: The rows that it wrote.
        error: The class of the driver's exception, or nothing.
        code: The SQLSTATE, MySQL's number or SQLite's name of the error.
        message: The beginning of the error's text.
    """

    rows: Sequence[tuple[Any, ...]] = ()
    affected: int = 0
    ms: float = 0.0
    error: str = ""
    code: str = ""
    message: str = ""


class Database:
    """A live database with the app's tables; every statement is rolled back."""

    errors: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.url = ""
        self.connection: Any = self._connect()

    def _connect(self) -> Any:
        raise NotImplementedError

    def _code(self, error: Exception) -> str:
        raise NotImplementedError

    def _execute(self, cursor: Any, statement: Statement, *, script: bool) -> None:
        del script
        cursor.execute(statement.text, statement.parameters or None)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _count_affected(self, cursor: Any) -> int:
        return max(cursor.rowcount, 0)

    def fill(self) -> None:
        """Create the tables and their rows."""
        cursor = self.connection.cursor()
        for statement in schema.create(self.dialect):
            cursor.execute(statement)
        for table, rows in schema.rows().items():
            names = schema.columns(table)
            marks = ", ".join([self.dialect.placeholder] * len(names))
            cursor.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)
        self.connection.commit()

    def run(self, statement: Statement, *, script: bool = False) -> Answer:
        """Run a statement, fetch its rows and roll back."""
        begun = time.perf_counter()
        rows: Sequence[tuple[Any, ...]] = ()
        affected, error, code, message = 0, "", "", ""
        try:
            with contextlib.closing(self.connection.cursor()) as cursor:
                self._execute(cursor, statement, script=script)
                if cursor.description is not None:
                    rows = list(cursor.fetchmany(MAX_ROWS))
                else:
                    affected = self._count_affected(cursor)
        except self.errors as raised:
            error, code, message = type(raised).__name__, self._code(raised), str(raised)[:200]
        ms = 1_000 * (time.perf_counter() - begun)
        self._roll_back()
        return Answer(rows=rows, affected=affected, ms=round(ms, 2), error=error, code=code, message=message)

    def _roll_back(self) -> None:
        try:
            self.connection.rollback()
        except self.errors:
            with contextlib.suppress(*self.errors):
                self.connection.close()
            self.connection = self._connect()


class PostgreSQL(Database):
    """PostgreSQL by psycopg2, which sends statements without parameters as they are, also several at once."""

    errors = (psycopg2.Error, UnicodeError, ValueError)

    def __init__(self, url: str) -> None:
        self._url = url
        super().__init__(DIALECTS["postgres"])

    def _connect(self) -> Any:
        return psycopg2.connect(self._url, options=f"-c statement_timeout={TIMEOUT_S}s")

    def _code(self, error: Exception) -> str:
        return getattr(error, "pgcode", None) or ""


class MariaDB(Database):
    """MariaDB by PyMySQL, with several statements at once."""

    errors = (pymysql.Error, UnicodeError, TypeError, RuntimeError)

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        super().__init__(DIALECTS["mysql"])

    def _connect(self) -> Any:
        parts = self._parts
        return pymysql.connect(
            host=parts.hostname, port=parts.port or 3306, user=parts.username, password=parts.password or "",
            database=parts.path[1:], charset="utf8mb4", client_flag=CLIENT.MULTI_STATEMENTS, read_timeout=3 * TIMEOUT_S,
            init_command=f"SET max_statement_time = {TIMEOUT_S}",
        )  # fmt: skip

    def _code(self, error: Exception) -> str:
        return str(error.args[0]) if error.args else ""


class SQLite(Database):
    """SQLite in a file."""

    errors = (sqlite3.Error, sqlite3.Warning, UnicodeError, ValueError, OverflowError)

    def __init__(self, file: Path) -> None:
        self._file = file
        self._until, self._changes = float("inf"), 0
        super().__init__(DIALECTS["sqlite"])

    def _connect(self) -> Any:
        connection = sqlite3.connect(self._file, check_same_thread=False)
        connection.set_progress_handler(self._interrupt, 2_000_000)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_SQLITE_BYTES)
        return connection

    def _interrupt(self) -> bool:
        return time.monotonic() > self._until

    def _code(self, error: Exception) -> str:
        return getattr(error, "sqlite_errorname", "")

    def _execute(self, cursor: Any, statement: Statement, *, script: bool) -> None:
        self._until = time.monotonic() + TIMEOUT_S
        self._changes = self.connection.total_changes
        if script:
            cursor.executescript(f"BEGIN;\n{statement.text}")
        else:
            cursor.execute(statement.text, statement.parameters)
        self._until = float("inf")

    def _count_affected(self, cursor: Any) -> int:
        del cursor  # it does not know what a script wrote
        return self.connection.total_changes - self._changes


def connect(url: str) -> Database:
    """Connect to the database that a URL names."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        database: Database = SQLite(Path(parts.path))
    else:
        database = PostgreSQL(url) if parts.scheme == "postgresql" else MariaDB(url)
    database.url = url
    return database


@contextlib.contextmanager
def serve(name: str) -> Generator[Database]:
    """Start a server of a dialect and yield its database, with the app's rows."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if name == "sqlite":
            url = f"sqlite:///{folder}/library.db"
        elif name == "postgres":
            url = stack.enter_context(
                fresh_database.postgresql(stack.enter_context(postgresql.serve(Authority(folder))))
            )
        else:
            url = stack.enter_context(fresh_database.mariadb(stack.enter_context(mariadb.serve(Authority(folder)))))
        database = connect(url)
        stack.callback(database.close)
        database.fill()
        yield database
