"""Decisions on alerts: a log entry for the engine, a row of the audit, and a mark on the alert, in one transaction."""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from backwatch.collector import facts
from backwatch.store import acceptances, entries, rules_meta, tables
from backwatch.store.text import clean, from_json
from backwatch.store.transactions import writing

KINDS: Final = ("acknowledge", "close", "reopen", "mute", "unmute", "accept", "revoke")
WITH_END: Final = ("mute", "accept")
BY_LIMIT: Final = 200
WHY_LIMIT: Final = 2_000


class UnknownAlert(LookupError):
    """No alert has this id, or no longer."""


class OpenedAgain(ValueError):
    """The alert is in a later episode than the one on the operator's screen."""


def decide(
    engine: sa.Engine,
    alert_id: str,
    kind: str,
    *,
    by: str,
    why: str = "",
    until_ns: int = 0,
    now_ns: int,
    evidence: Mapping[str, Any] | None = None,
    episode: int | None = None,
) -> int:
    """Enter a decision on an alert, and return the number of its log entry.

    ``acknowledge``, ``close`` and ``reopen`` concern the present episode; ``mute`` withholds deliveries; ``accept``
    makes the value expected and closes the episode; ``unmute`` and ``revoke`` undo these.

    On an alert about an identity, the values in its evidence are accepted (this certificate, this address), and
    no later ones; on any other alert, that its rule fires for its key. An episode with a further value that was not
    accepted stays open.

    Args:
        engine: The store.
        alert_id: The alert's id.
        kind: One of ``KINDS``.
        by: Author; 1 to 200 characters.
        why: Reason, at most 2000 characters.
        until_ns: When a mute or an acceptance ends; 0: never.
        now_ns: Wall time of the decision.
        evidence: The evidence on the operator's screen; ``None``: the alert's newest. Later values are not accepted.
        episode: The episode on the operator's screen; ``None``: the present one. A later one is not closed.

    Raises:
        ValueError: An argument is invalid, or the alert folds resources and its rule is about identities.
        OpenedAgain: The alert is in another episode by now.
        UnknownAlert: There is no such alert.
    """
    by = _check_author(kind, by, why, until_ns, now_ns)
    alert_id = clean(alert_id, 64)
    table = tables.alert
    with writing(engine) as connection:
        query = sa.select(table.c.episode, table.c.rule, table.c.resource_id, table.c.evidence)
        found = connection.execute(query.where(table.c.id == alert_id).with_for_update()).one_or_none()
        if found is None:
            raise UnknownAlert(f"no alert has the id {alert_id!r}")
        if episode not in (None, found.episode):
            raise OpenedAgain(f"it has opened again, look again: this is episode {found.episode}, not {episode}")
        body: dict[str, Any] = {"kind": kind, "alert_id": alert_id, "until_ns": until_ns}
        if kind == "accept":
            body |= _acceptance(connection, alert_id, found, evidence, now_ns)
        entry_id = entries.append(connection, "decision", body, now_ns, by)
        row = {
            "entry_id": entry_id, "alert_id": alert_id, "episode": found.episode, "kind": kind, "by": by,
            "why": clean(why.strip(), WHY_LIMIT), "until_ns": until_ns, "at_ns": now_ns,
        }  # fmt: skip
        connection.execute(sa.insert(tables.decision), [row])
        changes = _changes(kind, found.episode, until_ns) if body.get("closes", True) else {}
        if changes:
            connection.execute(sa.update(table).where(table.c.id == alert_id).values(changes))
    return entry_id


def _acceptance(
    connection: sa.Connection, alert_id: str, alert: Any, evidence: Mapping[str, Any] | None, now_ns: int
) -> dict[str, Any]:
    """Return the values that an acceptance covers, and whether it closes the alert's episode."""
    shown = from_json(alert.evidence) if evidence is None else evidence
    rule = rules_meta.read_rule(connection, alert.rule)
    accepts = rule.accepts if rule is not None else ()
    if accepts and not alert.resource_id:
        raise ValueError(
            "this alert folds many resources, and what is accepted are one resource's values: accept the alert of the"
            " resource, or mute this one"
        )
    values = {name: shown[name] for name in (*facts.IDENTITY, *accepts) if isinstance(shown.get(name), str)}
    closes = acceptances.cover(connection, alert_id, alert.episode, accepts, values, now_ns)
    return {"rule": alert.rule, "resource_id": alert.resource_id, "values": values, "closes": closes}


def _check_author(kind: str, by: str, why: str, until_ns: int, now_ns: int) -> str:
    """Check the arguments, and return the author, cleaned."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind[:40]!r}")
    by = clean(by.strip(), BY_LIMIT + 1)
    if not 1 <= len(by) <= BY_LIMIT:
        raise ValueError(f"by must have 1 to {BY_LIMIT} characters, got {len(by)}: every decision has an author")
    if len(why) > WHY_LIMIT:
        raise ValueError(f"why must have at most {WHY_LIMIT} characters, got {len(why)}")
    if until_ns and kind not in WITH_END:
        raise ValueError(f"until_ns must be 0 for {kind}, got {until_ns}: only {' and '.join(WITH_END)} have an end")
    if until_ns and not now_ns < until_ns <= tables.FOREVER:
        raise ValueError(f"until_ns must lie ahead of now, got {until_ns}")
    return by


def _changes(kind: str, episode: int, until_ns: int) -> dict[str, Any]:
    """The people's columns that the decision writes."""
    return {
        "acknowledge": {"acknowledged_episode": episode},
        "close": {"closed_episode": episode},
        "reopen": {"closed_episode": 0, "acknowledged_episode": 0},
        "mute": {"muted_until_ns": until_ns or tables.FOREVER},
        "unmute": {"muted_until_ns": 0},
        "accept": {"closed_episode": episode},
    }.get(kind, {})
