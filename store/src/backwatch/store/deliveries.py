"""The outbox: events become one delivery per endpoint, deliveries are leased, sent by others, and marked.

At least once, under the same id each time. An expired lease means that its holder died or is too late; a worker that
marks must still hold the attempt that was given out, so a late answer never undoes a newer one.

An event is routed once, by a notifier that may not know of every endpoint: of another one, or of one that was added or
corrected later. So each endpoint keeps up for itself with what was routed without it (:func:`keep_up`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from backwatch.store import entries, tables
from backwatch.store.budget import DIGEST, DIGESTED, HELD, PENDING, UNLIMITED, EventBudget, admit
from backwatch.store.events import filter_wanted
from backwatch.store.text import LEVELS, clean
from backwatch.store.transactions import reading, writing
from backwatch.store.upsert import insert_missing, insert_or_add

__all__ = ["DIGESTED", "HELD", "PENDING"]

CRITICAL: Final = LEVELS.index("critical")
DELIVERED: Final = "delivered"
REJECTED: Final = "rejected"
EXPIRED: Final = "expired"
MUTED: Final = "muted"
NO_SHARD: Final = -1
"""The ``shard`` of counters that belong to no shard."""
LOOK_BACK_NS: Final = 120_000_000_000
"""How late a routing may be seen after its own time: machines' clocks differ, and a writer waits for its turn."""
_BITE: Final = 200
_MUTED_AT_ONCE: Final = 500
_IS_DISABLED: Final = "the endpoint is disabled"
_UNRENDERABLE: Final = "the event could not be rendered"
_REGISTERED: Final = "endpoint.registered:"
"""Begins the names of meta rows that have the time as a decimal number."""


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
    """A delivery that its holder may send until the lease expires.

    Attributes:
        attempt: 1 for the first; only its holder may mark the outcome.
        first_try_ns: When the first attempt was made.
    """

    event_id: str
    endpoint: str
    body: bytes
    attempt: int
    first_try_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an endpoint stands.

    Attributes:
        disabled: Why it is; ``None``: it is not.
        waiting: Deliveries that are not done.
        due: Those of them that should have been made by now.
    """

    disabled: str | None
    paused_until_ns: int
    waiting: int
    due: int


def register(engine: sa.Engine, endpoint: str, since_ns: int, *, now_ns: int = 0) -> None:
    """Makes an endpoint known; what came true before ``since_ns`` is not for one that was not known yet.

    When that was is kept beside it: by this a changed URL is known from a second endpoint (:func:`registered`).
    """
    table = tables.endpoint
    row = {
        "name": endpoint, "since_ns": since_ns, "served_ns": 0, "paused_until_ns": 0, "disabled_ns": None, "reason": "",
    }  # fmt: skip
    with writing(engine) as connection:
        is_new = connection.scalar(sa.select(table.c.name).where(table.c.name == endpoint)) is None
        insert_missing(connection, table, [row])
        if is_new:
            when = {"name": _REGISTERED + endpoint, "value": str(now_ns).encode()}
            insert_missing(connection, tables.meta, [when])


def get_registration_times(connection: sa.Connection) -> dict[str, int]:
    """When each endpoint was registered, by wall time; one of a former version is missing."""
    table = tables.meta
    query = sa.select(table.c.name, table.c.value).where(table.c.name.startswith(_REGISTERED, autoescape=True))
    return {row.name.removeprefix(_REGISTERED): int(row.value) for row in connection.execute(query)}


def keep_up(
    engine: sa.Engine,
    endpoint: str,
    render: Callable[[EventRow], bytes | None],
    *,
    lowest: int,
    not_before_ns: int,
    now_ns: int,
    budget: EventBudget = UNLIMITED,
) -> None:
    """Mark the endpoint as served, after creating deliveries for events that were routed without it.

    For a new endpoint, and for one that was not served for a while, these are all events since ``not_before_ns``.
    :func:`route` handles events that are not routed yet.

    Args:
        engine: The store.
        endpoint: A registered one.
        render: For an event, the endpoint's body; ``None``: it has none, and the event is set aside.
        lowest: Rank of the lowest level that the endpoint receives.
        not_before_ns: Older events are past the time in which they would have been tried.
        now_ns: Wall time.
        budget: What the endpoint is sent one by one; the rest is held for a digest.
    """
    table, event, delivery = tables.endpoint, tables.event, tables.delivery
    with reading(engine) as connection:
        known = connection.execute(sa.select(table).where(table.c.name == endpoint)).one_or_none()
    if known is None:
        return
    since_ns = max(known.since_ns, not_before_ns)
    routed_ns = max(known.served_ns, since_ns) - LOOK_BACK_NS
    has_one = sa.exists().where(delivery.c.event_id == event.c.id, delivery.c.endpoint == endpoint)
    is_wanted = filter_wanted(lowest) & (event.c.kind != DIGEST)  # a digest is one endpoint's
    missed = (event.c.created_ns >= since_ns) & is_wanted & ~has_one
    while True:
        query = sa.select(event.c.id, event.c.routed_ns).where(event.c.routed_ns >= routed_ns, missed)
        with reading(engine) as connection:  # looks without the writer's lock: mostly there is nothing
            found = connection.execute(query.order_by(event.c.routed_ns).limit(_BITE)).all()
        with writing(engine) as connection:
            if found:
                # This row is locked: of two notifiers one finds nothing left to do, and neither misses a disabling.
                mine = sa.select(table).where(table.c.name == endpoint).with_for_update(key_share=True)
                into = {endpoint: connection.execute(mine).mappings().one()}
                still = sa.select(event).where(event.c.id.in_([row.id for row in found]), missed)
                by_level = still.order_by(event.c.level_rank.desc(), event.c.created_ns, event.c.id)
                events = connection.execute(by_level).mappings().all()
                _insert(connection, events, lambda event: {endpoint: render(event)}, into, now_ns, budget)
            if len(found) < _BITE:
                connection.execute(sa.update(table).where(table.c.name == endpoint).values(served_ns=now_ns))
                return
        routed_ns = found[-1].routed_ns


def route(
    engine: sa.Engine,
    render: Callable[[EventRow], Mapping[str, bytes | None]],
    *,
    now_ns: int,
    limit: int = 200,
    budget: EventBudget = UNLIMITED,
) -> int:
    """Turns new events into deliveries, the highest level first, and gives how many events there were.

    Args:
        engine: The store.
        render: For an event, the body for each endpoint that wants it; ``None``: it has none, and is set aside.
        now_ns: Wall time.
        limit: Events per transaction.
        budget: What an endpoint is sent one by one; the rest is held for a digest.
    """
    event = tables.event
    with writing(engine) as connection:
        query = (
            sa.select(event)
            .where(event.c.routed_ns.is_(None))
            .order_by(event.c.level_rank.desc(), event.c.created_ns, event.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        events = connection.execute(query).mappings().all()
        # Locked: a transaction that disables one of them waits for these deliveries and gives them up with the others;
        # and no notifier spends the share of an endpoint's budget that another one has spent.
        endpoints = sa.select(tables.endpoint).order_by(tables.endpoint.c.name).with_for_update(key_share=True)
        known = {row["name"]: row for row in connection.execute(endpoints).mappings()} if events else {}
        _insert(connection, events, render, known, now_ns, budget)
        if events:
            statement = sa.update(event).where(event.c.id == sa.bindparam("of_id")).values(routed_ns=now_ns)
            connection.execute(statement, [{"of_id": row["id"]} for row in events])
    return len(events)


def _insert(
    connection: sa.Connection,
    events: Sequence[Mapping[Any, Any]],
    render: Callable[[EventRow], Mapping[str, bytes | None]],
    known: Mapping[str, Mapping[Any, Any]],
    now_ns: int,
    budget: EventBudget,
) -> None:
    rows = [row for event in events for row in _rows(event, render, known, now_ns)]
    admit(connection, rows, events, budget, now_ns)
    insert_missing(connection, tables.delivery, rows)
    record_loss(connection, "delivery.disabled", sum(row["outcome"] == _IS_DISABLED for row in rows), now_ns)
    record_loss(connection, "delivery.unrenderable", sum(row["outcome"] == _UNRENDERABLE for row in rows), now_ns)


def _rows(
    event: Mapping[Any, Any],
    render: Callable[[EventRow], Mapping[str, bytes | None]],
    known: Mapping[str, Mapping[Any, Any]],
    now_ns: int,
) -> Sequence[dict[str, Any]]:
    event_row = EventRow(id=event["id"], kind=event["kind"], alert_id=event["alert_id"], level_rank=event["level_rank"],
                   body=event["body"])  # fmt: skip
    return [
        {
            "event_id": event_row.id, "endpoint": name, "body": body or b"", "attempts": 0, "created_ns": now_ns,
            "first_try_ns": None, "next_ns": now_ns, "locked_until_ns": 0, "level_rank": event_row.level_rank,
            **({"state": REJECTED, "done_ns": now_ns, "outcome": _IS_DISABLED} if known[name]["disabled_ns"] is not None
               else {"state": REJECTED, "done_ns": now_ns, "outcome": _UNRENDERABLE} if body is None
               else {"state": PENDING, "done_ns": None, "outcome": ""}),
        }
        for name, body in sorted(render(event_row).items())
        if name in known and known[name]["since_ns"] <= event["created_ns"]
    ]  # fmt: skip


def lease(
    engine: sa.Engine, endpoint: str, *, now_ns: int, lease_ns: int, critical: bool | None = None
) -> Leased | None:
    """The next delivery that is due for the endpoint, locked for ``lease_ns``; none while it is paused or disabled.

    The highest level comes first. What a person has muted in the meantime is not delivered, and is no loss: it is
    marked when its turn comes, so that a lease costs the same however many wait.

    Args:
        critical: Of critical deliveries alone, which have a pause of their own; false: of all others; ``None``: of all.
    """
    while True:
        with writing(engine) as connection:
            where_to = connection.execute(
                sa.select(tables.endpoint).where(tables.endpoint.c.name == endpoint)
            ).one_or_none()
            if where_to is None or where_to.disabled_ns is not None:
                return None
            if (where_to.critical_paused_until_ns if critical else where_to.paused_until_ns) > now_ns:
                return None
            row = _next(connection, endpoint, now_ns, critical)
            if row is None:
                return None
            if not _find_muted(connection, [row.event_id], now_ns):
                return _lease(connection, row, now_ns, lease_ns)
            _mark_muted(connection, row, now_ns)


def _due(endpoint: str, rank: int, now_ns: int) -> "sa.ColumnElement[bool]":
    table = tables.delivery
    mine = (table.c.endpoint == endpoint) & (table.c.state == PENDING) & (table.c.level_rank == rank)
    return mine & (table.c.next_ns <= now_ns) & (table.c.locked_until_ns <= now_ns)


def _next(connection: sa.Connection, endpoint: str, now_ns: int, critical: bool | None) -> "sa.Row[Any] | None":
    """The next one that is due, of the highest level: one look into the index for each, however many wait."""
    ranks = range(CRITICAL, -1, -1) if critical is None else (CRITICAL,) if critical else range(CRITICAL - 1, -1, -1)
    table = tables.delivery
    for rank in ranks:
        query = sa.select(table).where(_due(endpoint, rank, now_ns)).order_by(table.c.next_ns).limit(1)
        row = connection.execute(query.with_for_update(skip_locked=True)).one_or_none()
        if row is not None:
            return row
    return None


def _lease(connection: sa.Connection, row: "sa.Row[Any]", now_ns: int, lease_ns: int) -> Leased:
    table = tables.delivery
    first_ns = now_ns if row.first_try_ns is None else row.first_try_ns
    connection.execute(
        sa.update(table)
        .where(table.c.event_id == row.event_id, table.c.endpoint == row.endpoint)
        .values(attempts=row.attempts + 1, first_try_ns=first_ns, locked_until_ns=now_ns + lease_ns)
    )
    return Leased(event_id=row.event_id, endpoint=row.endpoint, body=bytes(row.body), attempt=row.attempts + 1,
                  first_try_ns=first_ns)  # fmt: skip


def _mark_muted(connection: sa.Connection, row: "sa.Row[Any]", now_ns: int) -> None:
    """Others will be muted as well where one is: a bounded number at a time, so that no writer waits for long."""
    table = tables.delivery
    due = _due(row.endpoint, row.level_rank, now_ns)
    ahead = sa.select(table.c.event_id).where(due).order_by(table.c.next_ns).limit(_MUTED_AT_ONCE)
    ids = connection.scalars(ahead.with_for_update(skip_locked=True)).all()
    marked = {"state": MUTED, "done_ns": now_ns, "outcome": "the alert is muted"}
    these = table.c.event_id.in_(_find_muted(connection, [row.event_id, *ids], now_ns))
    connection.execute(sa.update(table).where(table.c.endpoint == row.endpoint, these).values(marked))


def _find_muted(connection: sa.Connection, event_ids: Sequence[str], now_ns: int) -> list[str]:
    event, alert = tables.event, tables.alert
    query = sa.select(event.c.id).join(alert, alert.c.id == event.c.alert_id)
    muted = query.where(event.c.id.in_(event_ids), alert.c.muted_until_ns > now_ns)
    return [*connection.scalars(muted)]


def done(engine: sa.Engine, leased: Leased, state: str, *, outcome: str, now_ns: int) -> None:
    """The delivery has come to its end: delivered, rejected or expired. The last two are losses."""
    with writing(engine) as connection:
        values = {"state": state, "done_ns": now_ns, "locked_until_ns": 0, "outcome": clean(outcome, 500)}
        marked = _mark(connection, leased, values)
        if marked and state != DELIVERED:
            record_loss(connection, f"delivery.{state}", 1, now_ns)


def retry_later(engine: sa.Engine, leased: Leased, *, next_ns: int, outcome: str) -> None:
    """Note a failed attempt; the next one is due at ``next_ns``."""
    with writing(engine) as connection:
        _mark(connection, leased, {"next_ns": next_ns, "locked_until_ns": 0, "outcome": clean(outcome, 500)})


def _mark(connection: sa.Connection, leased: Leased, values: Mapping[str, Any]) -> bool:
    table = tables.delivery
    mine = (table.c.event_id == leased.event_id) & (table.c.endpoint == leased.endpoint)
    still_mine = mine & (table.c.attempts == leased.attempt) & (table.c.state == PENDING)
    return connection.execute(sa.update(table).where(still_mine).values(**values)).rowcount == 1


def pause(engine: sa.Engine, endpoint: str, until_ns: int, *, critical: bool = False) -> None:
    """Send nothing to the endpoint until then, or no critical delivery; a longer pause that was set before stays."""
    table = tables.endpoint
    column = table.c.critical_paused_until_ns if critical else table.c.paused_until_ns
    with writing(engine) as connection:
        shorter = (table.c.name == endpoint) & (column < until_ns)
        connection.execute(sa.update(table).where(shorter).values({column.name: until_ns}))


def disable(engine: sa.Engine, leased: Leased, *, now_ns: int, reason: str) -> None:
    """The receiver is gone for good: what waits for it is given up, and counted as lost.

    An answer that comes after its lease ran out disables nothing: a different worker holds the attempt by then.
    """
    table, delivery = tables.endpoint, tables.delivery
    with writing(engine) as connection:
        given_up = {"state": REJECTED, "done_ns": now_ns, "locked_until_ns": 0, "outcome": _IS_DISABLED}
        mine = sa.select(table.c.name).where(table.c.name == leased.endpoint).with_for_update(key_share=True)
        connection.execute(mine).one_or_none()  # first of all, as in every transaction that takes both
        if not _mark(connection, leased, given_up):
            return
        row = {"disabled_ns": now_ns, "reason": clean(reason, 500)}
        connection.execute(sa.update(table).where(table.c.name == leased.endpoint).values(row))
        waiting = (delivery.c.endpoint == leased.endpoint) & delivery.c.state.in_((PENDING, HELD))
        lost = connection.execute(sa.update(delivery).where(waiting).values(given_up)).rowcount
        record_loss(connection, "delivery.disabled", 1 + lost, now_ns)


def enable(engine: sa.Engine, endpoint: str) -> None:
    """The endpoint is in use (again)."""
    table = tables.endpoint
    with writing(engine) as connection:
        row = {"disabled_ns": None, "reason": "", "paused_until_ns": 0, "critical_paused_until_ns": 0}
        connection.execute(sa.update(table).where(table.c.name == endpoint).values(row))


def get_standing(connection: sa.Connection, endpoint: str, *, now_ns: int) -> Standing:
    """How the endpoint stands at that time."""
    table = tables.delivery
    known = connection.execute(sa.select(tables.endpoint).where(tables.endpoint.c.name == endpoint)).one_or_none()
    due = sa.func.coalesce(sa.func.sum(sa.case((table.c.next_ns <= now_ns, 1), else_=0)), 0)
    count = sa.select(sa.func.count(), due).where(table.c.endpoint == endpoint, table.c.state == PENDING)
    waiting, due_now = connection.execute(count).one()
    return Standing(
        disabled=known.reason if known is not None and known.disabled_ns is not None else None,
        paused_until_ns=known.paused_until_ns if known is not None else 0, waiting=waiting, due=int(due_now),
    )  # fmt: skip


def record_loss(connection: sa.Connection, kind: str, count: int, now_ns: int) -> None:
    """Record a loss, as a counter and an entry."""
    if count:
        row = {"shard": NO_SHARD, "kind": "loss", "name": kind, "value": count}
        insert_or_add(connection, tables.counter, [row], "value")
        entries.append(connection, "loss", {"kind": kind, "count": count, "time_ns": now_ns}, now_ns, "notify")
