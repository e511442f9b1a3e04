"""An endpoint's budget: how many events an hour are sent one by one; the rest is held, and counted in a digest.

A flood must not become as many messages, and must not keep a critical alert from being sent. So each endpoint has a
number of events an hour in shares: critical alerts, others, and digests of what is beyond. The first critical alert of
each rule and resource in an hour is always sent at once; the engine folds, so that these are few.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from backwatch.collector.runtime.bounds import Bound
from backwatch.store import tables
from backwatch.store.events import BODY_LIMIT, format_moment
from backwatch.store.lifecycle import CLEARED
from backwatch.store.text import LEVELS
from backwatch.store.transactions import reading, writing
from backwatch.store.upsert import insert_missing, insert_or_add

PENDING: Final = "pending"
HELD: Final = "held"
DIGESTED: Final = "digested"
MUTED: Final = "muted"
DIGEST: Final = "alert.digest"
HOUR_NS: Final = 3_600 * 10**9
MAX_DIGESTED: Final = 5_000
"""Events that one digest counts; the next one counts what is left."""
MAX_LINES: Final = 30
"""Rules, and resources, that a digest names; the others are in its count."""
BOUNDS: Final = (
    Bound("events that one digest counts", MAX_DIGESTED, "events", "the next digest counts the rest", "`data.count`"),
    Bound("rules and resources that a digest names", MAX_LINES, "lines", "counted, not named", "`data.count`"),
)
_ALERTS: Final = "alert."
_TEXT: Final = 120
_NO_SHARD: Final = -1
_CRITICAL: Final = LEVELS.index("critical")
_HIGH: Final = LEVELS.index("high")


@dataclass(frozen=True, slots=True)
class EventBudget:
    """Events an hour to one endpoint.

    Attributes:
        per_hour: In all; 0: no limit.
    """

    per_hour: int

    @property
    def critical(self) -> int:
        """Critical alerts, besides the first of each rule and resource."""
        return max(1, self.per_hour // 3)

    @property
    def others(self) -> int:
        """All other events."""
        return max(1, self.per_hour // 2)

    @property
    def below_high(self) -> int:
        """Of the others, those below high."""
        return max(1, self.per_hour // 3)

    @property
    def of_a_resource(self) -> int:
        """Of the others, those of one resource."""
        return max(1, self.per_hour // 4)

    @property
    def between_digests_ns(self) -> int:
        """Time from one digest to the next."""
        return HOUR_NS // max(1, self.per_hour // 6)


UNLIMITED: Final = EventBudget(0)


def admit(
    connection: sa.Connection,
    rows: Sequence[dict[str, Any]],
    events: Sequence[Mapping[Any, Any]],
    budget: EventBudget,
    now_ns: int,
) -> None:
    """Marks those of these new deliveries as held that are beyond their endpoint's budget.

    Args:
        rows: In the order in which they ask for it, the highest level first.
        events: The events that they are of.
    """
    if not budget.per_hour or not rows:
        return
    kinds = {event["id"]: event["kind"] for event in events}
    about = _about(connection, [event["alert_id"] for event in events])
    alert_of = {event["id"]: event["alert_id"] for event in events}
    spent = {name: _Spent(connection, name, budget, now_ns) for name in {row["endpoint"] for row in rows}}
    for row in rows:
        kind = kinds[row["event_id"]]
        if row["state"] != PENDING or not kind.startswith(_ALERTS) or kind == DIGEST:
            continue
        rule, resource = about.get(alert_of[row["event_id"]], ("", ""))
        if not spent[row["endpoint"]].takes(kind, row["level_rank"], rule, resource):
            row |= {"state": HELD, "body": b"", "outcome": "beyond the endpoint's events an hour"}


def _about(connection: sa.Connection, alert_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Rule and resource of each alert."""
    table = tables.alert
    query = sa.select(table.c.id, table.c.rule, table.c.resource_id, table.c.app).where(table.c.id.in_(set(alert_ids)))
    return {row.id: (row.rule, row.resource_id or row.app) for row in connection.execute(query)}


