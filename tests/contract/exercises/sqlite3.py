"""Typical calls of an app that uses sqlite3."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SERVICES = ()


def calls(services: dict[str, Any]) -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        connection: Any = sqlite3.connect(Path(folder) / "app.db")
        seen: list[object] = [isinstance(connection, sqlite3.Connection)]
        with contextlib.closing(connection):
            connection.execute("create table item (id integer primary key, name text)")
            with connection:
                cursor = connection.executemany("insert into item (name) values (?)", [("a",), ("b",), ("c",)])
                seen.append(cursor.rowcount)
            seen.append(connection.execute("select * from item where id > ?", (1,)).fetchall())
            seen.append(list(connection.execute("select name from item order by id")))
            cursor = connection.cursor()
            seen.append(cursor.execute("update item set name = 'x'").rowcount)
            connection.commit()
            seen.append(cursor.executescript("delete from item; select 1;") is cursor)
            try:
                connection.execute("select * from nothing")
            except sqlite3.OperationalError as error:
                seen.append((str(error), error.sqlite_errorname))
        return seen


def failures(services: dict[str, Any]) -> list[Callable[[], object]]:
    def closed() -> None:
        connection = sqlite3.connect(":memory:")
        connection.close()
        connection.commit()

    return [
        lambda: sqlite3.connect("/nowhere/at/all.db"),
        lambda: sqlite3.connect(),  # type: ignore[call-overload]  # noqa: PLW0108  looked up when called: the probe replaces it
        lambda: sqlite3.connect(":memory:").execute("selec 1"),
        lambda: sqlite3.connect(":memory:").execute("select ?", (1, 2)),
        lambda: sqlite3.connect(":memory:").cursor(lambda _: None),  # type: ignore[arg-type]
        lambda: sqlite3.connect(":memory:", factory=dict),  # type: ignore[arg-type]
        closed,
    ]
