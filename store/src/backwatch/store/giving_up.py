"""Deliveries that are given up without another attempt: none would make it, or their receiver puts all of them off."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.budget import HELD, PENDING
from backwatch.store.deliveries import CRITICAL, DELIVERED, EXPIRED, Leased, record_loss
from backwatch.store.text import clean
from backwatch.store.transactions import in_bites, reading, writing

_AT_ONCE: Final = 5_000


def give_up_unserved(engine: sa.Engine, *, now_ns: int, after_ns: int) -> None:
    """Gives up what waits for an endpoint that no notifier has served for so long.

    Otherwise they would be neither delivered nor counted as lost, and their events would be kept for ever.
    """
    table, endpoint = tables.delivery, tables.endpoint
    long_ago_ns = now_ns - after_ns
    unserved = sa.select(endpoint.c.name).where(endpoint.c.served_ns <= long_ago_ns)
    waits = table.c.state.in_((PENDING, HELD))
    waiting = waits & (table.c.created_ns <= long_ago_ns) & (table.c.locked_until_ns <= now_ns)
    row = {"state": EXPIRED, "done_ns": now_ns, "outcome": "no notifier serves the endpoint"}
    with reading(engine) as connection:
        has_some = sa.exists().where(table.c.endpoint == endpoint.c.name, waiting)
        names = connection.scalars(unserved.where(has_some)).all()
    for name in names:
        _in_bites(engine, (table.c.endpoint == name) & waiting, table.c.endpoint.in_(unserved), row)


def give_up_put_off(
    engine: sa.Engine, asked: Leased, *, critical: bool, give_up_ns: int, outcome: str, now_ns: int
) -> bool:
    """Give up what a receiver has put off for the whole time of a delivery; return whether there was any.

    It has taken nothing in the lane since that delivery was first tried, and still asks for a pause. All that has
    waited as long goes with it: each would otherwise have a first attempt and a whole time of its own after the others.

    Args:
        engine: The store.
        asked: The delivery on which the receiver asks for a pause now.
        critical: Whether it is the lane of critical deliveries, or that of all others.
        give_up_ns: How long after its first attempt a delivery is given up.
        outcome: What the receiver answered.
        now_ns: Wall time.
    """
    table = tables.delivery
    lane = table.c.level_rank == CRITICAL if critical else table.c.level_rank < CRITICAL
    mine = (table.c.endpoint == asked.endpoint) & lane
    pending = mine & (table.c.state == PENDING)
    with reading(engine) as connection:
        over = pending & (table.c.first_try_ns <= now_ns - give_up_ns)
        latest_ns: int = connection.scalar(sa.select(sa.func.max(table.c.first_try_ns)).where(over)) or 0
        if asked.first_try_ns <= now_ns - give_up_ns:  # it is marked already
            latest_ns = max(latest_ns, asked.first_try_ns)
        taken = mine & (table.c.state == DELIVERED) & (table.c.done_ns >= latest_ns)
        if not latest_ns or connection.scalar(sa.select(sa.exists().where(taken))):
            return False
    waiting = pending & (table.c.created_ns <= latest_ns) & (table.c.locked_until_ns <= now_ns)
    _in_bites(engine, waiting, sa.true(), {"state": EXPIRED, "done_ns": now_ns, "outcome": clean(outcome, 500)})
    return True


def _in_bites(
    engine: sa.Engine, waiting: "sa.ColumnElement[bool]", still: "sa.ColumnElement[bool]", row: Mapping[str, Any]
) -> None:
    table = tables.delivery
    some = sa.select(table.c.endpoint, table.c.event_id).where(waiting).limit(_AT_ONCE)
    these = sa.tuple_(table.c.endpoint, table.c.event_id).in_(some) & still
    in_bites(partial(_give_up, engine, these, row))


def _give_up(engine: sa.Engine, these: "sa.ColumnElement[bool]", row: Mapping[str, Any]) -> int:
    with writing(engine) as connection:
        count = connection.execute(sa.update(tables.delivery).where(these).values(row)).rowcount
        record_loss(connection, f"delivery.{row['state']}", count, row["done_ns"])
    return count
