"""A transaction that reads, one that may write, and work that is too much for one."""

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Final

import sqlalchemy as sa

from backwatch.store.postgresql import set_bounded

WRITES: Final = "backwatch_writes"
"""Execution option of a connection whose transaction may write: on SQLite it takes the lock at once."""


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Generator[sa.Connection]:
    """A connection whose transaction sees one moment and never waits for a writer."""
    options: dict[str, Any] = {}
    if engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextlib.contextmanager
def writing(engine: sa.Engine) -> Generator[sa.Connection]:
    """A connection in a transaction that may write: committed at the end, rolled back on any exception."""
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        yield connection


@contextlib.contextmanager
def allow_silence(connection: sa.Connection) -> Generator[None]:
    """Inside the block the server may be silent for as long as it needs."""
    set_bounded(connection, bounded=False)
    try:
        yield
    finally:
        if not connection.invalidated:
            set_bounded(connection, bounded=True)


def in_bites(bite: Callable[[], int]) -> int:
    """Does a small transaction's work until it finds none, and gives how much that was, by its own counts."""
    total = 0
    while done := bite():
        total += done
    return total
