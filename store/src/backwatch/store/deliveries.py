"""The outbox: events become one delivery per endpoint, deliveries are leased, sent by others, and marked.

At least once, under the same id each time. A lease that ran out means that its holder died or is too late; whoever
marks must still hold the attempt that was given out, so a late answer never undoes a newer one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from backwatch.store import entries, tables
from backwatch.store.text import clean
from backwatch.store.transactions import writing
from backwatch.store.upsert import insert_missing, insert_or_add

PENDING: Final = "pending"
DELIVERED: Final = "delivered"
REJECTED: Final = "rejected"
EXPIRED: Final = "expired"
MUTED: Final = "muted"
NO_SHARD: Final = -1
"""The ``shard`` of counters that belong to no shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event as it was frozen. ``body`` is JSON text."""

    id: str
    kind: str
    alert_id: str
    level_rank: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A delivery that is ours to send until the lease runs out.

    Attributes:
        attempt: 1 for the first; whoever marks must still hold it.
        first_try_ns: When the first attempt was made.
    """

    event_id: str
    endpoint: str
    body: bytes
    attempt: int
    first_try_ns: int


def register(engine: sa.Engine, endpoint: str, since_ns: int) -> None:
    """Makes an endpoint known; what came true before ``since_ns`` is not for one that was not known yet."""
    row = {"name": endpoint, "since_ns": since_ns, "paused_until_ns": 0, "disabled_ns": None, "reason": ""}
    with writing(engine) as connection:
        insert_missing(connection, tables.endpoint, [row])


