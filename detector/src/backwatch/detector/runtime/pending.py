"""What a shard has found since its last commit, folded per alert before anything becomes a row."""

from collections.abc import Iterable
from dataclasses import asdict, replace

from backwatch.detector.columns.key_texts import resource_key
from backwatch.detector.engine.findings import Clear, Findings, Fired, SeenResource
from backwatch.store.commit import Cleared, Occurrence, Quarantined, Raised, Rollup, Round, Seen, SeenProcess
from backwatch.store.ring import RING, kept, shown


class Pending:
    """Findings of one shard between two commits."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._rounds: list[tuple[dict[str, Raised], dict[str, Cleared]]] = [({}, {})]
        self._seen: dict[str, Seen] = {}
        self.processes: dict[tuple[str, str], SeenProcess] = {}
        """App and instance to the newest that was seen of a process."""
        self.rollups: list[Rollup] = []
        self.quarantined: list[Quarantined] = []
        self.losses: dict[str, int] = {}
        self.counters: dict[str, int] = {}
        self.calls = 0
        self.empty = True

    def add(self, findings: Findings) -> set[str]:
        """Folds a step's findings in; returns the ids of alerts that fired."""
        fired: set[str] = set()
        for event in findings.events:
            if isinstance(event, Fired):
                self._raise(event)
                fired.add(event.alert_id)
            else:
                self._clear(event)
        for one in findings.seen:
            self._see(one)
        for one in findings.processes:
            self.processes[one.app, one.instance] = SeenProcess(**asdict(one))
        self.rollups += [
            Rollup(resource_id=resource_key(one.parts).resource_id, end_ns=one.end_ns, **one.sums)
            for one in findings.windows
        ]
        self.quarantined += [
            Quarantined(
                partition=self._partition,
                offset=one.offset,
                reason=one.reason,
                value=one.value,
                appended_ns=one.appended_ns,
            )
            for one in findings.unreadable
        ]
        _count(self.losses, findings.losses.items())
        counts = {"spans": findings.spans, "calls": findings.calls, "late": findings.late, "cut": findings.cut}
        _count(self.counters, counts.items())
        self.calls += findings.calls
        self.empty = self.empty and not (findings.calls or findings.events or findings.windows or self.losses)
        return fired

    def rounds(self) -> tuple[Round, ...]:
        """Raises and clears, their order kept: in each round an alert's raise precedes its clear."""
        return tuple(
            Round(raised=tuple(raised.values()), cleared=tuple(cleared.values()))
            for raised, cleared in self._rounds
            if raised or cleared
        )

    def seen(self) -> tuple[Seen, ...]:
        """The resources that had calls."""
        return tuple(self._seen.values())

    def _raise(self, event: Fired) -> None:
        if event.alert_id in self._rounds[-1][1]:
            self._rounds.append(({}, {}))
        raised = self._rounds[-1][0]
        occurrences = tuple(
            Occurrence(time_ns=one.time_ns, trace_id=one.trace_id, span_id=one.span_id, evidence=one.evidence)
            for one in event.findings(newest=RING)
        )
        count = int(event.times.shape[0])
        first_ns, last_ns = int(event.times.min()), int(event.times.max())
        before = raised.get(event.alert_id)
        if before is None:
            raised[event.alert_id] = Raised(
                alert_id=event.alert_id, rule=event.rule.name, level=event.rule.level, app=event.key.app,
                resource_id=event.key.resource_id, resource=event.key.resource, key=event.key.label, count=count,
                first_ns=first_ns, last_ns=last_ns, occurrences=occurrences, accepts=event.accepts,
                begin_ns=int(event.times[0]),
            )  # fmt: skip
        else:
            both = (*before.occurrences, *occurrences)
            places = kept([shown(one.evidence, event.accepts) for one in both])
            raised[event.alert_id] = replace(
                before, count=before.count + count, first_ns=min(before.first_ns, first_ns),
                last_ns=max(before.last_ns, last_ns), occurrences=[both[at] for at in places],
            )  # fmt: skip

    def _clear(self, event: Clear) -> None:
        self._rounds[-1][1][event.alert_id] = Cleared(alert_id=event.alert_id, time_ns=event.time_ns)

    def _see(self, one: SeenResource) -> None:
        app, system, endpoint, namespace = one.parts
        resource_id = resource_key(one.parts).resource_id
        before = self._seen.get(resource_id)
        newest = before is None or one.last_ns >= before.last_ns
        self._seen[resource_id] = Seen(
            resource_id=resource_id, app=app, system=system, endpoint=endpoint, namespace=namespace,
            first_ns=min(one.first_ns, before.first_ns) if before else one.first_ns,
            last_ns=max(one.last_ns, before.last_ns) if before else one.last_ns,
            calls=one.calls + (before.calls if before else 0), errors=one.errors + (before.errors if before else 0),
            facts=one.facts if newest or before is None else before.facts,
        )  # fmt: skip


def _count(into: dict[str, int], more: Iterable[tuple[str, int]]) -> None:
    for name, count in more:
        if count:
            into[name] = into.get(name, 0) + count