class _Spent:
    """What an endpoint was sent within the last hour."""

    def __init__(self, connection: sa.Connection, endpoint: str, budget: EventBudget, now_ns: int) -> None:
        self._budget = budget
        self._critical = self._others = self._below_high = 0
        self._firsts: set[tuple[str, str]] = set()
        self._resources: Counter[str] = Counter()
        delivery, event, alert = tables.delivery, tables.event, tables.alert
        query = (
            sa.select(event.c.kind, event.c.level_rank, alert.c.rule, alert.c.resource_id, alert.c.app)
            .select_from(delivery.join(event).join(alert, alert.c.id == event.c.alert_id))
            .where(
                delivery.c.endpoint == endpoint,
                delivery.c.created_ns > now_ns - HOUR_NS,
                delivery.c.state.not_in((HELD, DIGESTED, MUTED)),
            )
        )
        for row in connection.execute(query):
            self._add(row.kind, row.level_rank, row.rule, row.resource_id or row.app)

    def takes(self, kind: str, rank: int, rule: str, resource: str) -> bool:
        """Whether one more is within the budget; if so it is spent."""
        if _is_critical(kind, rank):
            within = (rule, resource) not in self._firsts or self._critical < self._budget.critical
        else:
            within = (
                self._others < self._budget.others
                and self._resources[resource] < self._budget.of_a_resource
                and (rank >= _HIGH or self._below_high < self._budget.below_high)
            )
        if within:
            self._add(kind, rank, rule, resource)
        return within

    def _add(self, kind: str, rank: int, rule: str, resource: str) -> None:
        if _is_critical(kind, rank):
            self._critical += 1
            self._firsts.add((rule, resource))
            return
        self._others += 1
        self._resources[resource] += 1
        self._below_high += rank < _HIGH


def _is_critical(kind: str, rank: int) -> bool:
    """Whether it is sent at once: that a critical alert has cleared may wait."""
    return rank >= _CRITICAL and kind != CLEARED


def digest(
    engine: sa.Engine,
    endpoint: str,
    render: Callable[[str, str, int, str], bytes],
    budget: EventBudget,
    now_ns: int,
) -> int:
    """Makes a digest of what is held for the endpoint, if one is due, and gives how many events it counts.

    It is an event and one delivery, made in one transaction with the marks on what it counts: none is counted twice,
    and none is lost. Its id is made of theirs.

    Args:
        render: For an event (id, kind, level's rank, body), the endpoint's body.
    """
    with reading(engine) as connection:  # looks without the writer's lock: mostly there is nothing
        if not _is_due(connection, endpoint, budget, now_ns):
            return 0
    with writing(engine) as connection:
        mine = sa.select(tables.endpoint).where(tables.endpoint.c.name == endpoint).with_for_update(key_share=True)
        known = connection.execute(mine).one_or_none()
        if known is None or known.disabled_ns is not None or not _is_due(connection, endpoint, budget, now_ns):
            return 0
        rows = _list_held(connection, endpoint)
        counted = [row for row in rows if (row.muted_until_ns or 0) <= now_ns]
        muted = [row.id for row in rows if (row.muted_until_ns or 0) > now_ns]
        _end(connection, endpoint, muted, MUTED, "the alert is muted", now_ns)
        if counted:
            _insert_digest(connection, endpoint, render, counted, now_ns)
    return len(counted)


def _is_due(connection: sa.Connection, endpoint: str, budget: EventBudget, now_ns: int) -> bool:
    """What is critical waits for the next digest; what is not, for that long at least, so that more of it is in one."""
    delivery, event = tables.delivery, tables.event
    held = sa.select(sa.func.min(delivery.c.created_ns), sa.func.max(delivery.c.level_rank)).where(
        delivery.c.endpoint == endpoint, delivery.c.state == HELD
    )
    oldest_ns, rank = connection.execute(held).one()
    if oldest_ns is None:
        return False
    between_ns = budget.between_digests_ns if budget.per_hour else 0
    last = (
        sa.select(sa.func.max(delivery.c.created_ns))
        .select_from(delivery.join(event))
        .where(delivery.c.endpoint == endpoint, delivery.c.created_ns > now_ns - between_ns, event.c.kind == DIGEST)
    )
    if connection.scalar(last) is not None:
        return False
    return rank >= _CRITICAL or now_ns - oldest_ns >= between_ns


