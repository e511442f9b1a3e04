"""The events that notify delivers: their ids, and their bodies frozen at the moment they come true."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from backwatch.store import tables
from backwatch.store.lifecycle import Change
from backwatch.store.rules_meta import RuleMeta
from backwatch.store.text import from_json

BODY_LIMIT: Final = 20_000
"""Bytes of a body: what the Standard Webhooks specification asks for."""
ABOUT_ITSELF: Final = "backwatch."
"""Begins the kind of every event about Backwatch itself."""


def event_id(alert_id: str, episode: int, begin_ns: int, kind: str) -> str:
    """The webhook-id: the same for the same opening of the same alert, whichever member computes it.

    Args:
        begin_ns: When the episode began. A restored store counts episodes from an earlier number on: without this
            another episode would bear an id that a receiver knows, and discards.
    """
    return hashlib.sha256(f"{alert_id}\x1e{episode}\x1e{begin_ns}\x1e{kind}".encode()).hexdigest()[:32]


def is_wanted(kind: str, level_rank: int, lowest: int) -> bool:
    """Whether an endpoint gets events of this kind and level; those about Backwatch itself pass at any level.

    >>> is_wanted("alert.opened", 0, 1), is_wanted("alert.opened", 1, 1), is_wanted("backwatch.detector_resumed", 0, 1)
    (False, True, True)
    """
    return level_rank >= lowest or kind.startswith(ABOUT_ITSELF)


def filter_wanted(lowest: int) -> "sa.ColumnElement[bool]":
    """:func:`is_wanted` as SQL, of the table of events."""
    table = tables.event
    return (table.c.level_rank >= lowest) | table.c.kind.startswith(ABOUT_ITSELF)


def format_moment(time_ns: int) -> str:
    """ISO 8601, UTC, milliseconds.

    >>> format_moment(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123Z'
    """
    whole, rest = divmod(max(0, min(time_ns, 253_402_300_799_000_000_000)), 1_000_000_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def rules_by_name(connection: sa.Connection, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Metadata of these rules; a rule that is not known (any more) is absent."""
    wanted = sorted(set(names))
    found = dict[str, Mapping[str, Any]]()
    for start in range(0, len(wanted), 500):
        query = sa.select(tables.rule).where(tables.rule.c.name.in_(wanted[start : start + 500]))
        found.update({row["name"]: dict(row) for row in connection.execute(query).mappings()})
    return found


def body(
    change: Change, alert: Mapping[str, Any], rule: Mapping[str, Any] | None, escalated_by: RuleMeta | None = None
) -> str:
    """``{"type", "timestamp", "data"}`` of at most 20 kB; the longest part is left out first.

    Args:
        change: What became true.
        alert: The alert's row as it is after the change.
        rule: The rule's row, if it is known.
        escalated_by: The rule that raised the alert to its level: its title and remediation are given.
    """
    title, remediation = (rule["title"], rule["remediation"]) if rule else (alert["rule"], "")
    if escalated_by is not None:
        title, remediation = escalated_by.title, escalated_by.remediation
    data = {
        "id": alert["id"], "rule": alert["rule"], "level": alert["level"],
        "title": title,
        "app": alert["app"][:500], "resource": alert["resource"][:500], "resource_id": alert["resource_id"],
        "key": alert["key"][:1000],
        "episode": change.episode, "count": alert["count"],
        "first_seen": format_moment(alert["first_ns"]), "last_seen": format_moment(alert["last_ns"]),
        "evidence": from_json(alert["evidence"]),
        "tags": from_json(rule["tags"]) if rule else [],
        "remediation": remediation,
    }  # fmt: skip
    return to_bounded_json({"type": change.kind, "timestamp": format_moment(change.time_ns), "data": data})


def to_bounded_json(payload: dict[str, Any]) -> str:
    """The payload as ASCII JSON within the limit: evidence gives way first, then remediation, tags and the texts."""
    gives_way: tuple[dict[str, Any], ...] = (
        {}, {"evidence": {"left_out": "too long"}}, {"remediation": ""}, {"tags": []}, {"key": ""}, {"resource": ""},
        {"app": ""}, {"title": ""},
    )  # fmt: skip
    for instead in gives_way:
        payload["data"] |= instead
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
        if len(text) <= BODY_LIMIT:
            return text
    raise AssertionError("a body of ids and numbers alone is always within the limit")
