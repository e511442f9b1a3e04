"""Queries of the pages, and the one write: a decision, always by the alert's id.

Every open page queries the store every few seconds. All pages share a result for half of that time: for any number of
pages, a query runs at most twice per interval, and a single page runs it each time. A decision invalidates all
results, also if it fails, so that the pages show the store's present state immediately.
"""

import itertools
import time
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, Final, ParamSpec, TypeVar

import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from backwatch.collector.settings import DashboardSettings, SettingError, StoreSettings, load
from backwatch.store import decisions, queries
from backwatch.store.commit import Rollup
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.monitoring.deliveries import find_served_incidents
from backwatch.store.monitoring.incidents import Incident, find_incidents
from backwatch.store.progress import read_progress
from backwatch.store.rules_meta import RuleMeta, read_rule, read_rules
from backwatch.store.transactions import reading
from backwatch.store.views import AlertDetail, AlertFilter, AlertPage, Health, ProcessRow, ResourceRow

HOUR_NS: Final = 3_600 * 10**9
REFRESH_S: Final = load(DashboardSettings).refresh_s
"""Seconds between two reads of an open page."""
SHARED_S: Final = REFRESH_S / 2
"""Seconds for which pages share one query result."""
MAX_RESULTS: Final = 200
"""Query results that are kept at most."""
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class _Generation:
    """The generation of valid results: a decision starts the next one."""

    number = 0
    numbers = itertools.count(1)


@cache
def _store() -> Engine:
    return open_store(load(StoreSettings).url, must_exist=True)


# Rows are frozen and their containers never change, so pages share them without copies: a copy for each page would
# cost what the sharing saves. The generation is part of the key: a result that was on its way during a decision is not
# found again.
@st.cache_resource(ttl=SHARED_S, max_entries=MAX_RESULTS, show_spinner=False)
def _query(_read: Callable[..., Any], key: tuple[str, int, tuple[Any, ...], dict[str, Any]]) -> Any:
    _, _, arguments, named = key
    try:
        return _read(*arguments, **named)
    except (
        StoreUnavailable
    ) as error:  # cached like any result, otherwise all waiting pages would wait one after the other
        return error


def _share_result(read: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    @wraps(read)
    def read_shared(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        found = _query(read, (read.__name__, _Generation.number, arguments, named))
        if isinstance(found, StoreUnavailable):
            raise StoreUnavailable(*found.args)
        return found

    return read_shared


def store_answers() -> bool:
    """Whether the store can be read, and is of our version."""
    try:
        with reading(_store()) as connection:
            queries.shard_rows(connection)
    except (StoreUnavailable, SettingError, SQLAlchemyError, OSError):
        return False
    return True


@_share_result
def overview() -> dict[str, dict[str, int]]:
    """How many alerts there are, by state and level."""
    with reading(_store()) as connection:
        return queries.overview(connection)


@_share_result
def openings(last_ns: int, hours: int) -> list[tuple[int, str, int]]:
    """Openings of alerts in so many whole hours, of which the last begins there: (start, level, how many)."""
    with reading(_store()) as connection:
        return queries.histogram(connection, last_ns - (hours - 1) * HOUR_NS, last_ns + HOUR_NS)


@_share_result
def alerts(filters: AlertFilter, limit: int = 200, cursor: str | None = None) -> AlertPage:
    """Return a page of alerts, last seen first."""
    with reading(_store()) as connection:
        return queries.list_alerts(connection, filters, limit=limit, cursor=cursor)


def alert_now(alert_id: str) -> AlertDetail | None:
    """Return one alert in its present state, past the shared results."""
    with reading(_store()) as connection:
        return queries.get_alert(connection, alert_id)


alert = _share_result(alert_now)
"""Return one alert."""


@_share_result
def rules() -> list[RuleMeta]:
    """Return every rule that the detector published at its start."""
    with reading(_store()) as connection:
        return read_rules(connection)


@_share_result
def rule(name: str) -> RuleMeta | None:
    """Return one rule."""
    with reading(_store()) as connection:
        return read_rule(connection, name)


@_share_result
def open_by_rule() -> dict[str, int]:
    """Return the number of open alerts of each rule that has any."""
    with reading(_store()) as connection:
        return queries.open_by_rule(connection)


@_share_result
def apps() -> list[str]:
    """Return every app."""
    with reading(_store()) as connection:
        return queries.apps(connection)


@_share_result
def resources(app: str = "") -> list[ResourceRow]:
    """Return the resources."""
    with reading(_store()) as connection:
        return queries.list_resources(connection, app=app)


@_share_result
def processes(app: str = "") -> list[ProcessRow]:
    """Return the watched processes, missing ones first."""
    with reading(_store()) as connection:
        return queries.list_processes(connection, app=app)


@_share_result
def systems() -> set[str]:
    """Return every kind of service that an app uses."""
    with reading(_store()) as connection:
        return queries.systems(connection)


@_share_result
def resource(resource_id: str) -> ResourceRow | None:
    """Return one resource."""
    with reading(_store()) as connection:
        return queries.get_resource(connection, resource_id)


@_share_result
def volume(resource_id: str, last_ns: int, hours: int = 6) -> list[Rollup]:
    """Return a resource's closed minutes from ``hours`` before ``last_ns``, a full hour, to two hours after it."""
    with reading(_store()) as connection:
        return queries.rollup_series(connection, resource_id, last_ns - hours * HOUR_NS, last_ns + 2 * HOUR_NS)


@_share_result
def health() -> Health:
    """Return the health of Backwatch itself."""
    with reading(_store()) as connection:
        return queries.health(connection)


@_share_result
def incidents() -> list[Incident]:
    """Return the incidents of detector, router and notify, worst first."""
    with reading(_store()) as connection:
        now_ns = time.time_ns()
        chain = find_incidents(read_progress(connection), queries.shard_rows(connection), now_ns)
        return [*chain, *find_served_incidents(connection, now_ns)]


def store() -> Engine:
    """Return the store, opened once for all pages."""
    return _store()


def decide(
    alert_id: str, kind: str, by: str, why: str, *, until_ns: int, evidence: Mapping[str, Any], episode: int
) -> int:
    """Enter a decision on what was shown, and return the number of its log entry."""
    try:
        return decisions.decide(
            _store(), alert_id, kind, by=by, why=why, until_ns=until_ns, now_ns=time.time_ns(), evidence=evidence,
            episode=episode,
        )  # fmt: skip
    finally:
        invalidate()


def invalidate() -> None:
    """Invalidate all shared results."""
    _Generation.number = next(_Generation.numbers)
