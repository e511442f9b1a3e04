"""What the pages ask of the store, and the one thing they tell it: a person's decision, always by the alert's id.

Every open page asks again every few seconds. What one of them was told is kept for half as long, for all: however many
pages are open, the store is asked twice in that time at most, and a page that is open alone asks it each time. A
decision ends what was kept, whatever became of it, so that what the store has shows at once.
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
"""How often an open page reads the store."""
KEPT_S: Final = REFRESH_S / 2
"""How long what one page was told is told to others."""
ANSWERS: Final = 200
"""Answers that are kept at most."""
Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


class _Kept:
    """Which of the answers that are kept may be told: those to questions of this number."""

    number = 0
    numbers = itertools.count(1)


@cache
def _store() -> Engine:
    return open_store(load(StoreSettings).url, must_exist=True)


# Rows are frozen and nobody changes what holds them, so they are shared as they are: a copy for each page would cost
# what the sharing saves. The number belongs to the question: an answer that was on its way when somebody decided is not
# found again.
@st.cache_resource(ttl=KEPT_S, max_entries=ANSWERS, show_spinner=False)
def _answer(_read: Callable[..., Any], question: tuple[str, int, tuple[Any, ...], dict[str, Any]]) -> Any:
    _, _, arguments, named = question
    try:
        return _read(*arguments, **named)
    except StoreUnavailable as error:  # kept as any answer, else those who wait for it would all wait in a row
        return error


def _shared(read: Callable[Asked, Answer]) -> Callable[Asked, Answer]:
    @wraps(read)
    def shared(*arguments: Asked.args, **named: Asked.kwargs) -> Answer:
        found = _answer(read, (read.__name__, _Kept.number, arguments, named))
        if isinstance(found, StoreUnavailable):
            raise StoreUnavailable(*found.args)
        return found

    return shared


def store_answers() -> bool:
    """Whether the store can be read, and is of our version."""
    try:
        with reading(_store()) as connection:
            queries.shard_rows(connection)
    except (StoreUnavailable, SettingError, SQLAlchemyError, OSError):
        return False
    return True


@_shared
def overview() -> dict[str, dict[str, int]]:
    """How many alerts there are, by state and level."""
    with reading(_store()) as connection:
        return queries.overview(connection)


@_shared
def openings(last_ns: int, hours: int) -> list[tuple[int, str, int]]:
    """Openings of alerts in so many whole hours, of which the last begins there: (start, level, how many)."""
    with reading(_store()) as connection:
        return queries.histogram(connection, last_ns - (hours - 1) * HOUR_NS, last_ns + HOUR_NS)


@_shared
def alerts(filters: AlertFilter, limit: int = 200, cursor: str | None = None) -> AlertPage:
    """A page of alerts, last seen first."""
    with reading(_store()) as connection:
        return queries.list_alerts(connection, filters, limit=limit, cursor=cursor)


def alert_now(alert_id: str) -> AlertDetail | None:
    """One alert as the store has it at this moment."""
    with reading(_store()) as connection:
        return queries.get_alert(connection, alert_id)


alert = _shared(alert_now)
"""One alert."""


@_shared
def rules() -> list[RuleMeta]:
    """Every rule that the detector told of at its start."""
    with reading(_store()) as connection:
        return read_rules(connection)


@_shared
def rule(name: str) -> RuleMeta | None:
    """One rule."""
    with reading(_store()) as connection:
        return read_rule(connection, name)


@_shared
def open_by_rule() -> dict[str, int]:
    """How many open alerts each rule has that has any."""
    with reading(_store()) as connection:
        return queries.open_by_rule(connection)


@_shared
def apps() -> list[str]:
    """Every app."""
    with reading(_store()) as connection:
        return queries.apps(connection)


@_shared
def resources(app: str = "") -> list[ResourceRow]:
    """The resources."""
    with reading(_store()) as connection:
        return queries.list_resources(connection, app=app)


@_shared
def processes(app: str = "") -> list[ProcessRow]:
    """The watched processes: those that are missed first."""
    with reading(_store()) as connection:
        return queries.list_processes(connection, app=app)


@_shared
def systems() -> set[str]:
    """Every kind of service that an app was seen to use."""
    with reading(_store()) as connection:
        return queries.systems(connection)


@_shared
def resource(resource_id: str) -> ResourceRow | None:
    """One resource."""
    with reading(_store()) as connection:
        return queries.get_resource(connection, resource_id)


@_shared
def volume(resource_id: str, last_ns: int, hours: int = 6) -> list[Rollup]:
    """A resource's closed minutes of so many hours before the whole one that begins there, and from then on."""
    with reading(_store()) as connection:
        return queries.rollup_series(connection, resource_id, last_ns - hours * HOUR_NS, last_ns + 2 * HOUR_NS)


@_shared
def health() -> Health:
    """Whether Backwatch itself does its work."""
    with reading(_store()) as connection:
        return queries.health(connection)


@_shared
def incidents() -> list[Incident]:
    """What does not work of detector, router and notify, worst first."""
    with reading(_store()) as connection:
        now_ns = time.time_ns()
        chain = find_incidents(read_progress(connection), queries.shard_rows(connection), now_ns)
        return [*chain, *find_served_incidents(connection, now_ns)]


def store() -> Engine:
    """The store, opened once for all pages."""
    return _store()


def decide(
    alert_id: str, kind: str, by: str, why: str, *, until_ns: int, evidence: Mapping[str, Any], episode: int
) -> int:
    """Enters a decision on what was seen; the number of its entry."""
    try:
        return decisions.decide(
            _store(), alert_id, kind, by=by, why=why, until_ns=until_ns, now_ns=time.time_ns(), evidence=evidence,
            episode=episode,
        )  # fmt: skip
    finally:
        look_again()


def look_again() -> None:
    """Has every page ask the store anew: what was told before may not be so any more."""
    _Kept.number = next(_Kept.numbers)
