"""The watched processes of apps: written with a shard's commit, listed for people, pruned."""

import hashlib
import time
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
"""Processes that are kept at most; of more, those stay that are missed, then those that run, then those heard last."""
MAX_EXCESS = 2_000
"""Processes beyond ``MAX_KEPT`` at which a commit removes the excess itself: heartbeats can be forged in any number."""
MISSED_BEATS = 3
GRACE_NS = 180 * 10**9
"""How long after its missed heartbeats a process still counts as running: rows are kept to the minute."""
MAX_INTERVAL_NS = 600 * 10**9
UNFOLLOWED = "unfollowed"
_TEXTS = ("instance", "app", "host", "parent")
_COUNTS = ("pid", "recorded", "delivered", "dropped")
_OPEN = ("silent", "undelivered")


def write(connection: sa.Connection, processes: Sequence[SeenProcess], now_ns: int) -> None:
    """Write what was seen of these processes."""
    rows: dict[str, dict[str, object]] = {}
    for process in processes:
        row: dict[str, object] = {}
        for name, value in asdict(process).items():
            if isinstance(value, str):
                row[name] = clean(value, 300)
            else:
                row[name] = amount(value) if name in _COUNTS else whole(value)
        row["state"] = clean(process.state, 16)
        row_id = hashlib.sha256(f"{process.app}\x1f{process.instance}".encode(errors="replace")).hexdigest()
        rows[row_id] = {"id": row_id, **row}
    insert_or_replace(connection, tables.process, [rows[row_id] for row_id in sorted(rows)])
    if rows and _count(connection) > MAX_KEPT + MAX_EXCESS:
        remove_excess(connection, now_ns)


def state_at(now_ns: int) -> "sa.ColumnElement[str]":
    """Return the state as it is now: what was not heard of late does not run as far as anyone knows.

    A shard that forgot a process, or that no detector owns, writes nothing of it any more.
    """
    table = tables.process
    interval_ns = sa.case((table.c.interval_ns > MAX_INTERVAL_NS, MAX_INTERVAL_NS), else_=table.c.interval_ns)
    is_late = table.c.heard_ns < now_ns - GRACE_NS - MISSED_BEATS * interval_ns
    return sa.case(((table.c.state == "running") & is_late, UNFOLLOWED), else_=table.c.state)


def list_processes(
    connection: sa.Connection, *, app: str = "", limit: int = MAX_LISTED, now_ns: int = 0
) -> list[ProcessRow]:
    """Return processes: those that are missed first, then those that run, then those heard last."""
    table = tables.process
    state = state_at(now_ns or time.time_ns())
    columns = (column for column in table.c if column.name not in ("id", "state"))
    query = sa.select(*columns, state.label("state"))
    if app:
        query = query.where(table.c.app == clean(app, 300))
    query = query.order_by(_rank(state), table.c.heard_ns.desc(), table.c.id).limit(limit)
    return [ProcessRow(**row) for row in connection.execute(query).mappings()]


def count_by_state(connection: sa.Connection, now_ns: int = 0) -> dict[str, int]:
    """Return how many processes are in each state."""
    state = state_at(now_ns or time.time_ns()).label("state")
    states = sa.select(state).subquery()
    query = sa.select(states.c.state, sa.func.count().label("many")).group_by(states.c.state).order_by(states.c.state)
    return {row.state: int(row.many) for row in connection.execute(query)}


def remove_excess(connection: sa.Connection, now_ns: int, limit: int | None = None) -> int:
    """Remove rows beyond ``MAX_KEPT``; those that others write at this moment are left for the next time."""
    excess = _count(connection) - MAX_KEPT
    if excess <= 0:
        return 0
    table = tables.process
    last_ns = sa.case((table.c.heard_ns > table.c.since_ns, table.c.heard_ns), else_=table.c.since_ns)
    query = sa.select(table.c.id).order_by(_rank(state_at(now_ns)).desc(), last_ns, table.c.id)
    query = query.limit(min(excess, limit or excess)).with_for_update(skip_locked=True)
    ids = connection.scalars(query).all()
    if ids:
        connection.execute(
            sa.delete(table).where(table.c.id == sa.bindparam("of_id")), [{"of_id": process_id} for process_id in ids]
        )
    return len(ids)


def _rank(state: "sa.ColumnElement[str]") -> "sa.ColumnElement[int]":
    return sa.case((state.in_(_OPEN), 0), (state == "running", 1), else_=2)


def _count(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(tables.process)) or 0
