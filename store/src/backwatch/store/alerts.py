"""Alerts as a commit writes them: rows locked, folded by the life cycle, written back, and their events frozen."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from backwatch.store import events, tables
from backwatch.store.commit import AlertRound, ClearedAlert, RaisedAlert
from backwatch.store.lifecycle import ESCALATED, Change, Life
from backwatch.store.lifecycle import apply as live
from backwatch.store.ring import RING, choose_kept, get_shown_values
from backwatch.store.rules_meta import find_escalation
from backwatch.store.text import as_json, clean, from_json, level_rank, whole
from backwatch.store.upsert import insert_missing, insert_or_replace

_CHUNK = 400
_ENGINE_COLUMNS = (
    "rule", "level", "level_rank", "resource_id", "app", "resource", "key", "raised", "episode", "count",
    "first_ns", "last_ns", "opened_ns", "cleared_ns", "evidence",
)  # fmt: skip


def apply(connection: sa.Connection, rounds: Sequence[AlertRound], now_ns: int) -> None:
    """Folds what the engine found into the alerts, and freezes the events that follow."""
    steps: dict[str, list[RaisedAlert | ClearedAlert]] = defaultdict(list)
    for step in (step for turn in rounds for step in (*turn.raised, *turn.cleared)):
        steps[step.alert_id].append(step)
    if not steps:
        return
    _make_rows(connection, [raised for turn in rounds for raised in turn.raised])
    rows = _lock_rows(connection, sorted(steps))
    changes: list[tuple[Change, dict[str, Any]]] = []
    lives: list[Life] = []
    for alert_id in sorted(rows):
        life = _life(rows[alert_id])
        changes += ((change, _row(life, rows[alert_id])) for change in live(life, steps[alert_id]))
        rows[alert_id] = _row(life, rows[alert_id])
        lives.append(life)
    _write(connection, list(rows.values()))
    _write_occurrences(connection, lives)
    _write_episodes(connection, changes)
    _write_events(connection, changes, now_ns)


def _make_rows(connection: sa.Connection, raised: Sequence[RaisedAlert]) -> None:
    """Rows for keys never seen, so that there is something to lock before anything is decided."""
    blank = {"raised": False, "episode": 0, "count": 0, "opened_ns": 0, "cleared_ns": None, "evidence": "{}"}
    rows = [
        {
            "id": alert.alert_id,
            **blank,
            **_about(alert),
            "first_ns": whole(alert.first_ns),
            "last_ns": whole(alert.last_ns),
        }
        for alert in sorted({alert.alert_id: alert for alert in raised}.values(), key=lambda alert: alert.alert_id)
    ]
    insert_missing(connection, tables.alert, rows)


def _lock_rows(connection: sa.Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows of these alerts, locked against a person who decides about one of them right now."""
    table, found = tables.alert, dict[str, dict[str, Any]]()
    for start in range(0, len(ids), _CHUNK):
        query = (
            sa.select(table).where(table.c.id.in_(ids[start : start + _CHUNK])).order_by(table.c.id).with_for_update()
        )
        found.update((row["id"], dict(row)) for row in connection.execute(query).mappings())
    return found


def _about(raised: RaisedAlert) -> dict[str, Any]:
    return {
        "rule": clean(raised.rule, 200), "level": clean(raised.level, 16), "level_rank": level_rank(raised.level),
        "resource_id": clean(raised.resource_id, 64),
        "app": clean(raised.app), "resource": clean(raised.resource), "key": clean(raised.key),
    }  # fmt: skip


def _life(row: Mapping[str, Any]) -> Life:
    return Life(
        alert_id=row["id"], raised=row["raised"], episode=row["episode"], count=row["count"], first_ns=row["first_ns"],
        last_ns=row["last_ns"], opened_ns=row["opened_ns"], cleared_ns=row["cleared_ns"], evidence=row["evidence"],
        closed_episode=row["closed_episode"], level=row["level"],
    )  # fmt: skip


def _row(life: Life, row: Mapping[str, Any]) -> dict[str, Any]:
    """The alert's row as its life now stands; people's columns stay as they were read."""
    evidence = as_json(life.new[-1][2].evidence) if life.new else life.evidence
    about = _about(life.about) if life.about is not None else {}
    return {
        **row, **about, "level": clean(life.level, 16), "level_rank": level_rank(life.level),
        "raised": life.raised, "episode": life.episode, "count": whole(life.count),
        "first_ns": whole(life.first_ns), "last_ns": whole(life.last_ns), "opened_ns": whole(life.opened_ns),
        "cleared_ns": life.cleared_ns if life.cleared_ns is None else whole(life.cleared_ns), "evidence": evidence,
    }  # fmt: skip


