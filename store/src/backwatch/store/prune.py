"""Retention: what is old enough goes, in small bites, so that nobody waits long for the writer's lock."""

from typing import Any

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.transactions import in_bites, writing

DAY_NS = 86_400_000_000_000
ROLLUPS_NS = 90 * DAY_NS
EVENTS_NS = 30 * DAY_NS
QUARANTINE_NS = 30 * DAY_NS
ALERTS_NS = 400 * DAY_NS
_BITE = 5_000


def prune(engine: sa.Engine, now_ns: int) -> dict[str, int]:
    """Removes rollups, delivered events, quarantined records and cleared alerts that are past their time.

    Entries and decisions stay for ever; so does every alert that is raised, and whatever is yet to be delivered.

    Returns:
        Rows removed, by table; of occurrences and episodes go with their alert.
    """
    event, delivery, alert = tables.event, tables.delivery, tables.alert
    undelivered = sa.exists().where(delivery.c.event_id == event.c.id, delivery.c.state.in_(("pending", "held")))
    old: list[tuple[sa.Table, sa.ColumnElement[bool]]] = [
        (tables.rollup, tables.rollup.c.end_ns < now_ns - ROLLUPS_NS),
        (event, (event.c.created_ns < now_ns - EVENTS_NS) & ~undelivered),
        (tables.quarantine, tables.quarantine.c.kept_ns < now_ns - QUARANTINE_NS),
        (alert, ~alert.c.raised & (alert.c.last_ns < now_ns - ALERTS_NS) & (alert.c.muted_until_ns <= now_ns)),
    ]
    return {table.name: in_bites(lambda t=table, c=condition: _remove(engine, t, c)) for table, condition in old}


def _remove(engine: sa.Engine, table: sa.Table, condition: "sa.ColumnElement[bool]") -> int:
    keys = [*table.primary_key.columns]
    with writing(engine) as connection:
        rows: list[Any] = list(connection.execute(sa.select(*keys).where(condition).limit(_BITE)))
        if rows:
            is_one = sa.and_(*(column == sa.bindparam(f"of_{column.name}") for column in keys))
            values = [{f"of_{column.name}": value for column, value in zip(keys, row, strict=True)} for row in rows]
            connection.execute(sa.delete(table).where(is_one), values)
    return len(rows)
