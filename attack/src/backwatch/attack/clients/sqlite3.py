"""sqlite3, which comes with Python. The database is a file, so that there is no server that could turn hostile."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backwatch.attack.clients.sql import Rows, SqlClient


class SQLite(SqlClient):
    """Opens the app's database once."""

    driver = "sqlite3"

    def connect(self, **options: Any) -> Any:
        """Return the open connection."""
        if self.connection is None:
            self.connection = sqlite3.connect(app_database(self.ca_file, self.port), isolation_level=None, **options)
        return self.connection

    def execute(self, statement: str, parameters: Sequence[Any] = (), **options: Any) -> Rows:
        """Execute a statement and return its rows."""
        return [[str(value) for value in row] for row in self.connect(**options).execute(statement, parameters)]


def app_database(ca_file: str, port: int) -> Path:
    """Return the file of the app's own database."""
    return Path(ca_file).parent / f"shop-{port}.db"


def other_database(ca_file: str, port: int) -> Path:
    """Return the file of another app's database."""
    return Path(ca_file).parent / f"wages-{port}.db"
