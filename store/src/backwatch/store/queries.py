"""Reads about alerts. An alert's state is derived here, in one place, for filters and for show alike."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from backwatch.store import acceptances, tables
from backwatch.store.health import health, shard_rows
from backwatch.store.inventory import get_resource, list_resources, rollup_series, systems
from backwatch.store.processes import list_processes
from backwatch.store.rules_meta import find_escalation, rule_meta
from backwatch.store.state import state_at
from backwatch.store.text import LEVELS, clean, from_json
from backwatch.store.views import (
    STATES,
    AlertDetail,
    AlertFilter,
    AlertPage,
    AlertRow,
    DecisionRow,
    DeliveryRow,
    EpisodeRow,
    OccurrenceRow,
)

__all__ = (
    "STATES", "AlertDetail", "AlertFilter", "AlertPage", "AlertRow", "apps", "get_alert", "get_resource", "health",
    "histogram", "list_alerts", "list_processes", "list_resources", "open_by_rule", "overview", "rollup_series",
    "shard_rows", "systems",
)  # fmt: skip

PAGE_LIMIT: Final = 500
HOUR_NS: Final = 3_600_000_000_000
_ALERT_COLUMNS: Final = (
    "id", "rule", "level", "resource_id", "app", "resource", "key", "episode", "count", "first_ns", "last_ns",
    "opened_ns", "cleared_ns", "muted_until_ns",
)  # fmt: skip


def list_alerts(
    connection: sa.Connection,
    filters: AlertFilter | None = None,
    *,
    limit: int = 100,
    cursor: str | None = None,
    now_ns: int | None = None,
) -> AlertPage:
    """A page of alerts, last seen first.

    Args:
        connection: The store.
        filters: Which ones; absent: all.
        limit: Rows per page, 500 at most.
        cursor: Where the page begins, from the page before.
        now_ns: Wall time, which decides whether a mute still holds.

    Raises:
        ValueError: The cursor is invalid.
    """
    limit = max(1, min(limit, PAGE_LIMIT))
    table = tables.alert
    query = _alerts(now_ns).where(*_conditions(filters or AlertFilter(), now_ns))
    if cursor is not None:
        last_ns, last_id = _read_cursor(cursor)
        query = query.where(sa.or_(table.c.last_ns < last_ns, (table.c.last_ns == last_ns) & (table.c.id > last_id)))
    query = query.order_by(table.c.last_ns.desc(), table.c.id).limit(limit + 1)
    rows = [_alert_row(row) for row in connection.execute(query).mappings()]
    more = len(rows) > limit
    rows = rows[:limit]
    return AlertPage(rows=rows, cursor=f"{rows[-1].last_ns}.{rows[-1].id}" if more else None)


def get_alert(connection: sa.Connection, alert_id: str, *, now_ns: int | None = None) -> AlertDetail | None:
    """One alert with its occurrences, episodes, decisions and deliveries."""
    alert_id = clean(alert_id, 64)
    found = connection.execute(_alerts(now_ns).where(tables.alert.c.id == alert_id)).mappings().one_or_none()
    if found is None:
        return None
    rule = (
        connection.execute(sa.select(tables.rule).where(tables.rule.c.name == found["rule"])).mappings().one_or_none()
    )
    alert, meta = _alert_row(found), rule_meta(rule) if rule is not None else None
    accepts = meta.accepts if meta is not None else ()
    raised_above = meta is not None and meta.level != alert.level
    escalated_by = find_escalation(connection, alert.rule, alert.level) if raised_above else None
    return AlertDetail(
        alert=alert,
        accepted=acceptances.holds(connection, alert_id, accepts, alert.evidence, _now(now_ns)),
        rule=meta,
        escalated_by=escalated_by,
        occurrences=_occurrences(connection, alert_id),
        episodes=_episodes(connection, alert_id),
        decisions=_decisions(connection, alert_id),
        deliveries=_deliveries(connection, alert_id),
    )


def overview(connection: sa.Connection, *, now_ns: int | None = None) -> dict[str, dict[str, int]]:
    """How many alerts there are, by state and level; every state and level is there, if only with 0."""
    state, level = state_at(_now(now_ns)).label("state"), tables.alert.c.level
    rows = connection.execute(sa.select(state, level, sa.func.count().label("many")).group_by("state", level))
    counts = {name: dict.fromkeys(LEVELS, 0) for name in STATES}
    for row in rows:
        counts[row.state][row.level] = row.many
    return counts


def histogram(
    connection: sa.Connection, since_ns: int, until_ns: int, bucket_ns: int = HOUR_NS
) -> list[tuple[int, str, int]]:
    """Openings of alerts as (start of the bucket, level, how many), for ``since_ns <= opened < until_ns``."""
    table = tables.episode
    width = sa.literal_column(str(int(bucket_ns)), sa.BigInteger)
    bucket = (table.c.opened_ns - table.c.opened_ns % width).label("bucket")
    query = (
        sa.select(bucket, tables.alert.c.level, sa.func.count().label("many"))
        .join(tables.alert, tables.alert.c.id == table.c.alert_id)
        .where(table.c.opened_ns >= since_ns, table.c.opened_ns < until_ns)
        .where(tables.alert.c.level >= "")  # else SQLite does not take the index that holds levels
        .group_by("bucket", tables.alert.c.level)
        .order_by("bucket", tables.alert.c.level)
    )
    return [(row.bucket, row.level, row.many) for row in connection.execute(query)]


def open_by_rule(connection: sa.Connection, *, now_ns: int | None = None) -> dict[str, int]:
    """How many open alerts each rule has that has any."""
    rule, many = tables.alert.c.rule, sa.func.count().label("many")
    query = sa.select(rule, many).where(state_at(_now(now_ns)) == "open").group_by(rule)
    return {row.rule: row.many for row in connection.execute(query)}


def apps(connection: sa.Connection) -> list[str]:
    """Every app that has a resource or an alert, by name."""
    query = sa.union(sa.select(tables.resource.c.app), sa.select(tables.alert.c.app))
    return sorted(name for name in connection.scalars(query) if name)


def _now(now_ns: int | None) -> int:
    return time.time_ns() if now_ns is None else now_ns


def _alerts(now_ns: int | None) -> "sa.Select[Any]":
    table, rule = tables.alert, tables.rule
    state, title = state_at(_now(now_ns)).label("state"), sa.func.coalesce(rule.c.title, table.c.rule).label("title")
    columns = (table.c[name] for name in (*_ALERT_COLUMNS, "evidence"))
    return sa.select(*columns, state, title).select_from(table.outerjoin(rule, rule.c.name == table.c.rule))


def _conditions(filters: AlertFilter, now_ns: int | None) -> "list[sa.ColumnElement[bool]]":
    table = tables.alert
    conditions: list[sa.ColumnElement[bool]] = []
    if filters.states:
        conditions.append(state_at(_now(now_ns)).in_([clean(state, 40) for state in filters.states]))
    for column, words in ((table.c.level, filters.levels), (table.c.rule, filters.rules), (table.c.app, filters.apps)):
        if words:
            conditions.append(column.in_([clean(word) for word in words]))
    if filters.resource_id:
        conditions.append(table.c.resource_id == clean(filters.resource_id, 64))
    if filters.text:
        text = clean(filters.text, 200)
        searched = (table.c.rule, table.c.app, table.c.resource, table.c.key)
        conditions.append(sa.or_(*(column.icontains(text, autoescape=True) for column in searched)))
    return conditions


def _read_cursor(cursor: str) -> tuple[int, str]:
    last_ns, _, last_id = cursor.partition(".")
    if not (last_ns.lstrip("-").isdecimal() and len(last_ns) <= 20 and last_id.isalnum() and len(last_id) <= 64):
        raise ValueError(f"not a cursor: {cursor[:100]!r}")
    return max(-(2**63), min(int(last_ns), tables.FOREVER)), last_id


def _alert_row(row: Mapping[Any, Any]) -> AlertRow:
    return AlertRow(
        **{name: row[name] for name in _ALERT_COLUMNS},
        state=row["state"], title=row["title"], evidence=from_json(row["evidence"]),
    )  # fmt: skip


def _occurrences(connection: sa.Connection, alert_id: str) -> list[OccurrenceRow]:
    table = tables.occurrence
    rows = connection.execute(sa.select(table).where(table.c.alert_id == alert_id).order_by(table.c.number.desc()))
    return [
        OccurrenceRow(number=row.number, episode=row.episode, time_ns=row.time_ns, trace_id=row.trace_id,
                      span_id=row.span_id, evidence=from_json(row.evidence))
        for row in rows
    ]  # fmt: skip


def _episodes(connection: sa.Connection, alert_id: str) -> list[EpisodeRow]:
    table = tables.episode
    query = sa.select(table).where(table.c.alert_id == alert_id).order_by(table.c.number.desc()).limit(PAGE_LIMIT)
    return [
        EpisodeRow(number=row.number, opened_ns=row.opened_ns, cleared_ns=row.cleared_ns)
        for row in connection.execute(query)
    ]


def _decisions(connection: sa.Connection, alert_id: str) -> list[DecisionRow]:
    table = tables.decision
    query = sa.select(table).where(table.c.alert_id == alert_id).order_by(table.c.entry_id.desc()).limit(PAGE_LIMIT)
    return [DecisionRow(**row) for row in connection.execute(query).mappings()]


def _deliveries(connection: sa.Connection, alert_id: str) -> Sequence[DeliveryRow]:
    table, event = tables.delivery, tables.event
    names = ("event_id", "endpoint", "state", "attempts", "created_ns", "next_ns", "done_ns", "outcome")
    query = (
        sa.select(*(table.c[name] for name in names), event.c.kind, event.c.episode)
        .join(event, event.c.id == table.c.event_id)
        .where(event.c.alert_id == alert_id)
        .order_by(table.c.created_ns.desc(), table.c.event_id, table.c.endpoint)
        .limit(PAGE_LIMIT)
    )
    return [DeliveryRow(**row) for row in connection.execute(query).mappings()]