def _list_held(connection: sa.Connection, endpoint: str) -> Sequence[Any]:
    delivery, event, alert = tables.delivery, tables.event, tables.alert
    query = (
        sa.select(
            event.c.id, event.c.kind, event.c.level_rank, event.c.alert_id, event.c.created_ns, alert.c.rule,
            alert.c.level, alert.c.app, alert.c.resource, alert.c.muted_until_ns,
        )
        .select_from(delivery.join(event).outerjoin(alert, alert.c.id == event.c.alert_id))
        .where(delivery.c.endpoint == endpoint, delivery.c.state == HELD)
        .order_by(event.c.level_rank.desc(), event.c.created_ns, event.c.id)
        .limit(MAX_DIGESTED)
    )  # fmt: skip
    return connection.execute(query).all()


def _insert_digest(
    connection: sa.Connection,
    endpoint: str,
    render: Callable[[str, str, int, str], bytes],
    rows: Sequence[Any],
    now_ns: int,
) -> None:
    ids = sorted(row.id for row in rows)
    digest_id = hashlib.sha256("\x1e".join(("digest", endpoint, *ids)).encode()).hexdigest()[:32]
    rank = max(row.level_rank for row in rows)
    body = digest_body(rows, now_ns)
    event = {
        "id": digest_id, "alert_id": "", "episode": 0, "kind": DIGEST, "level_rank": rank, "body": body,
        "created_ns": now_ns, "routed_ns": now_ns,
    }  # fmt: skip
    delivery = {
        "event_id": digest_id, "endpoint": endpoint, "body": render(digest_id, DIGEST, rank, body), "attempts": 0,
        "created_ns": now_ns, "first_try_ns": None, "next_ns": now_ns, "locked_until_ns": 0, "level_rank": rank,
        "state": PENDING, "done_ns": None, "outcome": "",
    }  # fmt: skip
    insert_missing(connection, tables.event, [event])
    insert_missing(connection, tables.delivery, [delivery])
    _end(connection, endpoint, ids, DIGESTED, f"counted in {digest_id}", now_ns)
    counter = {"shard": _NO_SHARD, "kind": "counter", "name": "delivery.digested", "value": len(ids)}
    insert_or_add(connection, tables.counter, [counter], "value")


def _end(connection: sa.Connection, endpoint: str, ids: Sequence[str], state: str, outcome: str, now_ns: int) -> None:
    table = tables.delivery
    for start in range(0, len(ids), 500):
        these = (table.c.endpoint == endpoint) & table.c.event_id.in_(ids[start : start + 500])
        values = {"state": state, "done_ns": now_ns, "outcome": outcome}
        connection.execute(sa.update(table).where(these, table.c.state == HELD).values(values))


def digest_body(rows: Sequence[Any], now_ns: int) -> str:
    """The frozen body: counts by rule, level and type, and by resource, the most serious first; at most 20 kB."""
    by_rule = Counter((row.level_rank, row.rule or "", row.kind) for row in rows)
    by_resource = Counter((row.level_rank, row.app or "", row.resource or "") for row in rows)
    rules = sorted(by_rule.items(), key=lambda counted: (-counted[0][0], -counted[1], counted[0]))[:MAX_LINES]
    resources = sorted(by_resource.items(), key=lambda counted: (-counted[0][0], -counted[1], counted[0]))[:MAX_LINES]
    named = ", ".join(f"{count} of {rule} ({LEVELS[rank]})" for (rank, rule, _), count in rules[:3])
    data: dict[str, Any] = {
        "count": len(rows), "level": LEVELS[max(row.level_rank for row in rows)],
        "title": f"{len(rows)} more alert events: {named}" + (", …" if len(rules) > 3 else ""),
        "first_seen": format_moment(min(row.created_ns for row in rows)),
        "last_seen": format_moment(max(row.created_ns for row in rows)),
        "rules": [{"rule": rule[:_TEXT], "level": LEVELS[rank], "type": kind, "count": count}
                  for (rank, rule, kind), count in rules],
        "resources": [{"app": app[:_TEXT], "resource": resource[:_TEXT], "level": LEVELS[rank], "count": count}
                      for (rank, app, resource), count in resources],
    }  # fmt: skip
    payload: dict[str, Any] = {"type": DIGEST, "timestamp": format_moment(now_ns), "data": data}
    for instead in ({}, {"resources": []}, {"rules": []}, {"title": f"{len(rows)} more alert events"}):
        data |= instead
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
        if len(text) <= BODY_LIMIT:
            break
    return text
