"""Rows of the processes and apps that heartbeats reported: bounded, and JSON in the shard's state."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from backwatch.detector.columns.key_texts import part
from backwatch.detector.presence.process_index import FOLLOWED, FRESH, MISSED, SETTLED, ProcessIndex, Ranking

MAX_PROCESSES: Final = 4_096
"""Processes that one shard knows; of more, the ended, then newcomers, then missed ones make room. One that was heard
for a while and runs makes room for none: a newcomer that finds no room is not followed."""
MAX_ON_HOST: Final = 512
"""Processes of one app on one host; of more, the same make room. Each that begins is held against all of them."""
TENURE_NS: Final = 30 * 10**9
"""Time for which a process must be heard to count as followed, regardless of its interval."""
MAX_APPS: Final = 1_024
"""Apps whose hours one shard knows; of more, one never heard throughout an hour makes room, or one not heard for a
month. Else the new app's hours are not learnt."""
MONTH_MINUTES: Final = 28 * 24 * 60
MAX_DISPLACED: Final = 1_024
"""Alerts about missed processes that made room, which stay open for a week; of more, the earliest clear."""
MAX_CLEARED: Final = 5
"""How often an alert about processes clears at once in a day; beyond this it stays open for an hour each time. A
process may be silent and heard by turns, or promise an interval that it never keeps."""
HELD_NS: Final = 3_600 * 10**9
DAY_NS: Final = 86_400 * 10**9
HOURS_OF_WEEK: Final = 168
RUNNING: Final = "running"
ENDED: Final = "ended"
"""It sent a final heartbeat."""
GONE: Final = "gone"
"""It ended without a farewell, and a relative has seen that it is no more."""
REPLACED: Final = "replaced"
"""It fell silent, and a new process of its app took its place."""
BRIEF: Final = "brief"
"""It fell silent so soon after its start that it is taken for a short script that was killed."""
SILENT: Final = "silent"
UNDELIVERED: Final = "undelivered"
"""It records calls and never delivered any, as a relative reports."""
MOVED: Final = "moved"
"""Its app came from another shard, and it was not heard here yet: it is not missed, and is no new one when it is."""
LOST: Final = frozenset((SILENT, UNDELIVERED))
RAISED: Final = LOST | {GONE, REPLACED, BRIEF}
"""States that are raised, and clear once no process of the app is in them on that host."""
KNOWN: Final = LOST | {RUNNING}
"""States of a process that is still watched: forgetting one is a loss."""
UNFOLLOWED: Final = "unfollowed"
"""It was still watched when it had to make room. No row is in this state; the store's is."""
APP_QUIET: Final = "app-quiet"
APP_ENDED: Final = "app-ended"


@dataclass(slots=True)
class ProcessState:
    """One process of an app.

    Attributes:
        started_ns: By its own clock.
        first_ns, heard_ns: Append time of its first and last heartbeat; 0: only relatives reported it.
        observed_ns: The clock of observed time at its last heartbeat (see ``presence.py``).
        state: One of the words above.
        since_ns: When it came into that state.
        takes_place: Whether it has taken the place of another one.
        shown_ns: Append time at which it was last handed to the store.
    """

    app: str
    host: str
    pid: int
    parent: str = ""
    started_ns: int = 0
    first_ns: int = 0
    heard_ns: int = 0
    observed_ns: int = 0
    interval_ns: int = 0
    recorded: int = 0
    delivered: int = 0
    dropped: int = 0
    state: str = RUNNING
    since_ns: int = 0
    takes_place: bool = False
    shown_ns: int = 0


@dataclass(slots=True)
class AppRow:
    """The hours in which an app is usually heard.

    Attributes:
        hours: Per hour of the week, one byte: a bit per week, the newest lowest, whether it was heard throughout.
        minutes: Hours since the epoch that are not judged yet, to the minutes in which it was heard.
        minute: The last minute in which it was heard.
        quiet: Whether it is missed.
        ended: Whether the last heartbeat that came of it was a farewell.
    """

    hours: bytearray = field(default_factory=lambda: bytearray(HOURS_OF_WEEK))
    minutes: dict[int, int] = field(default_factory=dict[int, int])
    minute: int = 0
    quiet: bool = False
    ended: bool = False


