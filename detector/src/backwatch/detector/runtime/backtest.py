"""Compares what two configurations raise over the same history: recorded spans, or the minutes that the store keeps."""

import itertools
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from backwatch.detector import detectors
from backwatch.detector.detectors import ClosedWindows
from backwatch.detector.engine.findings import Finding
from backwatch.detector.engine.windows import SUMS
from backwatch.detector.rules.compiled_rules import RuleSet, matches
from backwatch.detector.rules.sigma import Rule
from backwatch.detector.state.keys import RESOURCE
from backwatch.store.commit import Rollup

LEVELS: Final = ("informational", "low", "medium", "high", "critical")


@dataclass(slots=True)
class AlertHistory:
    """One alert, and the event times at which its rule fired."""

    rule: str
    level: str
    app: str
    resource: str
    key: str
    times: "array[int]" = field(default_factory=lambda: array("q"))

    def since(self, begin_ns: int) -> "dict[str, Any] | None":
        """Return how often and when it fired from then on; None where it did not."""
        times = [time_ns for time_ns in self.times if time_ns >= begin_ns]
        return {"firings": len(times), "first_ns": min(times), "last_ns": max(times)} if times else None


Histories = Mapping[str, AlertHistory]
"""Alerts by their id."""


@dataclass(frozen=True, slots=True)
class ComparedAlert:
    """An alert under both configurations; None where one does not raise it."""

    alert_id: str
    rule: str
    level: str
    app: str
    resource: str
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return asdict(self)


def collect_alerts(findings: Iterable[Finding]) -> dict[str, AlertHistory]:
    """Return the alerts of these findings."""
    alerts: dict[str, AlertHistory] = {}
    for finding in findings:
        alert = alerts.get(finding.alert_id)
        if alert is None:
            key = finding.key
            alert = AlertHistory(finding.rule.name, finding.rule.level, key.app, key.resource, key.label)
            alerts[finding.alert_id] = alert
        alert.times.append(finding.time_ns)
    return alerts


def compare_alerts(before: Histories, after: Histories, since_ns: int = 0) -> list[ComparedAlert]:
    """Return all alerts that either raises from then on: the gravest first, then by rule and key."""
    found: list[ComparedAlert] = []
    for alert_id in before.keys() | after.keys():
        shown = after.get(alert_id) or before[alert_id]
        histories = [
            history.since(since_ns) if history else None for history in (before.get(alert_id), after.get(alert_id))
        ]
        if any(histories):
            found.append(
                ComparedAlert(
                    alert_id, shown.rule, shown.level, shown.app, shown.resource, shown.key, histories[0], histories[1]
                )
            )
    return sorted(found, key=lambda alert: (-LEVELS.index(alert.level), alert.rule, alert.resource, alert.key))


def summarize(alerts: Sequence[ComparedAlert]) -> list[tuple[str, str, int, int]]:
    """Return rule, level, and the number of its alerts before and after, in the order of the alerts."""
    counts: dict[tuple[str, str], list[int]] = {}
    for alert in alerts:
        row = counts.setdefault((alert.rule, alert.level), [0, 0])
        row[0] += alert.before is not None
        row[1] += alert.after is not None
    return [(rule, level, before, after) for (rule, level), (before, after) in counts.items()]


class MinuteJudge:
    """The detectors and rules over minutes, run over stored sums. Rules that need a fitted model never fire."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = [rule for rule in rules.rules if rule.over == "window"]
        self._detectors = [kind() for kind in detectors.discover() if kind.window_provides]
        self._tables = {
            detector.id: {table.name: np.zeros(2, table.dtype) for table in detector.tables if table.keys is RESOURCE}
            for detector in self._detectors
        }
        self._slots: dict[str, int] = {}

    def judge(self, minutes: Sequence[Rollup]) -> Iterator[tuple[Rule, Rollup]]:
        """Yield each rule that fires on one of these sums, which are of one minute; minutes come in their order."""
        found = sorted((self._slots.setdefault(minute.resource_id, len(self._slots) + 1), minute) for minute in minutes)
        self._grow(len(self._slots) + 1)
        closed = ClosedWindows(
            slot=np.array([slot for slot, _ in found], np.int32),
            end_ns=np.array([minute.end_ns for _, minute in found], np.int64),
            columns={name: np.array([getattr(minute, name) for _, minute in found], np.int64) for name in SUMS},
            models={},
        )  # fmt: skip
        facts: dict[str, Any] = {name: closed[name] for name in SUMS}
        for detector in self._detectors:
            facts |= detector.window(closed, self._tables[detector.id])
        columns = {name: values.astype(np.float64).tolist() for name, values in facts.items()}
        for at, (_, minute) in enumerate(found):
            row = {name: values[at] for name, values in columns.items()}
            yield from ((rule, minute) for rule in self._rules if matches(rule, row))

    def _grow(self, count: int) -> None:
        for tables in self._tables.values():
            for name, rows in tables.items():
                if count > rows.shape[0]:
                    tables[name] = np.concatenate([rows, np.zeros(count, rows.dtype)])


def judge_rollups(
    rollups: Iterable[Rollup], labels: Mapping[str, tuple[str, str]], rules: RuleSet
) -> tuple[dict[str, AlertHistory], int]:
    """Return the alerts that the rules over minutes raise on stored sums, by rule and resource, and the last minute.

    Args:
        rollups: The sums of all resources, in the order of their minutes.
        labels: App and label of each resource, by its id.
    """
    judge, alerts, newest_ns = MinuteJudge(rules), dict[str, AlertHistory](), 0
    for end_ns, minutes in itertools.groupby(rollups, lambda rollup: rollup.end_ns):
        newest_ns = end_ns
        for rule, minute in judge.judge(list(minutes)):
            app, label = labels.get(minute.resource_id, ("", minute.resource_id))
            history = AlertHistory(rule.name, rule.level, app, label, label)
            alerts.setdefault(f"{rule.name} {minute.resource_id}", history).times.append(end_ns)
    return alerts, newest_ns
