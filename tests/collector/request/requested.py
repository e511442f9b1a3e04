"""The same app for each framework: a value from one of several inputs goes into a statement in one of several ways."""

import contextlib
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from backwatch.collector import names
from backwatch.collector.probes.sqlite3 import SQLiteProbe
from backwatch.collector.probes.toolkit.patches import Patches
from tests.collector.memory_stream import MemoryStream, deliver

WAYS = ("query", "form", "json")
ATTACKS = ("absent' OR 'a'='a", "x' UNION SELECT name FROM sqlite_master --", "1'; DROP TABLE users; --", "o'brien 2")
HONEST = ("ann@example.com", "a longer text, with (brackets) -- and more", "2026-11-26 12:00", "-123456.5")


def ask(how: str, value: str) -> None:
    """Put ``value`` into a statement: ``joined`` as code, ``quoted`` as one literal, ``bound`` as a parameter."""
    connection = sqlite3.connect(":memory:")
    with contextlib.closing(connection), contextlib.suppress(sqlite3.Error, sqlite3.Warning):
        if how == "bound":
            connection.execute("SELECT 1 AS asked WHERE 'a' = ?", (value,))
        elif how == "quoted":
            connection.execute("SELECT 1 AS asked WHERE 'a' = '" + value.replace("'", "''") + "'")
        else:
            connection.execute(f"SELECT 1 AS asked WHERE 'a' = '{value}'")


@contextmanager
def serving(framework: str) -> Generator[MemoryStream]:
    """Observe this framework's requests and sqlite3 inside the block."""
    from importlib import import_module

    patches = Patches()
    import_module(f"backwatch.collector.request.{framework}").install(patches)
    try:
        with deliver(SQLiteProbe) as stream:
            yield stream
    finally:
        patches.restore()


def signed(stream: MemoryStream) -> list[bool]:
    """Return for each statement whether it shows the request's input."""
    return [
        "request-input" in call.get(names.QUERY_SIGNS, "").split(",")
        for call in stream.calls()
        if "asked" in call.get(names.QUERY_TEXT, "") and call["name"] != "FETCH"
    ]


def assert_nothing_of(stream: MemoryStream, value: str) -> None:
    """Assert that no part of the input has left the process."""
    assert value.encode() not in b"".join(message.value for message in stream.messages)


def routes(stream: MemoryStream) -> set[str]:
    """Return the routes of the statements."""
    return {call.get(names.HTTP_ROUTE, "") for call in stream.calls()}