def _write(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    table = tables.alert
    statement = sa.update(table).where(table.c.id == sa.bindparam("of_id"))
    values = [{"of_id": row["id"], **{name: row[name] for name in _ENGINE_COLUMNS}} for row in rows]
    if values:
        connection.execute(statement.values({name: sa.bindparam(name) for name in _ENGINE_COLUMNS}), values)


def _write_occurrences(connection: sa.Connection, lives: Sequence[Life]) -> None:
    table = tables.occurrence
    rows = [
        {
            "alert_id": life.alert_id, "number": whole(number), "episode": episode,
            "time_ns": whole(occurrence.time_ns),
            "trace_id": clean(occurrence.trace_id, 32), "span_id": clean(occurrence.span_id, 16),
            "evidence": as_json(occurrence.evidence),
        }
        for life in lives
        for number, episode, occurrence in life.new
    ]  # fmt: skip
    insert_or_replace(connection, table, rows)
    beyond = (table.c.alert_id == sa.bindparam("of_alert")) & (table.c.number <= sa.bindparam("up_to"))
    plain: list[dict[str, Any]] = []
    for life in lives:
        if life.new and life.count > RING:
            end = {"of_alert": life.alert_id, "up_to": whole(life.count - RING)}
            numbers = _kept_beyond(connection, life)
            if numbers:
                connection.execute(sa.delete(table).where(beyond, table.c.number.not_in(numbers)), end)
            else:
                plain.append(end)
    if plain:
        connection.execute(sa.delete(table).where(beyond), plain)


def _kept_beyond(connection: sa.Connection, life: Life) -> list[int]:
    """Numbers before the newest ones that stay: the first occurrence of each thing that this episode showed."""
    accepts = life.about.accepts if life.about is not None else ()
    if not accepts:
        return []
    table = tables.occurrence
    mine = (table.c.alert_id == life.alert_id) & (table.c.episode == life.episode)
    query = sa.select(table.c.number, table.c.evidence).where(mine, table.c.number <= whole(life.count - RING))
    rows = connection.execute(query.order_by(table.c.number)).all()
    return [
        rows[at].number
        for at in choose_kept([get_shown_values(from_json(row.evidence), accepts) for row in rows], newest=0)
    ]


def _write_episodes(connection: sa.Connection, changes: Sequence[tuple[Change, Mapping[str, Any]]]) -> None:
    latest = {(change.alert_id, change.episode): row for change, row in changes}
    rows = [
        {"alert_id": alert_id, "number": whole(number), "opened_ns": row["opened_ns"], "cleared_ns": row["cleared_ns"]}
        for (alert_id, number), row in sorted(latest.items())
    ]
    insert_or_replace(connection, tables.episode, rows)


def _body(
    connection: sa.Connection, change: Change, row: Mapping[str, Any], rule: Mapping[str, Any] | None
) -> str:  # fmt: skip
    raised_above = rule is not None and rule["level"] != row["level"]
    return events.body(
        change, row, rule, find_escalation(connection, row["rule"], row["level"]) if raised_above else None
    )


def _kind_of(change: Change, row: Mapping[str, Any]) -> str:
    """What distinguishes the events of one episode: an alert may escalate twice."""
    return f"{change.kind} {row['level']}" if change.kind == ESCALATED else change.kind


def _write_events(connection: sa.Connection, changes: Sequence[tuple[Change, Mapping[str, Any]]], now_ns: int) -> None:
    if not changes:
        return
    rules = events.rules_by_name(connection, (row["rule"] for _, row in changes))
    rows = [
        {
            "id": events.event_id(change.alert_id, change.episode, whole(change.begin_ns), _kind_of(change, row)),
            "alert_id": change.alert_id, "episode": change.episode, "kind": change.kind,
            "level_rank": row["level_rank"], "body": _body(connection, change, row, rules.get(row["rule"])),
            "created_ns": now_ns, "routed_ns": None,
        }
        for change, row in changes
    ]  # fmt: skip
    insert_missing(connection, tables.event, sorted(rows, key=lambda row: row["id"]))
