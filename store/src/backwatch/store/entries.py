"""The one numbered door by which decisions, profiles, models and losses come into the engine.

An append locks the number until its transaction ends. So numbers have no gaps and become visible in their order,
and a reader that has seen number *n* will never find a smaller one later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from backwatch.store import tables
from backwatch.store.text import as_json, clean, from_json
from backwatch.store.upsert import insert_missing

KINDS: Final = ("decision", "profile", "model", "loss")
BODY_LIMIT: Final = 1 << 20
"""Characters of a body; longer texts in it are cut until it fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """A numbered cause of change.

    Attributes:
        id: Its number, from 1, gapless.
        kind: One of ``KINDS``.
        body: Its contents; the kind determines the names in it.
        at_ns: Wall time at which it was entered.
        by: Who entered it.
    """

    id: int
    kind: str
    body: Mapping[str, Any]
    at_ns: int
    by: str


def append(connection: Connection, kind: str, body: Mapping[str, Any], at_ns: int, by: str) -> int:
    """Enters ``body`` under the next number, which it gives; other appenders wait until this transaction ends."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    number = _next(connection)
    if number is None:
        insert_missing(connection, tables.entry_number, [{"id": 1, "last": 0}])
        number = _next(connection)
    if number is None:
        raise RuntimeError("the row that numbers the entries can be neither found nor made")
    row = {"id": number, "kind": kind, "body": as_json(body, BODY_LIMIT), "at_ns": at_ns, "by": clean(by, 200)}
    connection.execute(sa.insert(tables.entry), [row])
    return number


def after(connection: Connection, entry_id: int, limit: int = 1000) -> list[EntryRow]:
    """The entries after that number, oldest first."""
    table = tables.entry
    rows = connection.execute(sa.select(table).where(table.c.id > entry_id).order_by(table.c.id).limit(limit))
    return [
        EntryRow(id=row.id, kind=row.kind, body=from_json(row.body), at_ns=row.at_ns, by=row.by) for row in rows.all()
    ]


def _next(connection: Connection) -> int | None:
    table = tables.entry_number
    statement = sa.update(table).where(table.c.id == 1).values(last=table.c.last + 1).returning(table.c.last)
    return connection.execute(statement).scalar_one_or_none()
