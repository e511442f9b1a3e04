"""Retention: remove old rows in small batches, so that no transaction waits long for the writer's lock."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from backwatch.store import processes, quarantine, tables
from backwatch.store.transactions import in_bites, writing

DAY_NS = 86_400_000_000_000
ROLLUPS_NS = 90 * DAY_NS
EVENTS_NS = 30 * DAY_NS
QUARANTINE_NS = 30 * DAY_NS
ALERTS_NS = 400 * DAY_NS
PROCESSES_NS = 7 * DAY_NS
PROGRESS_NS = 7 * DAY_NS
MAX_RESOURCES = 20_000
"""Resources that stay in the inventory; an app that invents names would fill it else."""
LASTING_NS = DAY_NS
"""From its first call to its last: what lasted for less goes first."""
_BITE = 5_000


def prune(engine: sa.Engine, now_ns: int) -> dict[str, int]:
    """Removes what is past its time: rollups, events, quarantined records, processes, progress and cleared alerts.

    Entries and decisions stay for ever; so do raised alerts and pending deliveries.

    Returns:
        Rows removed, by table; of occurrences and episodes go with their alert.
    """
    event, delivery, alert = tables.event, tables.delivery, tables.alert
    processes_ns = now_ns - PROCESSES_NS
    undelivered = sa.exists().where(delivery.c.event_id == event.c.id, delivery.c.state.in_(("pending", "held")))
    old: list[tuple[sa.Table, sa.ColumnElement[bool]]] = [
        (tables.rollup, tables.rollup.c.end_ns < now_ns - ROLLUPS_NS),
        (event, (event.c.created_ns < now_ns - EVENTS_NS) & ~undelivered),
        (tables.quarantine, tables.quarantine.c.kept_ns < now_ns - QUARANTINE_NS),
        (alert, ~alert.c.raised & (alert.c.last_ns < now_ns - ALERTS_NS) & (alert.c.muted_until_ns <= now_ns)),
        (tables.process, (tables.process.c.heard_ns < processes_ns) & (tables.process.c.since_ns < processes_ns)),
        (tables.partition_progress, tables.partition_progress.c.updated_ns < now_ns - PROGRESS_NS),
    ]
    removed = {
        table.name.removeprefix(tables.PREFIX): in_bites(lambda t=table, c=condition: _remove(engine, t, c))
        for table, condition in old
    }
    removed["process"] += in_bites(lambda: _remove_processes(engine, now_ns))
    removed["quarantine"] += in_bites(lambda: _remove_quarantined(engine, now_ns))
    return {**removed, "resource": in_bites(lambda: _remove_resources(engine))}


def _remove_resources(engine: sa.Engine) -> int:
    """Removes resources beyond the number: those that lasted for the shortest time, and of these the oldest."""
    table = tables.resource
    with writing(engine) as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        if count <= MAX_RESOURCES:
            return 0
        lasted = sa.case((table.c.last_ns - table.c.first_ns >= LASTING_NS, 1), else_=0)
        query = sa.select(table.c.id).order_by(lasted, table.c.last_ns, table.c.id)
        ids = connection.scalars(query.limit(min(count - MAX_RESOURCES, _BITE)).with_for_update(skip_locked=True)).all()
        if ids:
            connection.execute(sa.delete(table).where(table.c.id == sa.bindparam("of_id")), [{"of_id": i} for i in ids])
    return len(ids)


def _remove_processes(engine: sa.Engine, now_ns: int) -> int:
    with writing(engine) as connection:
        return processes.remove_excess(connection, now_ns, _BITE)


def _remove_quarantined(engine: sa.Engine, now_ns: int) -> int:
    with writing(engine) as connection:
        rows = quarantine.find_excess(connection, now_ns, _BITE)
        _delete(connection, tables.quarantine, rows)
    return len(rows)


def _remove(engine: sa.Engine, table: sa.Table, condition: "sa.ColumnElement[bool]") -> int:
    with writing(engine) as connection:
        rows: list[Any] = list(connection.execute(sa.select(*table.primary_key.columns).where(condition).limit(_BITE)))
        _delete(connection, table, rows)
    return len(rows)


def _delete(connection: sa.Connection, table: sa.Table, rows: Sequence[Sequence[Any]]) -> None:
    """Delete the rows of these keys."""
    keys = [*table.primary_key.columns]
    if rows:
        is_one = sa.and_(*(column == sa.bindparam(f"of_{column.name}") for column in keys))
        values = [{f"of_{column.name}": value for column, value in zip(keys, row, strict=True)} for row in rows]
        connection.execute(sa.delete(table).where(is_one), values)
