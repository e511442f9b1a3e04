"""What the pages ask of the store, and the one thing they tell it: a person's decision, always by the alert's id."""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from backwatch.collector.settings import SettingError, StoreSettings, load
from backwatch.store import decisions, queries
from backwatch.store.commit import Rollup
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.rules_meta import RuleMeta, read_rule, read_rules
from backwatch.store.transactions import reading
from backwatch.store.views import AlertDetail, AlertFilter, AlertPage, Health, ResourceRow

HOUR_NS: Final = 3_600 * 10**9


@cache
def _store() -> Engine:
    return open_store(load(StoreSettings).url)


def store_answers() -> bool:
    """Whether the store can be read, and is of our version."""
    try:
        with reading(_store()) as connection:
            queries.shard_rows(connection)
    except (StoreUnavailable, SettingError, SQLAlchemyError, OSError):
        return False
    return True


def overview() -> dict[str, dict[str, int]]:
    """How many alerts there are, by state and level."""
    with reading(_store()) as connection:
        return queries.overview(connection)


def openings(hours: int) -> list[tuple[int, str, int]]:
    """Openings of alerts by hour: (start of the hour, level, how many)."""
    now_ns = time.time_ns()
    with reading(_store()) as connection:
        return queries.histogram(connection, now_ns - hours * HOUR_NS, now_ns + HOUR_NS)


def alerts(filters: AlertFilter, limit: int = 200, cursor: str | None = None) -> AlertPage:
    """A page of alerts, last seen first."""
    with reading(_store()) as connection:
        return queries.list_alerts(connection, filters, limit=limit, cursor=cursor)


def alert(alert_id: str) -> AlertDetail | None:
    """One alert."""
    with reading(_store()) as connection:
        return queries.get_alert(connection, alert_id)


def rules() -> list[RuleMeta]:
    """Every rule that the detector told of at its start."""
    with reading(_store()) as connection:
        return read_rules(connection)


def rule(name: str) -> RuleMeta | None:
    """One rule."""
    with reading(_store()) as connection:
        return read_rule(connection, name)


def open_by_rule() -> dict[str, int]:
    """How many open alerts each rule has that has any."""
    with reading(_store()) as connection:
        return queries.open_by_rule(connection)


def apps() -> list[str]:
    """Every app."""
    with reading(_store()) as connection:
        return queries.apps(connection)


def resources(app: str = "") -> list[ResourceRow]:
    """The resources."""
    with reading(_store()) as connection:
        return queries.list_resources(connection, app=app)


def systems() -> set[str]:
    """Every kind of service that an app was seen to use."""
    return {one.system for one in resources()}


def resource(resource_id: str) -> ResourceRow | None:
    """One resource."""
    with reading(_store()) as connection:
        return queries.get_resource(connection, resource_id)


def volume(found: ResourceRow, hours: int = 6) -> list[Rollup]:
    """A resource's closed minutes of the last hours in which it had calls."""
    until_ns = found.last_ns + HOUR_NS
    with reading(_store()) as connection:
        return queries.rollup_series(connection, found.id, until_ns - (hours + 1) * HOUR_NS, until_ns)


def health() -> Health:
    """Whether Backwatch itself does its work."""
    with reading(_store()) as connection:
        return queries.health(connection)


def decide(
    alert_id: str, kind: str, by: str, why: str, until_ns: int = 0, evidence: Mapping[str, Any] | None = None
) -> int:
    """Enters a decision on what was seen; the number of its entry."""
    now_ns = time.time_ns()
    return decisions.decide(
        _store(), alert_id, kind, by=by, why=why, until_ns=until_ns, now_ns=now_ns, evidence=evidence
    )
