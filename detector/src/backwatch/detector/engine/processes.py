"""Rows of the processes and apps that heartbeats reported: bounded, and JSON in the shard's state."""

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

MAX_PROCESSES: Final = 4_096
"""Processes that one shard knows; of more, the ended and then the largest app's least recently heard make room."""
FORGOTTEN_SHARE: Final = 64
"""One in so many is forgotten at once."""
MAX_APPS: Final = 1_024
"""Apps whose hours one shard knows; of more, the least recently heard makes room."""
HOURS_OF_WEEK: Final = 168
RUNNING: Final = "running"
ENDED: Final = "ended"
"""It said farewell."""
GONE: Final = "gone"
"""It ended without a farewell, and a relative has seen that it is no more."""
REPLACED: Final = "replaced"
"""It fell silent, and a new process of its app took its place."""
BRIEF: Final = "brief"
"""It fell silent so soon after its start that it is taken for a short script that was killed."""
SILENT: Final = "silent"
UNDELIVERED: Final = "undelivered"
"""It records calls and never delivered any, as a relative reports."""
LOST: Final = frozenset((SILENT, UNDELIVERED))
RAISED: Final = LOST | {GONE, REPLACED, BRIEF}
"""States that are raised, and clear once no process of the app is in them on that host."""


@dataclass(slots=True)
class ProcessRow:
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
    """When an app is usually heard.

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
        raised: Key of what was raised to the ids of its alerts.
        moved: Apps that belong to another shard since partitions were added: heartbeats that still come here from
            producers that do not know it yet begin nothing, for their end would look like silence.
    """

    clock_ns: int = 0
    observed_ns: int = 0
    gap_ns: int = 0
    hours: dict[int, int] = field(default_factory=dict[int, int])
    rows: dict[str, ProcessRow] = field(default_factory=dict[str, ProcessRow])
    apps: dict[str, AppRow] = field(default_factory=dict[str, AppRow])
    raised: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    moved: set[str] = field(default_factory=set[str])
    _of_app: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    _silent: set[str] = field(default_factory=set[str])
    _fresh_rows: set[str] = field(default_factory=set[str])
    _fresh_apps: set[str] = field(default_factory=set[str])
    _fresh_raised: set[str] = field(default_factory=set[str])

    def touch(self, instance: str) -> None:
        """Mark this process's row as changed."""
        self._fresh_rows.add(instance)

    def touch_app(self, app: str) -> None:
        """Mark this app's row as changed."""
        self._fresh_apps.add(app)

    def add(self, instance: str, row: ProcessRow) -> int:
        """Add a process; return how many others, which had not ended, had to make room."""
        forgotten = self._make_room() if len(self.rows) >= MAX_PROCESSES else 0
        self._put(instance, row)
        self.touch(instance)
        return forgotten

    def _make_room(self) -> int:
        """Forget several at once: choosing among thousands for each one of a flood would stall the partition."""
        over = [one for one, row in self.rows.items() if row.state not in (RUNNING, *LOST)]
        if not over:
            largest = max(sorted(self._of_app), key=lambda app: len(self._of_app[app]))
            over = list(self._of_app[largest])
        oldest = heapq.nsmallest(
            max(1, MAX_PROCESSES // FORGOTTEN_SHARE), over, key=lambda one: (self.rows[one].heard_ns, one)
        )
        known = sum(self.rows[one].state in (RUNNING, *LOST) for one in oldest)
        for one in oldest:
            self.remove(one)
        return known

    def set_state(self, instance: str, state: str) -> None:
        """Change the state of a process."""
        self.rows[instance].state = state
        self._index(instance)

    def _index(self, instance: str) -> None:
        row = self.rows.get(instance)
        if row is not None and row.state == SILENT:
            self._silent.add(instance)
        else:
            self._silent.discard(instance)

    def silent(self, app: str, host: str) -> Iterator[tuple[str, ProcessRow]]:
        """Iterate over the silent processes of an app on one host, in no order that anything may depend on."""
        for instance in self._silent:
            row = self.rows[instance]
            if row.app == app and row.host == host:
                yield instance, row

    def remove(self, instance: str) -> None:
        """Forget a process."""
        self._drop(instance)
        self.touch(instance)

    def _put(self, instance: str, row: ProcessRow) -> None:
        self.rows[instance] = row
        self._index(instance)
        self._of_app.setdefault(row.app, set()).add(instance)

    def _drop(self, instance: str) -> None:
        row = self.rows.pop(instance, None)
        self._index(instance)
        if row is not None:
            self._of_app[row.app].discard(instance)
            if not self._of_app[row.app]:
                del self._of_app[row.app]

    def app(self, name: str) -> AppRow:
        """Return the app's row; a new one where it is not known."""
        found = self.apps.get(name)
        if found is None:
            if len(self.apps) >= MAX_APPS:
                oldest = min(self.apps, key=lambda app: (self.apps[app].minute, app))
                del self.apps[oldest]
                self.touch_app(oldest)
            found = self.apps[name] = AppRow()
        self.touch_app(name)
        return found

    def open(self, key: str, alert_ids: list[str]) -> None:
        """Note the alerts that were raised for this key."""
        self.raised[key] = sorted({*self.raised.get(key, ()), *alert_ids})
        self._fresh_raised.add(key)

    def close(self, key: str) -> list[str]:
        """Return the alerts that were raised for this key, which is no longer open."""
        if key in self.raised:
            self._fresh_raised.add(key)
        return self.raised.pop(key, [])

    def of(self, app: str, host: str | None = None) -> Iterator[tuple[str, ProcessRow]]:
        """Iterate over the processes of an app, on one host or on all, in no order that anything may depend on."""
        for instance in self._of_app.get(app, ()):
            row = self.rows[instance]
            if host is None or row.host == host:
                yield instance, row

    def release(self, belongs: Callable[[str], bool]) -> None:
        """Leave the apps that belong to another shard to it; what was raised about a process stays, and clears here."""
        self.moved |= {app for app in (*self.apps, *self._of_app) if not belongs(app)}
        for instance in [one for one, row in self.rows.items() if row.app in self.moved and row.state not in RAISED]:
            self.remove(instance)
        for app in self.moved & self.apps.keys():
            del self.apps[app]
        self.raised = {
            key: ids for key, ids in self.raised.items() if not (_is_of_app(key) and _app(key) in self.moved)
        }

    def adopt(self, belongs: Callable[[str], bool]) -> None:
        """Turn a copy of another shard's into that of the apps which moved here: their hours, and no process yet."""
        for instance in list(self.rows):
            self._drop(instance)
        self.apps = {app: row for app, row in self.apps.items() if belongs(app)}
        self.raised = {key: ids for key, ids in self.raised.items() if _is_of_app(key) and belongs(_app(key))}
        self.moved.clear()

    def scalars(self, *, everything: bool) -> dict[str, Any]:
        """Return the state as JSON takes it: all, or what changed since :meth:`carried`."""
        rows = self.rows if everything else self._fresh_rows
        apps = self.apps if everything else self._fresh_apps
        raised = self.raised if everything else self._fresh_raised
        return {"presence": {
            "clock_ns": self.clock_ns, "observed_ns": self.observed_ns, "gap_ns": self.gap_ns,
            "hours": {str(hour): ns for hour, ns in self.hours.items()}, "moved": sorted(self.moved),
            "rows": {one: asdict(self.rows[one]) if one in self.rows else None for one in sorted(rows)},
            "apps": {one: _plain(self.apps[one]) if one in self.apps else None for one in sorted(apps)},
            "raised": {one: self.raised.get(one) for one in sorted(raised)},
        }}  # fmt: skip

    def carried(self) -> None:
        """Note that what changed has been carried away."""
        self._fresh_rows.clear()
        self._fresh_apps.clear()
        self._fresh_raised.clear()

    def take(self, kept: Mapping[str, Any]) -> None:
        """Put back what :meth:`scalars` gave, over what is there; a state of an older release has none."""
        if not kept:
            return
        self.clock_ns, self.observed_ns, self.gap_ns = kept["clock_ns"], kept["observed_ns"], kept["gap_ns"]
        self.hours = {int(hour): ns for hour, ns in kept["hours"].items()}
        self.moved = set(kept.get("moved", ()))
        for one, row in kept["rows"].items():
            self._drop(one)
            if row is not None:
                self._put(one, ProcessRow(**row))
        for one, app in kept["apps"].items():
            self.apps.pop(one, None)
            if app is not None:
                minutes = {int(hour): many for hour, many in app["minutes"].items()}
                self.apps[one] = AppRow(
                    bytearray.fromhex(app["hours"]), minutes, app["minute"], app["quiet"], app["ended"]
                )
        for one, alerts in kept["raised"].items():
            self.raised.pop(one, None)
            if alerts is not None:
                self.raised[one] = list(alerts)


def key_of(app: str, host: str, state: str) -> str:
    """Return the key of what is raised about an app, or about its processes on a host."""
    return f"{app}\x1f{host}\x1f{state}"


def _app(key: str) -> str:
    return key.split("\x1f", maxsplit=1)[0]


def _is_of_app(key: str) -> bool:
    """Return whether the key is an app's as a whole."""
    return key.split("\x1f")[1] == ""


def _plain(app: AppRow) -> dict[str, Any]:
    return {
        "hours": app.hours.hex(), "minutes": {str(hour): many for hour, many in app.minutes.items()},
        "minute": app.minute, "quiet": app.quiet, "ended": app.ended,
    }  # fmt: skip
