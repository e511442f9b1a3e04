"""What the store knows of an app, as a profile: what was entered, its sessions and volume, and what alerts show."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from backwatch.collector import names
from backwatch.detector.columns.prepared import dialect_of
from backwatch.detector.profile.comparing import merge
from backwatch.detector.profile.document import (
    KINDS,
    MAX_ITEMS,
    MAX_TEXT_CHARACTERS,
    Announced,
    DestinationEntry,
    Profile,
    StatementEntry,
    VolumeEntry,
    read_plain,
)
from backwatch.detector.profile.learning import describe_session, looks_injected, round_up
from backwatch.detector.statements.fingerprint import canonical_bytes
from backwatch.store import inventory, queries
from backwatch.store.profiles import get_enforced, read_current
from backwatch.store.views import AlertFilter, AlertRow, ResourceRow

VOLUME_DAYS: Final = 30
MAX_ALERTS: Final = 5_000
EVIDENCE_CHARACTERS: Final = 512
"""Length of a text in evidence that may have been cut."""
_DAY_NS: Final = 86_400 * 1_000_000_000
_RULES: Final = ("unapproved-query", "unapproved-destination")


def read_known(connection: sa.Connection, app: str, now_ns: int) -> Profile:
    """Return the profile of an app; its name may be left out where the store knows one app alone.

    Raises:
        LookupError: The app is not named, and there are several or none; its argument is one line.
    """
    if not app:
        known = sorted({*queries.apps(connection), *(row.app for row in read_current(connection))} - {""})
        if len(known) != 1:
            raise LookupError(f"--app must name one of the apps of the store: {', '.join(known[:10]) or 'none'}")
        (app,) = known
    entered = read_current(connection, app)
    profile = Profile(app=app)
    if entered:
        enforced = read_plain(get_enforced(connection, entered[0].enforced))
        profile = replace(enforced, app=app, announced=_read_announced(entered[0].announced))
    rows = inventory.list_resources(connection, app=app)[:MAX_ITEMS]
    volumes = [_sum_volume(connection, row, now_ns) for row in rows]
    seen = Profile(
        app=app, resources=tuple(describe_session(_name(row), row.facts) for row in rows),
        volume=tuple(entry for entry in volumes if entry is not None),
    )  # fmt: skip
    return merge(profile, seen)


def warn_of_unknown_app(connection: sa.Connection, app: str) -> str:
    """Return a line where the store knows apps, and not this one; those of its name with an environment come first."""
    known = queries.apps(connection)
    if not known or app in known:
        return ""
    alike = [name for name in known if app in name.split("/")]
    return f"no process of the app {app} was seen, but of {', '.join((alike or known)[:5])}: name it as alerts do"


def read_unapproved(connection: sa.Connection, app: str) -> tuple[Profile, list[str]]:
    """Return what open alerts show that was not approved, and a line for each that no profile should hold."""
    statements: dict[tuple[str, str], StatementEntry] = {}
    destinations: set[DestinationEntry] = set()
    left_out: list[str] = []
    for alert in _iter_alerts(connection, app):
        evidence = alert.evidence
        if alert.rule == "unapproved-destination":
            given = str(evidence.get(names.RESOURCE_NAME, ""))
            host = f"{evidence.get(names.SERVER_ADDRESS, '')}:{evidence.get(names.SERVER_PORT, '')}"
            destinations.add(DestinationEntry(site=_read_site(evidence), destination=given or host))
            continue
        text = str(evidence.get(names.STATEMENT) or evidence.get(names.QUERY_TEXT, ""))
        if looks_injected(str(evidence.get(names.QUERY_SIGNS, ""))):
            left_out.append(f"it looks injected: {alert.key[:200]}")
            continue
        if not text or len(text) >= EVIDENCE_CHARACTERS:
            left_out.append(f"its alert shows only a part of it: {alert.key[:200]}")
            continue
        system, is_sql = str(evidence.get(names.DB_SYSTEM, "")), names.STATEMENT not in evidence
        is_sql = is_sql and dialect_of(system) >= 0
        statement = canonical_bytes(text.encode(), system).decode("utf-8", "replace") if is_sql else text
        example = " ".join(text.split())[:MAX_TEXT_CHARACTERS]
        entry = StatementEntry(
            site=_read_site(evidence), statement=statement, example="" if example == statement else example
        )
        statements[entry.site, entry.statement] = entry
    found = Profile(
        app=app, statements=tuple(sorted(statements.values())), destinations=tuple(sorted(destinations))
    )  # fmt: skip
    return found, left_out


def _iter_alerts(connection: sa.Connection, app: str) -> Sequence[AlertRow]:
    found: list[AlertRow] = []
    for rule in _RULES:
        cursor: str | None = None
        while len(found) < MAX_ALERTS:
            page = queries.list_alerts(
                connection,
                AlertFilter(apps=(app,), rules=(rule,), states=("open", "acknowledged")),
                limit=500,
                cursor=cursor,
            )
            found += page.rows
            cursor = page.cursor
            if cursor is None:
                break
    return found


def _read_site(evidence: Mapping[str, Any]) -> str:
    file, function = evidence.get(names.CODE_FILE, ""), evidence.get(names.CODE_FUNCTION, "")
    if file or function:
        return f"{file}:{function}"
    route = evidence.get(names.HTTP_ROUTE, "")
    return f"route:{route}" if route else ""


def _read_announced(plain: Sequence[Mapping[str, Any]]) -> tuple[Announced, ...]:
    return tuple(
        Announced(
            resource=str(resource["resource"]), reason=str(resource.get("reason", "")),
            values={kind: [str(text) for text in resource[kind]] for kind in KINDS if resource.get(kind)},
        )
        for resource in plain
    )  # fmt: skip


def _name(row: ResourceRow) -> str:
    return f"{row.system} {row.endpoint}{f'/{row.namespace}' if row.namespace else ''}".strip()


def _sum_volume(connection: sa.Connection, row: ResourceRow, now_ns: int) -> VolumeEntry | None:
    windows = inventory.rollup_series(connection, row.id, now_ns - VOLUME_DAYS * _DAY_NS, now_ns, limit=50_000)
    if not windows:
        return None
    return VolumeEntry(
        resource=_name(row), calls=round_up(max(window.calls for window in windows)),
        rows_returned=round_up(max(window.rows_returned for window in windows)),
        bytes_sent=round_up(max(window.bytes_sent for window in windows)),
        bytes_received=round_up(max(window.bytes_received for window in windows)),
    )  # fmt: skip
