"""Findings of a shard since its last commit, folded per alert before they become rows."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from backwatch.detector.columns.key_texts import resource_key
from backwatch.detector.engine.findings import Findings, Firings, SeenResource
from backwatch.store.commit import (
    AlertRound,
    ClearedAlert,
    Occurrence,
    QuarantinedRecord,
    RaisedAlert,
    ResourceActivity,
    Rollup,
    SeenProcess,
)
from backwatch.store.ring import RING, choose_kept, get_shown_values
from backwatch.store.text import level_rank


def at_level(alert_id: str, level: str) -> str:
    """Return what stands for an alert that came to a level."""
    return f"{alert_id}@{level}"


class PendingCommit:
    """Findings of one shard between two commits."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._rounds: list[tuple[dict[str, RaisedAlert], dict[str, ClearedAlert]]] = [({}, {})]
        self._seen: dict[str, ResourceActivity] = {}
        self.processes: dict[tuple[str, str], SeenProcess] = {}
        """App and instance to the newest that was seen of a process."""
        self.rollups: list[Rollup] = []
        self.quarantined: list[QuarantinedRecord] = []
        self.losses: dict[str, int] = {}
        self.counters: dict[str, int] = {}
        self.calls = 0
        self.empty = True

    def add(self, findings: Findings) -> set[str]:
        """Folds a step's findings in; returns the alerts that fired, and those that came to a higher level with it."""
        fired: set[str] = set()
        for event in findings.events:
            if isinstance(event, Firings):
                self._raise(event)
                fired.add(event.alert_id)
                fired |= {at_level(event.alert_id, rule.level) for rule, _ in event.escalated}
            else:
                self._rounds[-1][1][event.alert_id] = event
        for resource in findings.seen:
            self._see(resource)
        for process in findings.processes:
            self.processes[process.app, process.instance] = process
        self.rollups += [
            Rollup(resource_id=resource_key(window.parts).resource_id, end_ns=window.end_ns, **window.sums)
            for window in findings.windows
        ]
        self.quarantined += [
            QuarantinedRecord(
                partition=self._partition,
                offset=record.offset,
                reason=record.reason,
                value=record.value,
                appended_ns=record.appended_ns,
            )
            for record in findings.unreadable
        ]
        _count(self.losses, findings.losses.items())
        counts = {"spans": findings.spans, "calls": findings.calls, "late": findings.late, "cut": findings.cut}
        _count(self.counters, counts.items())
        self.calls += findings.calls
        self.empty = self.empty and not (findings.calls or findings.events or findings.windows or self.losses)
        return fired

    def rounds(self) -> tuple[AlertRound, ...]:
        """Raises and clears, their order kept: in each round an alert's raise precedes its clear."""
        return tuple(
            AlertRound(raised=tuple(raised.values()), cleared=tuple(cleared.values()))
            for raised, cleared in self._rounds
            if raised or cleared
        )

    def list_resources(self) -> tuple[ResourceActivity, ...]:
        """The resources that had calls."""
        return tuple(self._seen.values())

    def _raise(self, event: Firings) -> None:
        if event.alert_id in self._rounds[-1][1]:
            self._rounds.append(({}, {}))
        raised = self._rounds[-1][0]
        occurrences = tuple(
            Occurrence(
                time_ns=finding.time_ns, trace_id=finding.trace_id, span_id=finding.span_id, evidence=finding.evidence
            )
            for finding in event.iter_findings(newest=RING)
        )
        count = int(event.times.shape[0])
        first_ns, last_ns = int(event.times.min()), int(event.times.max())
        level, raised_ns = event.escalation
        before = raised.get(event.alert_id)
        if before is None:
            raised[event.alert_id] = RaisedAlert(
                alert_id=event.alert_id, rule=event.rule.name, level=event.rule.level, app=event.key.app,
                resource_id=event.key.resource_id, resource=event.key.resource, key=event.key.label, count=count,
                first_ns=first_ns, last_ns=last_ns, occurrences=occurrences, accepts=event.accepts,
                begin_ns=int(event.times[0]), escalated_to=level, escalated_ns=raised_ns,
            )  # fmt: skip
        else:
            both = (*before.occurrences, *occurrences)
            places = choose_kept([get_shown_values(finding.evidence, event.accepts) for finding in both])
            raised[event.alert_id] = replace(
                before, count=before.count + count, first_ns=min(before.first_ns, first_ns),
                last_ns=max(before.last_ns, last_ns), occurrences=[both[at] for at in places],
                **_escalation(before, level, raised_ns),
            )  # fmt: skip

    def _see(self, seen: SeenResource) -> None:
        app, system, endpoint, namespace = seen.parts
        resource_id = resource_key(seen.parts).resource_id
        before = self._seen.get(resource_id)
        newest = before is None or seen.last_ns >= before.last_ns
        self._seen[resource_id] = ResourceActivity(
            resource_id=resource_id, app=app, system=system, endpoint=endpoint, namespace=namespace,
            first_ns=min(seen.first_ns, before.first_ns) if before else seen.first_ns,
            last_ns=max(seen.last_ns, before.last_ns) if before else seen.last_ns,
            calls=seen.calls + (before.calls if before else 0), errors=seen.errors + (before.errors if before else 0),
            facts=seen.facts if newest or before is None else before.facts,
        )  # fmt: skip


def _escalation(before: RaisedAlert, level: str, raised_ns: int) -> dict[str, Any]:
    """Return the higher of two escalations; of equal ones the earlier."""
    if level and (not before.escalated_to or level_rank(level) > level_rank(before.escalated_to)):
        return {"escalated_to": level, "escalated_ns": raised_ns}
    return {}


def _count(into: dict[str, int], more: Iterable[tuple[str, int]]) -> None:
    for name, count in more:
        if count:
            into[name] = into.get(name, 0) + count