@dataclass(slots=True)
class Processes:
    """All processes and apps of a shard.

    Attributes:
        clock_ns: The highest append time; a tick brings it on where nothing comes.
        observed_ns: Time for which the stream was seen to move, which is what silence is measured in.
        gap_ns: Observed time at which the stream was last seen to come back: silence before it counts for nothing.
        hours: Hours since the epoch that are not judged yet, to the nanoseconds observed in each.
        raised: Key of what was raised to the ids of its alerts; several may share one, see ``Verdicts.judge_missed``.
            Each key has a process in its state, or a quiet app.
        late: Rule to its alerts of late: id, shortened, to the last time.
        folds: Rule to what names the alert that further ones share.
        evicted: Processes that made room since the last boundary though they were still watched, and heartbeats of
            those for which there was no room.
        cleared: Alerts to how often they ended on the day ``cleared_day``.
        evicted_apps: Apps since the last boundary whose hours were forgotten for another's, or not learnt.
        displaced: Alerts that stay open though no key holds them, to when they clear: of missed processes that made
            room, and those that ended often.
        moved: Apps that belong to another shard since partitions were added: heartbeats that still come here from
            producers that do not know it yet begin nothing, for their end would look like silence.
    """

    clock_ns: int = 0
    observed_ns: int = 0
    gap_ns: int = 0
    hours: dict[int, int] = field(default_factory=dict[int, int])
    rows: dict[str, ProcessState] = field(default_factory=dict[str, ProcessState])
    apps: dict[str, AppRow] = field(default_factory=dict[str, AppRow])
    raised: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    moved: set[str] = field(default_factory=set[str])
    late: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    folds: dict[str, str] = field(default_factory=dict[str, str])
    evicted: int = 0
    cleared: dict[str, int] = field(default_factory=dict[str, int])
    cleared_day: int = 0
    evicted_apps: int = 0
    displaced: dict[str, int] = field(default_factory=dict[str, int])
    index: ProcessIndex = field(default_factory=lambda: ProcessIndex(get_standing))
    _heard_apps: Ranking = field(default_factory=Ranking)
    _new_apps: Ranking = field(default_factory=Ranking)
    """Apps that were never heard throughout an hour."""
    _keys_of: dict[str, int] = field(default_factory=dict[str, int])
    """Alert to the number of keys in ``raised`` that share it."""
    _fresh_rows: set[str] = field(default_factory=set[str])
    _fresh_apps: set[str] = field(default_factory=set[str])
    _fresh_raised: set[str] = field(default_factory=set[str])

    def touch(self, instance: str) -> None:
        """Mark this process's row as changed: every change of a row ends in this."""
        self._fresh_rows.add(instance)
        if instance in self.rows:
            self.index.put(instance, self.rows[instance])

    def touch_app(self, app: str) -> None:
        """Mark this app's row as changed."""
        self._fresh_apps.add(app)
        if app in self.apps:
            self._rank_app(app)

    def _rank_app(self, name: str) -> None:
        app = self.apps[name]
        self._heard_apps.put(name, app.minute)
        if any(app.hours):
            self._new_apps.drop(name)
        else:
            self._new_apps.put(name, app.minute)

    def _drop_app(self, name: str) -> None:
        self.apps.pop(name, None)
        self._heard_apps.drop(name)
        self._new_apps.drop(name)

    def has_room(self, app: str, host: str) -> bool:
        """Return whether another process of this app on this host can be added."""
        return self.index.count(app, host) < MAX_ON_HOST and len(self.rows) < MAX_PROCESSES

    def in_the_way(self, app: str, host: str) -> str | None:
        """Return the process that makes room for another one of this app on this host; ``None`` if all are followed."""
        if self.index.count(app, host) >= MAX_ON_HOST:
            return self.index.first_to_leave(app, host)
        return self.index.first_of_all_to_leave()

    def add(self, instance: str, row: ProcessState) -> None:
        """Add a process."""
        self.rows[instance] = row
        self.touch(instance)

    def remove(self, instance: str) -> None:
        """Forget a process."""
        self._drop(instance)
        self.touch(instance)

    def _drop(self, instance: str) -> None:
        self.rows.pop(instance, None)
        self.index.drop(instance)

    def has_room_for(self, app: str) -> bool:
        """Return whether this app is known, or can be added."""
        return app in self.apps or len(self.apps) < MAX_APPS

    def app_in_the_way(self) -> str | None:
        """Return the app that makes room for another one; ``None`` if all have usual hours and were heard recently."""
        if (newest := self._new_apps.least()) is not None:
            return newest
        oldest = self._heard_apps.least()
        is_gone = oldest is not None and self.apps[oldest].minute + MONTH_MINUTES < self.clock_ns // (60 * 10**9)
        return oldest if is_gone else None

    def app(self, name: str) -> AppRow:
        """Return the app's row; a new one where it is not known."""
        found = self.apps.setdefault(name, AppRow())
        self.touch_app(name)
        return found

    def remove_app(self, name: str) -> None:
        """Forget an app."""
        self._drop_app(name)
        self.touch_app(name)

    def open(self, key: str, alert_ids: list[str]) -> None:
        """Note the alerts that were raised for this key."""
        self._put_raised(key, sorted({*self.raised.get(key, ()), *alert_ids}))
        self._fresh_raised.add(key)

    def close(self, key: str) -> list[str]:
        """Close a key; return the alerts that were raised for it and for no other key."""
        if key in self.raised:
            self._fresh_raised.add(key)
        alert_ids = self.raised.get(key, [])
        self._put_raised(key, None)
        return [alert_id for alert_id in alert_ids if alert_id not in self._keys_of and alert_id not in self.displaced]

    def displace(self, key: str, until_ns: int) -> list[str]:
        """Keep the alerts of this key open for a while: the process made room. Return those that end earlier for it."""
        return self._hold(self.raised.get(key, ()), until_ns)

    def end(self, key: str) -> list[str]:
        """Close a key; return the alerts that clear now. One that ended often today is kept open for a while."""
        ended = self.close(key)
        if self.cleared_day != self.clock_ns // DAY_NS:
            self.cleared_day = self.clock_ns // DAY_NS
            self.cleared.clear()
        often = [alert for alert in ended if not self._count_end(alert)]
        return [alert for alert in ended if alert not in often] + self._hold(often, self.clock_ns + HELD_NS)

    def _count_end(self, alert: str) -> bool:
        if alert not in self.cleared and len(self.cleared) >= MAX_DISPLACED:
            return False
        self.cleared[alert] = self.cleared.get(alert, 0) + 1
        return self.cleared[alert] <= MAX_CLEARED

    def _hold(self, alert_ids: Iterable[str], until_ns: int) -> list[str]:
        for alert_id in alert_ids:
            self.displaced[alert_id] = until_ns
        excess = len(self.displaced) - MAX_DISPLACED
        earliest = sorted(self.displaced, key=lambda alert: (self.displaced[alert], alert))[: max(0, excess)]
        return self._release(earliest)

    def overdue(self) -> list[str]:
        """Return the displaced alerts whose time is over, which are kept open no longer."""
        return self._release(sorted(alert for alert, until_ns in self.displaced.items() if until_ns <= self.clock_ns))

    def _release(self, displaced: list[str]) -> list[str]:
        for alert in displaced:
            del self.displaced[alert]
        return [alert for alert in displaced if alert not in self._keys_of]

    def _put_raised(self, key: str, alert_ids: list[str] | None) -> None:
        for alert in self.raised.pop(key, ()):
            self._keys_of[alert] -= 1
            if not self._keys_of[alert]:
                del self._keys_of[alert]
        if alert_ids is not None:
            self.raised[key] = alert_ids
            for alert_id in alert_ids:
                self._keys_of[alert_id] = self._keys_of.get(alert_id, 0) + 1

    def open_keys(self) -> set[str]:
        """Return the keys that may be open: those of all processes and apps in a raised state."""
        found = {key_of(app, host, state) for app, host, state in self.index.places() if state in RAISED}
        return found | {
            key_of(app, "", state) for app, row in self.apps.items() if row.quiet for state in (APP_QUIET, APP_ENDED)
        }

    def of(self, app: str, host: str | None = None) -> Iterator[tuple[str, ProcessState]]:
        """Iterate over the processes of an app, on one host or on all. Their order is not defined."""
        return ((instance, self.rows[instance]) for instance in self.index.of(app, host))

    def release(self, belongs: Callable[[str], bool]) -> None:
        """Remove the apps that belong to another shard, with their alerts."""
        self.moved |= {app for app in (*self.apps, *self.index.apps()) if not belongs(app)}
        self._keep(lambda app: app not in self.moved)

    def adopt(self, belongs: Callable[[str], bool]) -> None:
        """Reduce a copy of another shard's processes to the apps that moved here, with their alerts.

        A process that runs is not missed before it is heard here: it may end while its farewell still goes elsewhere.
        """
        self._keep(belongs)
        for instance, row in self.rows.items():
            if row.state == RUNNING:
                row.state, row.since_ns = MOVED, self.clock_ns
                self.touch(instance)
        self.moved.clear()
        self.folds.clear()
        self.evicted = self.evicted_apps = 0

    def retain(self, is_mine: Callable[[str], bool]) -> None:
        """Keep only these alerts among those without a key. Another shard clears the others."""
        self.displaced = {alert: until_ns for alert, until_ns in self.displaced.items() if is_mine(alert)}
        self.cleared = {alert: many for alert, many in self.cleared.items() if is_mine(alert)}

    def _keep(self, belongs: Callable[[str], bool]) -> None:
        for instance in [known for known, row in self.rows.items() if not belongs(row.app)]:
            self.remove(instance)
        for app in [app for app in self.apps if not belongs(app)]:
            self.remove_app(app)
        for key in self.raised.keys() - self.open_keys():
            self.close(key)

    def scalars(self, *, everything: bool) -> dict[str, Any]:
        """Return the state as JSON takes it: all, or what changed since :meth:`carried`."""
        rows = self.rows if everything else self._fresh_rows
        apps = self.apps if everything else self._fresh_apps
        raised = self.raised if everything else self._fresh_raised
        return {"presence": {
            "clock_ns": self.clock_ns, "observed_ns": self.observed_ns, "gap_ns": self.gap_ns,
            "hours": {str(hour): ns for hour, ns in self.hours.items()}, "moved": sorted(self.moved),
            "late": self.late, "folds": self.folds, "evicted": self.evicted, "displaced": self.displaced,
            "evicted_apps": self.evicted_apps, "cleared": self.cleared, "cleared_day": self.cleared_day,
            "rows": {row: asdict(self.rows[row]) if row in self.rows else None for row in sorted(rows)},
            "apps": {app: _plain(self.apps[app]) if app in self.apps else None for app in sorted(apps)},
            "raised": {key: self.raised.get(key) for key in sorted(raised)},
        }}  # fmt: skip

    def mark_saved(self) -> None:
        """Mark all changes as saved."""
        self._fresh_rows.clear()
        self._fresh_apps.clear()
        self._fresh_raised.clear()

    def take(self, kept: Mapping[str, Any]) -> None:
        """Load the output of :meth:`scalars` over the current state. The state of an older release has none."""
        if not kept:
            return
        self.clock_ns, self.observed_ns, self.gap_ns = kept["clock_ns"], kept["observed_ns"], kept["gap_ns"]
        self.hours = {int(hour): ns for hour, ns in kept["hours"].items()}
        self.moved = set(kept.get("moved", ()))
        self.late = {rule: dict(alerts) for rule, alerts in kept.get("late", {}).items()}
        self.folds, self.evicted = dict(kept.get("folds", {})), kept.get("evicted", 0)
        self.displaced, self.evicted_apps = dict(kept.get("displaced", {})), kept.get("evicted_apps", 0)
        self.cleared, self.cleared_day = dict(kept.get("cleared", {})), kept.get("cleared_day", 0)
        for instance, row in kept["rows"].items():
            self._drop(instance)
            if row is not None:
                self.rows[instance] = ProcessState(**row)
                self.index.put(instance, self.rows[instance])
        for name, app in kept["apps"].items():
            self._drop_app(name)
            if app is not None:
                minutes = {int(hour): many for hour, many in app["minutes"].items()}
                self.apps[name] = AppRow(
                    bytearray.fromhex(app["hours"]), minutes, app["minute"], app["quiet"], app["ended"]
                )
                self._rank_app(name)
        for key, alerts in kept["raised"].items():
            self._put_raised(key, None if alerts is None else list(alerts))


def key_of(app: str, host: str, state: str) -> str:
    """Return the key of alerts about an app, or about its processes on a host."""
    return f"{part(app)}\x1f{part(host)}\x1f{state}"


def get_standing(row: ProcessState) -> int:
    """Return how a process stands where room must be made: SETTLED, FRESH, MISSED or FOLLOWED."""
    if row.state not in KNOWN:
        return SETTLED
    if not row.first_ns:
        return FRESH
    if row.state in LOST:
        return MISSED
    return FOLLOWED if row.heard_ns - row.first_ns >= max(TENURE_NS, 2 * row.interval_ns) else FRESH


def _plain(app: AppRow) -> dict[str, Any]:
    return {
        "hours": app.hours.hex(), "minutes": {str(hour): many for hour, many in app.minutes.items()},
        "minute": app.minute, "quiet": app.quiet, "ended": app.ended,
    }  # fmt: skip
