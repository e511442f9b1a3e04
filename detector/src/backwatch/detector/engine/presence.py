"""Alerts about missed processes and apps: heartbeats checked against the clock of the stream.

Event time runs minutes behind, so silence is judged by append time, at boundaries of ten seconds. It is measured in
*observed* time: where more than ``MAX_STRIDE_NS`` lie between two records or ticks, the stream or the detector was
away, no process could be heard, and all of them are given time anew.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.decoding.heartbeats import ProcessBeat, RelativeReport
from backwatch.detector.engine.clock import BOUNDARY_NS
from backwatch.detector.engine.findings import Findings
from backwatch.detector.engine.log_entries import Loss
from backwatch.detector.engine.shard import EVICTED, Shard
from backwatch.detector.engine.verdicts import Verdicts
from backwatch.detector.presence.processes import (
    APP_ENDED,
    APP_QUIET,
    BRIEF,
    ENDED,
    GONE,
    HOURS_OF_WEEK,
    KNOWN,
    LOST,
    MOVED,
    RAISED,
    REPLACED,
    RUNNING,
    SILENT,
    UNDELIVERED,
    UNFOLLOWED,
    AppRow,
    ProcessState,
    key_of,
)
from backwatch.detector.presence.replacement import find_replaced, start_in_place
from backwatch.store.commit import ClearedAlert, SeenProcess

MAX_MISSED_HEARTBEATS: Final = 3
"""Heartbeats missed in a row until a process is silent: 45 s by default, and named within ten more."""
ESTABLISHED_INTERVALS: Final = 2
"""Intervals for which a process must have been heard for its silence to be more than a short script that was killed."""
MAX_STRIDE_NS: Final = 20 * 10**9
FORGET_NS: Final = 7 * 86_400 * 10**9
FORGET_ENDED_NS: Final = 3_600 * 10**9
SHOW_EVERY_NS: Final = 60 * 10**9
MINUTE_NS: Final = 60 * 10**9
HOUR_NS: Final = 3_600 * 10**9
THROUGHOUT_MINUTES: Final = 50
"""Minutes of an hour in which an app must be heard for that hour to count as one of its usual ones."""
USUAL_WEEKS_MASK: Final = 0b111
"""Weeks in a row, the last three, in which it was heard throughout the same hour."""
SHOWN_FIELDS: Final = tuple(field.name for field in fields(SeenProcess) if field.name != "instance")


class Presence:
    """Judges which processes and apps fell silent; holds no state of its own."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts

    def records(
        self,
        shard: Shard,
        beats: Sequence[ProcessBeat],
        appended_ns: NDArray[np.int64],
        backfill: NDArray[np.bool_],
        findings: Findings,
    ) -> None:
        """Go through records in order: time passes, then what each one's heartbeats report."""
        kept = shard.processes
        if not appended_ns.shape[0]:
            return
        live = np.where(backfill, 0, appended_ns)
        marks = np.maximum.accumulate(np.maximum(live, kept.clock_ns))
        before = np.concatenate([[kept.clock_ns], marks[:-1]])
        strides = marks - before
        gaps = (strides > MAX_STRIDE_NS) | (before == 0)
        strides[gaps] = 0
        observed = kept.observed_ns + np.cumsum(strides)
        mine: dict[int, list[ProcessBeat]] = {}
        for beat in beats:
            if not backfill[beat.record]:
                mine.setdefault(beat.record, []).append(beat)
        _observe_hours(kept.hours, marks, strides)
        crossing = np.flatnonzero(marks // BOUNDARY_NS != before // BOUNDARY_NS).tolist()  # gaps among them
        for at in sorted({*crossing, *mine}):
            kept.clock_ns, kept.observed_ns = int(marks[at]), int(observed[at])
            if gaps[at]:
                kept.gap_ns = kept.observed_ns
            if before[at] // BOUNDARY_NS != marks[at] // BOUNDARY_NS:
                self._check(shard, findings)
            for beat in mine.get(at, ()):
                self._heard(shard, beat, findings)
        kept.clock_ns, kept.observed_ns = int(marks[-1]), int(observed[-1])

    def tick(self, shard: Shard, now_ns: int, findings: Findings) -> None:
        """Let time pass without records."""
        self.records(shard, (), np.array([now_ns], np.int64), np.zeros(1, np.bool_), findings)

    # --- heartbeats ---

    def _heard(self, shard: Shard, beat: ProcessBeat, findings: Findings) -> None:
        kept = shard.processes
        if beat.app in kept.moved:
            return
        app = self._app_heard(shard, beat.app, findings)
        ends = beat.event == "end" and kept.index.in_state(RUNNING, beat.app) <= {beat.instance}
        if app is not None and app.ended != ends:
            app.ended = ends
            kept.touch_app(beat.app)
        if not beat.instance:
            return
        row = kept.rows.get(beat.instance)
        if row is not None and row.app != beat.app:  # it was renamed; its final heartbeat precedes that
            if row.state != ENDED:
                return
            kept.remove(beat.instance)
            row = None
        if row is None:
            row = ProcessState(beat.app, beat.host, beat.pid, first_ns=kept.clock_ns, since_ns=kept.clock_ns)
            is_kept = self._add(shard, beat.instance, row, findings)
        elif row.host != beat.host:
            self._leave(shard, beat.instance, findings)
            row.host = beat.host
            is_kept = self._add(shard, beat.instance, row, findings)
        else:
            is_kept = True
        if is_kept:
            self._beat_heard(shard, row, beat, findings)
        for report in beat.silent:
            self._note_silent_report(shard, beat, report, findings)
        for report in beat.ended:
            self._note_ended_report(shard, beat, report, findings)

    def _beat_heard(self, shard: Shard, row: ProcessState, beat: ProcessBeat, findings: Findings) -> None:
        kept = shard.processes
        was = row.state
        row.pid, row.parent = beat.pid, beat.parent
        row.first_ns = row.first_ns or kept.clock_ns
        if not row.heard_ns:  # a later promise counts for nothing: a forged one would put off the time of silence
            row.interval_ns = beat.interval_ns
        row.heard_ns, row.observed_ns = kept.clock_ns, kept.observed_ns
        row.started_ns = beat.started_ns
        row.recorded, row.delivered, row.dropped = beat.recorded, beat.delivered, beat.dropped
        self._into(shard, beat.instance, ENDED if beat.event == "end" else RUNNING, findings)
        if row.state == RUNNING and (was != RUNNING or row.first_ns == kept.clock_ns):
            for silent in start_in_place(kept, beat.instance):
                self._into(shard, silent, REPLACED, findings)
            kept.touch(beat.instance)
        if kept.clock_ns - row.shown_ns >= SHOW_EVERY_NS:
            self._show(shard, beat.instance, findings)

    def _add(self, shard: Shard, instance: str, row: ProcessState, findings: Findings) -> bool:
        """Add a process; another one makes room where there is none. Return whether it was added."""
        kept = shard.processes
        if not kept.has_room(row.app, row.host):
            other = kept.in_the_way(row.app, row.host)
            if other is None:
                kept.evicted += 1
                return False
            self._displace(shard, other, findings)
        kept.add(instance, row)
        return True

    def _displace(self, shard: Shard, instance: str, findings: Findings) -> None:
        """Forget a process that makes room. That it is followed no more is shown; what is raised about it stays."""
        kept = shard.processes
        row = kept.rows[instance]
        if row.state not in KNOWN:
            self._leave(shard, instance, findings)
            return
        kept.evicted += 1
        if row.state in LOST and row.first_ns:  # of one that was only reported, anyone may report ever more
            over = kept.displace(key_of(row.app, row.host, row.state), kept.clock_ns + FORGET_NS)
            findings.events += [ClearedAlert(alert_id=alert, time_ns=kept.clock_ns) for alert in over]
        self._leave(shard, instance, findings)
        row.state, row.since_ns = UNFOLLOWED, kept.clock_ns
        self._show_row(shard, instance, row, findings)

    def _leave(self, shard: Shard, instance: str, findings: Findings) -> None:
        """Forget a process; what was raised about it clears where it is the last one."""
        row = shard.processes.rows[instance]
        shard.processes.remove(instance)
        self._left_state(shard, row, row.state, findings)

    def _left_state(self, shard: Shard, row: ProcessState, state: str, findings: Findings) -> None:
        if state in RAISED and not shard.processes.index.in_state(state, row.app, row.host):
            self._clear(shard, key_of(row.app, row.host, state), findings)

    def _clear(self, shard: Shard, key: str, findings: Findings) -> None:
        kept = shard.processes
        findings.events += [ClearedAlert(alert_id=alert, time_ns=kept.clock_ns) for alert in kept.end(key)]

    def _note_silent_report(self, shard: Shard, beat: ProcessBeat, report: RelativeReport, findings: Findings) -> None:
        kept = shard.processes
        row = kept.rows.get(report.instance)
        if row is None:
            row = ProcessState(beat.app, beat.host, report.pid, beat.parent, interval_ns=beat.interval_ns,
                             since_ns=kept.clock_ns)  # fmt: skip
            row.observed_ns = kept.observed_ns
            if not self._add(shard, report.instance, row, findings):
                return
        if row.app == beat.app and row.host == beat.host and row.state in (RUNNING, MOVED, BRIEF):
            row.started_ns = row.started_ns or report.since_ns
            state = SILENT if report.delivered or row.delivered else UNDELIVERED
            self._raise_lost(shard, report.instance, state, findings)

    def _note_ended_report(self, shard: Shard, beat: ProcessBeat, report: RelativeReport, findings: Findings) -> None:
        row = shard.processes.rows.get(report.instance)
        if row is not None and row.app == beat.app and row.host == beat.host and row.state in (MOVED, *KNOWN):
            self._raise_lost(shard, report.instance, GONE, findings)

    # --- time ---

    def _check(self, shard: Shard, findings: Findings) -> None:
        kept = shard.processes
        missed: list[str] = []
        expired: list[str] = []
        for instance in sorted(kept.rows):
            row = kept.rows[instance]
            if (
                row.state == RUNNING
                and kept.observed_ns - max(row.observed_ns, kept.gap_ns) > MAX_MISSED_HEARTBEATS * row.interval_ns
            ):
                missed.append(instance)
            elif row.state != RUNNING:
                age_ns = kept.clock_ns - max(row.heard_ns, row.since_ns)
                if age_ns > (FORGET_NS if row.state in LOST else FORGET_ENDED_NS):
                    expired.append(instance)
        self._judge_missed(shard, missed, findings)
        for instance in expired:
            self._leave(shard, instance, findings)
        if kept.raised:
            for key in sorted(kept.raised.keys() - kept.open_keys()):  # a state of an older release may hold some
                self._clear(shard, key, findings)
        findings.events += [ClearedAlert(alert_id=alert, time_ns=kept.clock_ns) for alert in kept.overdue()]
        # Not with the losses of calls, whose boundaries pass before a batch's heartbeats are read.
        for kind, many in ((f"{EVICTED}.process", kept.evicted), (f"{EVICTED}.app", kept.evicted_apps)):
            if many:
                self._verdicts.judge_loss(shard, Loss(kind, many, kept.clock_ns), findings)
        kept.evicted = kept.evicted_apps = 0
        self._check_hours(shard, findings)

    def _judge_missed(self, shard: Shard, missed: Sequence[str], findings: Findings) -> None:
        """Judge all processes that are missed at this boundary together: those that end together end as a family."""
        kept = shard.processes
        rows = {instance: kept.rows[instance] for instance in missed}
        brief = {
            instance
            for instance, row in rows.items()
            if row.heard_ns - row.first_ns < ESTABLISHED_INTERVALS * row.interval_ns
        }
        replaced = find_replaced(kept, [instance for instance in missed if instance not in brief], rows.keys())
        for instance in missed:
            state = BRIEF if instance in brief else REPLACED if instance in replaced else SILENT
            self._raise_lost(shard, instance, state, findings)

    def _check_hours(self, shard: Shard, findings: Findings) -> None:
        kept = shard.processes
        hour = (kept.clock_ns - 2 * MINUTE_NS) // HOUR_NS
        for passed in sorted(known for known in kept.hours if known < hour):
            if kept.hours.pop(passed) >= THROUGHOUT_MINUTES * MINUTE_NS:
                for app in sorted(kept.apps):
                    self._judge_hour(shard, app, passed, findings)

    # --- states and alerts ---

    def _raise_lost(self, shard: Shard, instance: str, state: str, findings: Findings) -> None:
        row = shard.processes.rows[instance]
        self._into(shard, instance, state, findings)
        silent_ns = shard.processes.clock_ns - (row.heard_ns or row.started_ns)
        facts = {
            "backwatch.watch.lost": state, "backwatch.watch.silent_s": max(0, silent_ns) // 10**9,
            "host.name": row.host, "process.pid": row.pid, "backwatch.process.instance": instance,
            "backwatch.process.started_ns": row.started_ns, "backwatch.process.heard_ns": row.heard_ns,
            "backwatch.process.recorded": row.recorded, "backwatch.process.delivered": row.delivered,
            "backwatch.process.dropped": row.dropped,
        }  # fmt: skip
        self._raise(shard, row.app, row.host, facts, findings)

    def _raise(self, shard: Shard, app: str, host: str, facts: dict[str, Any], findings: Findings) -> None:
        kept = shard.processes
        state = str(facts["backwatch.watch.lost"])
        alert_ids = self._verdicts.judge_missed(shard, app, host, facts, kept.clock_ns, findings)
        if alert_ids:
            kept.open(key_of(app, host, state), alert_ids)

    def _into(self, shard: Shard, instance: str, state: str, findings: Findings) -> None:
        kept = shard.processes
        row = kept.rows[instance]
        was = row.state
        if was != state:
            row.state, row.since_ns = state, kept.clock_ns
            self._show(shard, instance, findings)
        kept.touch(instance)
        if was != state:
            self._left_state(shard, row, was, findings)

    def _show(self, shard: Shard, instance: str, findings: Findings) -> None:
        self._show_row(shard, instance, shard.processes.rows[instance], findings)

    def _show_row(self, shard: Shard, instance: str, row: ProcessState, findings: Findings) -> None:
        row.shown_ns = shard.processes.clock_ns
        shown = {name: getattr(row, name) for name in SHOWN_FIELDS}
        findings.processes.append(SeenProcess(instance=instance, **shown))

    # --- hours ---

    def _app_heard(self, shard: Shard, name: str, findings: Findings) -> AppRow | None:
        kept = shard.processes
        minute = kept.clock_ns // MINUTE_NS
        known = kept.apps.get(name)
        if known is not None and known.minute == minute and not known.quiet:
            return known
        if not kept.has_room_for(name):
            kept.evicted_apps += 1
            if (other := kept.app_in_the_way()) is None:
                return None
            self._clear_app(shard, other, findings)
            kept.remove_app(other)
        app = kept.app(name)
        if app.minute != minute:
            app.minute = minute
            kept.touch_app(name)
            hour = minute // 60
            app.minutes[hour] = app.minutes.get(hour, 0) + 1
        if app.quiet:
            app.quiet = False
            self._clear_app(shard, name, findings)
        return app

    def _clear_app(self, shard: Shard, name: str, findings: Findings) -> None:
        for state in (APP_QUIET, APP_ENDED):
            self._clear(shard, key_of(name, "", state), findings)

    def _judge_hour(self, shard: Shard, name: str, hour: int, findings: Findings) -> None:
        kept = shard.processes
        app: AppRow = kept.apps[name]
        heard = app.minutes.pop(hour, 0)
        app.minutes = {later: many for later, many in app.minutes.items() if later > hour}
        slot = hour % HOURS_OF_WEEK
        usual = app.hours[slot] & USUAL_WEEKS_MASK == USUAL_WEEKS_MASK
        app.hours[slot] = (app.hours[slot] << 1 | (heard >= THROUGHOUT_MINUTES)) & 0xFF
        kept.touch_app(name)
        if not usual or app.quiet or heard or app.minute // 60 > hour:
            return
        app.quiet = True
        rows = [row for _, row in kept.of(name)]
        if any(row.state in LOST for row in rows):
            return  # raised already, by its processes
        facts = {
            "backwatch.watch.lost": APP_ENDED if app.ended else APP_QUIET,
            "backwatch.watch.silent_s": (kept.clock_ns - (app.minute + 1) * MINUTE_NS) // 10**9,
            "backwatch.process.heard_ns": app.minute * MINUTE_NS,
        }
        self._raise(shard, name, "", facts, findings)


def _observe_hours(hours: dict[int, int], marks: NDArray[np.int64], strides: NDArray[np.int64]) -> None:
    """Add the time observed to the hour in which each stride ended."""
    if marks[0] // HOUR_NS == marks[-1] // HOUR_NS:
        if total := int(strides.sum()):
            hours[int(marks[-1]) // HOUR_NS] = hours.get(int(marks[-1]) // HOUR_NS, 0) + total
        return
    moved = strides > 0
    for hour in np.unique(marks[moved] // HOUR_NS).tolist():
        mine = moved & (marks // HOUR_NS == hour)
        hours[hour] = hours.get(hour, 0) + int(strides[mine].sum())
