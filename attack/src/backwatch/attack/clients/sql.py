"""Common parts of the SQL drivers: one connection, and rows as lists of text."""

import contextlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from backwatch.attack.clients import Client

Rows = list[list[str]]


class SqlClient(Client):
    """A driver with cursors. It keeps one connection open until :meth:`close`.

    Attributes:
        lookup: The app's ordinary query with its parameters.
    """

    lookup: ClassVar[tuple[str, Sequence[Any]]]

    def __init__(self, port: int, ca_file: str) -> None:
        super().__init__(port, ca_file)
        self.connection: Any = None

    @abstractmethod
    def connect(self, **options: Any) -> Any:
        """Return the open connection, or a new one with these options."""

    def close(self) -> None:
        """Close the connection. The next query opens a new one."""
        if self.connection is not None:
            with contextlib.suppress(Exception):  # the server may have closed it already
                self.connection.close()
        self.connection = None

    def execute(self, statement: str, parameters: Sequence[Any] = (), **options: Any) -> Rows:
        """Execute a statement and return its rows. Options are those of a new connection."""
        with self.connect(**options).cursor() as cursor:
            cursor.execute(statement, *([parameters] if parameters else []))
            return fetch_rows(cursor)

    def look_up(self, **options: Any) -> int:
        """Run the app's ordinary query on a new connection and return the number of rows."""
        self.close()
        return len(self.execute(*self.lookup, **options))


def fetch_rows(cursor: Any) -> Rows:
    """Return the rows of a cursor's result as text; none if it has no result.

    A function of its own, so that fetching has a call site of its own.
    """
    return [[str(value) for value in row] for row in cursor.fetchall()] if cursor.description else []