def route(
    engine: sa.Engine,
    render: Callable[[EventRow], Mapping[str, bytes]],
    *,
    now_ns: int,
    limit: int = 200,
) -> int:
    """Turns new events into deliveries and gives how many events there were.

    Args:
        engine: The store.
        render: For an event, the body for each endpoint that wants it.
        now_ns: Wall time.
        limit: Events per transaction.
    """
    event = tables.event
    with writing(engine) as connection:
        query = (
            sa.select(event)
            .where(event.c.routed_ns.is_(None))
            .order_by(event.c.created_ns, event.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        events = connection.execute(query).mappings().all()
        known = {row["name"]: row for row in connection.execute(sa.select(tables.endpoint)).mappings()}
        rows = [row for one in events for row in _rows(one, render, known, now_ns)]
        insert_missing(connection, tables.delivery, rows)
        _lost(connection, "delivery.disabled", sum(row["state"] == REJECTED for row in rows), now_ns)
        if events:
            statement = sa.update(event).where(event.c.id == sa.bindparam("of_id")).values(routed_ns=now_ns)
            connection.execute(statement, [{"of_id": row["id"]} for row in events])
    return len(events)


def _rows(
    event: Mapping[Any, Any],
    render: Callable[[EventRow], Mapping[str, bytes]],
    known: Mapping[str, Mapping[Any, Any]],
    now_ns: int,
) -> Sequence[Mapping[str, Any]]:
    one = EventRow(id=event["id"], kind=event["kind"], alert_id=event["alert_id"], level_rank=event["level_rank"],
                   body=event["body"])  # fmt: skip
    return [
        {
            "event_id": one.id, "endpoint": name, "body": body, "attempts": 0, "created_ns": now_ns,
            "first_try_ns": None, "next_ns": now_ns, "locked_until_ns": 0,
            **({"state": PENDING, "done_ns": None, "outcome": ""} if known[name]["disabled_ns"] is None
               else {"state": REJECTED, "done_ns": now_ns, "outcome": "the endpoint is disabled"}),
        }
        for name, body in sorted(render(one).items())
        if name in known and known[name]["since_ns"] <= event["created_ns"]
    ]  # fmt: skip


def lease(engine: sa.Engine, endpoint: str, *, now_ns: int, lease_ns: int) -> Leased | None:
    """The next delivery that is due for the endpoint, locked for ``lease_ns``; none while it is paused or disabled.

    What a person has muted in the meantime is not delivered, and is no loss.
    """
    table = tables.delivery
    with writing(engine) as connection:
        where_to = connection.execute(
            sa.select(tables.endpoint).where(tables.endpoint.c.name == endpoint)
        ).one_or_none()
        if where_to is None or where_to.disabled_ns is not None or where_to.paused_until_ns > now_ns:
            return None
        _mute(connection, endpoint, now_ns)
        due = (table.c.endpoint == endpoint) & (table.c.state == PENDING) & (table.c.next_ns <= now_ns)
        query = (
            sa.select(table)
            .where(due, table.c.locked_until_ns <= now_ns)
            .order_by(table.c.next_ns, table.c.event_id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        first_ns = now_ns if row.first_try_ns is None else row.first_try_ns
        connection.execute(
            sa.update(table)
            .where(table.c.event_id == row.event_id, table.c.endpoint == endpoint)
            .values(attempts=row.attempts + 1, first_try_ns=first_ns, locked_until_ns=now_ns + lease_ns)
        )
    return Leased(event_id=row.event_id, endpoint=endpoint, body=bytes(row.body), attempt=row.attempts + 1,
                  first_try_ns=first_ns)  # fmt: skip


def _mute(connection: sa.Connection, endpoint: str, now_ns: int) -> None:
    table, event, alert = tables.delivery, tables.event, tables.alert
    muted = (
        sa.select(event.c.id)
        .join(alert, alert.c.id == event.c.alert_id)
        .where(alert.c.muted_until_ns > now_ns, event.c.id == table.c.event_id)
    )
    due = (table.c.endpoint == endpoint) & (table.c.state == PENDING) & (table.c.next_ns <= now_ns)
    connection.execute(
        sa.update(table)
        .where(due, table.c.locked_until_ns <= now_ns, sa.exists(muted.correlate(table)))
        .values(state=MUTED, done_ns=now_ns, outcome="the alert is muted")
    )


def done(engine: sa.Engine, leased: Leased, state: str, *, outcome: str, now_ns: int) -> None:
    """The delivery has come to its end: delivered, rejected or expired. The last two are losses."""
    with writing(engine) as connection:
        values = {"state": state, "done_ns": now_ns, "locked_until_ns": 0, "outcome": clean(outcome, 500)}
        marked = _mark(connection, leased, values)
        if marked and state != DELIVERED:
            _lost(connection, f"delivery.{state}", 1, now_ns)


def again(engine: sa.Engine, leased: Leased, *, next_ns: int, outcome: str) -> None:
    """The attempt failed; the next one is due at ``next_ns``."""
    with writing(engine) as connection:
        _mark(connection, leased, {"next_ns": next_ns, "locked_until_ns": 0, "outcome": clean(outcome, 500)})


def _mark(connection: sa.Connection, leased: Leased, values: Mapping[str, Any]) -> bool:
    table = tables.delivery
    mine = (table.c.event_id == leased.event_id) & (table.c.endpoint == leased.endpoint)
    still_mine = mine & (table.c.attempts == leased.attempt) & (table.c.state == PENDING)
    return connection.execute(sa.update(table).where(still_mine).values(**values)).rowcount == 1


def pause(engine: sa.Engine, endpoint: str, until_ns: int) -> None:
    """Nothing is sent to the endpoint until then."""
    table = tables.endpoint
    with writing(engine) as connection:
        connection.execute(sa.update(table).where(table.c.name == endpoint).values(paused_until_ns=until_ns))


def disable(engine: sa.Engine, endpoint: str, *, now_ns: int, reason: str) -> None:
    """The receiver is gone for good: what waits for it is given up, and counted as lost."""
    table, delivery = tables.endpoint, tables.delivery
    with writing(engine) as connection:
        row = {"disabled_ns": now_ns, "reason": clean(reason, 500)}
        connection.execute(sa.update(table).where(table.c.name == endpoint).values(row))
        waiting = (delivery.c.endpoint == endpoint) & (delivery.c.state == PENDING)
        given_up = {"state": REJECTED, "done_ns": now_ns, "outcome": "the endpoint is disabled"}
        lost = connection.execute(sa.update(delivery).where(waiting).values(given_up)).rowcount
        _lost(connection, "delivery.disabled", lost, now_ns)


def enable(engine: sa.Engine, endpoint: str) -> None:
    """The endpoint is in use (again)."""
    table = tables.endpoint
    with writing(engine) as connection:
        row = {"disabled_ns": None, "reason": "", "paused_until_ns": 0}
        connection.execute(sa.update(table).where(table.c.name == endpoint).values(row))


def _lost(connection: sa.Connection, kind: str, count: int, now_ns: int) -> None:
    """A loss is a counter and an entry."""
    if count:
        row = {"shard": NO_SHARD, "kind": "loss", "name": kind, "value": count}
        insert_or_add(connection, tables.counter, [row], "value")
        entries.append(connection, "loss", {"kind": kind, "count": count, "time_ns": now_ns}, now_ns, "notify")
