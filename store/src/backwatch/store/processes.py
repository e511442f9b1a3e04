"""The watched processes of apps: written with a shard's commit, listed for people, pruned."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.commit import SeenProcess
from backwatch.store.text import amount, clean, whole
from backwatch.store.upsert import insert_or_replace
from backwatch.store.views import ProcessRow

MAX_LISTED = 500
MAX_KEPT = 20_000
"""Processes that are kept at most; of more, those heard last stay."""
_TEXTS = ("instance", "app", "host", "parent")
_COUNTS = ("pid", "recorded", "delivered", "dropped")
_OPEN = ("silent", "undelivered")


def write(connection: sa.Connection, processes: Sequence[SeenProcess]) -> None:
    """Write what was seen of these processes."""
    rows: dict[str, dict[str, object]] = {}
    for one in processes:
        row: dict[str, object] = {}
        for name, value in asdict(one).items():
            if isinstance(value, str):
                row[name] = clean(value, 300)
            else:
                row[name] = amount(value) if name in _COUNTS else whole(value)
        row["state"] = clean(one.state, 16)
        row_id = hashlib.sha256(f"{one.app}\x1f{one.instance}".encode(errors="replace")).hexdigest()
        rows[row_id] = {"id": row_id, **row}
    insert_or_replace(connection, tables.process, [rows[row_id] for row_id in sorted(rows)])


def list_processes(connection: sa.Connection, *, app: str = "", limit: int = MAX_LISTED) -> list[ProcessRow]:
    """Return processes: those that are missed first, then those that run, then those heard last."""
    table = tables.process
    rank = sa.case((table.c.state.in_(_OPEN), 0), (table.c.state == "running", 1), else_=2)
    query = sa.select(*(column for column in table.c if column.name != "id"))
    if app:
        query = query.where(table.c.app == clean(app, 300))
    query = query.order_by(rank, table.c.heard_ns.desc(), table.c.id).limit(limit)
    return [ProcessRow(**row) for row in connection.execute(query).mappings()]


def count_by_state(connection: sa.Connection) -> dict[str, int]:
    """Return how many processes are in each state."""
    table = tables.process
    query = sa.select(table.c.state, sa.func.count().label("many")).group_by(table.c.state).order_by(table.c.state)
    return {row.state: int(row.many) for row in connection.execute(query)}


def oldest_kept_ns(connection: sa.Connection) -> int:
    """Return the time before which all processes beyond ``MAX_KEPT`` were heard; 0 where there are not so many."""
    last_ns = sa.case(
        (tables.process.c.heard_ns > tables.process.c.since_ns, tables.process.c.heard_ns),
        else_=tables.process.c.since_ns,
    )
    return connection.scalar(sa.select(last_ns).order_by(last_ns.desc()).offset(MAX_KEPT).limit(1)) or 0
