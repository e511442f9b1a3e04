"""Verdicts: rules held against calls, closed windows and losses; what fired becomes findings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.bounded_cache import BoundedCache
from backwatch.detector.detectors import Array, Closed
from backwatch.detector.engine.columns import Prepared
from backwatch.detector.engine.correlating import Correlated, Correlating
from backwatch.detector.engine.correlation import GROUP_BY, REACHED, TIMESPAN
from backwatch.detector.engine.entries import Loss
from backwatch.detector.engine.fields import DOMAINS, LOSS_COUNT, LOSS_KIND, WATCH_LOST
from backwatch.detector.engine.filters import TIME
from backwatch.detector.engine.findings import FIRSTS, Findings, Fired, Key, alert_id, plain, resource_key
from backwatch.detector.engine.keytexts import key_of, part
from backwatch.detector.engine.open_findings import rule_hash
from backwatch.detector.engine.predicates import fields_of
from backwatch.detector.engine.readings import FLAGS, NUMBERS
from backwatch.detector.engine.rule_index import EntryIndex
from backwatch.detector.engine.rules import RuleSet, Stage, matches
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.shown import Showing

_EVIDENCE = (*REACHED.values(), TIMESPAN, GROUP_BY)
_OVER_CALLS = frozenset(("call", "correlation"))
KEYS = 50_000
"""Alert ids of (rule, address) that are remembered; a cache."""


class Verdicts:
    """The rules of an engine, with their caches."""

    def __init__(self, rules: RuleSet, clear_after_ns: int, accepts: Mapping[str, Sequence[str]]) -> None:
        self.rules = rules
        self.clear_after_ns = clear_after_ns
        self.accepts = accepts
        """Rule to what is accepted on its alerts; the evidence of these says what was before."""
        self.index = {domain: EntryIndex(domain, rules.words) for domain in DOMAINS}
        self.hashes = [rule_hash(rule.name) for rule in rules.rules]
        over = [rule.over for rule in rules.rules]
        self.of_calls = {self.hashes[number]: number for number, one in enumerate(over) if one in _OVER_CALLS}
        self._of_windows = [number for number, one in enumerate(over) if one == "window"]
        self._of_losses = [number for number, one in enumerate(over) if one == "loss"]
        self._of_processes = [number for number, one in enumerate(over) if one == "process"]
        self.suspects = np.array([rule.suspect for rule in rules.rules], np.bool_)
        self.silent = np.array([rule.silent for rule in rules.rules], np.bool_)
        self.correlating = Correlating(rules.rules)
        self.facts_of = [[*sorted(fields_of(rule.condition)), *_EVIDENCE] for rule in rules.rules]
        self._keys = BoundedCache[tuple[int, int], tuple[str, Key]](KEYS)

    def begin(self, prepared: Prepared, start: int, end: int) -> "RunVerdict":
        """Verdicts of one run of calls."""
        return RunVerdict(self, prepared, start, end)

    def key(self, rule: int, prepared: Prepared, row: int) -> tuple[str, Key]:
        """Alert id and key of a rule for this call."""
        space = self.rules.rules[rule].key

        def made() -> tuple[str, Key]:
            key = key_of(space, prepared, row)
            return alert_id(self.rules.rules[rule].name, key.text), key

        return self._keys.get((rule, int(prepared.address[space][row])), made)

    def windows(self, shard: Shard, closed: Closed, facts: Mapping[str, Array], findings: Findings) -> None:
        """Holds the window rules against windows that just closed."""
        address = shard.spaces["resource"].keys[closed.slot]
        for number in self._of_windows:
            rule = self.rules.rules[number]
            fired = np.zeros(closed.slot.shape[0], np.bool_)
            for i, slot in enumerate(closed.slot.tolist()):
                sums = {name: values[i].item() for name, values in closed.columns.items()}
                told = {**sums, **{name: values[i].item() for name, values in facts.items()}}
                if not matches(rule, {**told, TIME: int(closed.end_ns[i])}):
                    continue
                fired[i] = True
                key = resource_key(shard.resources[slot])
                evidence = {**sums, **{name: plain(told[name]) for name in self.facts_of[number] if name in told}}
                end_ns = closed.end_ns[i : i + 1]
                self._fire(shard, findings, number, int(address[i]), key, end_ns, evidence)
            shard.open.not_fired(self.hashes[number], address, closed.end_ns, fired)

    def lost(self, shard: Shard, loss: Loss, findings: Findings) -> None:
        """Counts a loss unless that is done, and holds the loss rules against it."""
        if not loss.counted:
            findings.losses[loss.kind] = findings.losses.get(loss.kind, 0) + loss.count
        told = {LOSS_KIND: loss.kind, LOSS_COUNT: loss.count, names.SERVICE_NAME: loss.app}
        for number in self._of_losses:
            if matches(self.rules.rules[number], {**told, TIME: loss.time_ns}):
                app = part(loss.app)
                text = f"loss\x1f{app}\x1f{loss.kind}"
                key = Key(text=text, app=app, resource="backwatch", label=loss.kind, resource_id="")
                self._fire(shard, findings, number, 0, key, np.array([loss.time_ns], np.int64), told)

    def presence(
        self, shard: Shard, app: str, host: str, facts: Mapping[str, Any], time_ns: int, findings: Findings
    ) -> list[str]:
        """Hold the process rules against a process or an app that is missed; return the alerts that were raised."""
        raised: list[str] = []
        told = {**facts, names.SERVICE_NAME: app}
        app, label = part(app), f"{facts[WATCH_LOST]} {part(host)}".strip()
        for number in self._of_processes:
            if matches(self.rules.rules[number], {**told, TIME: time_ns}):
                text = f"watch\x1f{app}\x1f{label}"
                key = Key(text=text, app=app, resource="backwatch", label=label, resource_id="")
                if self._fire(shard, findings, number, 0, key, np.array([time_ns], np.int64), told):
                    raised.append(alert_id(self.rules.rules[number].name, text))
        return raised

    def _fire(
        self,
        shard: Shard,
        findings: Findings,
        number: int,
        address: int,
        key: Key,
        times: NDArray[np.int64],
        told: Mapping[str, Any],
    ) -> bool:
        rule = self.rules.rules[number]
        one = alert_id(rule.name, key.text)
        if accepted(shard, one, int(times[-1])):
            return False
        if address:
            shard.open.fired(self.hashes[number], address, bytes.fromhex(one), int(times[-1]))
        findings.events.append(
            Fired(
                rule=rule,
                alert_id=one,
                key=key,
                decoded=None,
                rows=np.empty(0, np.int32),
                times=times,
                facts={},
                told=told,
            )
        )
        return True


class RunVerdict:
    """The verdicts of one run: first on what was told, then on facts."""

    def __init__(self, verdicts: Verdicts, prepared: Prepared, start: int, end: int) -> None:
        self._all = verdicts
        self._prepared = prepared
        self._start = start
        self._count = end - start
        evidence_of = prepared.rule_facts
        self._rows = {
            domain: verdicts.index[domain].rows(
                prepared.entry[domain][start:end], verdicts.rules.entry_bits, lambda row: evidence_of(start + row)
            )
            for domain in DOMAINS
        }
        self._told: tuple[NDArray[np.int32], NDArray[np.int32]] = (np.empty(0, np.int32), np.empty(0, np.int32))

    def told(self, columns: Mapping[str, Array]) -> NDArray[np.bool_]:
        """Which calls are suspect, on what the collector told."""
        self._told = self._evaluate(columns, stage=1)
        rows, rules = self._told
        suspect = np.zeros(self._count, np.bool_)
        suspect[rows[self._all.suspects[rules]]] = True
        return suspect

    def judge(
        self,
        shard: Shard,
        columns: Mapping[str, Array],
        facts: Mapping[str, Array],
        showing: Showing,
        findings: Findings,
    ) -> None:
        """All verdicts of this run, as findings; keeps track of which are open."""
        late = columns["late"]
        rows, rules = self._evaluate({**columns, **facts}, stage=3)
        quiet = late[rows]  # a late call is judged by rules on what was told, and by no other
        both = np.concatenate([_pairs(*self._told), _pairs(rows[~quiet], rules[~quiet])])
        both = np.unique(both)  # a rule that fires by what was told and by what was learnt is one finding
        rows, rules = (both >> 16).astype(np.int32), (both & 0xFFFF).astype(np.int32)
        counted: list[Correlated] = []
        if self._all.correlating.tables:
            counted, lost = self._all.correlating.judge(shard.spaces, rows, rules, {**columns, **facts})
            shard.scalars.uncounted += lost
        raised = ~self._silenced(shard, rows, rules, columns) & ~self._all.silent[rules]
        for number in np.unique(rules[raised]).tolist():
            self._fired(shard, number, np.sort(rows[raised & (rules == number)]), columns, facts, showing, findings)
        for one in counted:
            self._fired(shard, one.number, one.rows, columns, {**facts, **one.facts}, showing, findings)
            rows = np.concatenate([rows, one.rows])
            rules = np.concatenate([rules, np.full(one.rows.shape[0], one.number, np.int32)])
        self._not_fired(shard, rows, rules, columns)  # a silenced rule's own alert, if one is open, has not ended

    def _silenced(
        self, shard: Shard, rows: NDArray[np.int32], rules: NDArray[np.int32], columns: Mapping[str, Array]
    ) -> NDArray[np.bool_]:
        """Which firings another rule takes the place of; one that a person accepted is not raised, and takes none."""
        takes = np.ones(rows.shape[0], np.bool_)
        if shard.scalars.accepted or shard.expected.silent:
            for number in self._all.rules.taking_places & set(np.unique(rules).tolist()):
                mine = np.sort(rows[rules == number])
                left = [_not_accepted(shard, one, group, columns) for one, _, group in self._by_key(number, mine)]
                takes[rules == number] = np.isin(rows[rules == number], np.concatenate(left))
        return self._all.rules.silenced(rows, rules, takes)

    def _by_key(self, number: int, rows: NDArray[np.int32]) -> Iterator[tuple[str, Key, NDArray[np.int32]]]:
        """Alert id, key and calls of each key that these calls of one rule are of, by their first call."""
        space = self._all.rules.rules[number].key
        address = self._prepared.address[space][self._start : self._start + self._count][rows]
        order = np.argsort(address, kind="stable")
        cuts = np.flatnonzero(np.diff(address[order])) + 1
        for group in sorted(np.split(rows[order], cuts), key=lambda one: int(one[0])):
            yield *self._all.key(number, self._prepared, self._start + int(group[0])), group

    def _evaluate(self, columns: Mapping[str, Array], stage: Stage) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        bits = {domain: self._all.index[domain].bits for domain in DOMAINS}
        return self._all.rules.evaluate(bits, self._rows, columns, stage)

    def _fired(
        self,
        shard: Shard,
        number: int,
        rows: NDArray[np.int32],
        columns: Mapping[str, Array],
        facts: Mapping[str, Array],
        showing: Showing,
        findings: Findings,
    ) -> None:
        rule = self._all.rules.rules[number]
        accepts = self._all.accepts.get(rule.name, ())
        computed = {**{name: columns[name] for name in (*NUMBERS, *FLAGS)}, **facts}
        for one, key, group in self._by_key(number, rows):
            mine = _not_accepted(shard, one, group, columns)
            if not mine.shape[0]:
                continue
            times = columns["time_ns"][mine]
            told_address = int(self._prepared.address[rule.key][self._start + int(mine[0])])
            shard.open.fired(self._all.hashes[number], told_address, bytes.fromhex(one), int(times.max()), int(mine[0]))
            findings.events.append(
                Fired(
                    rule=rule,
                    alert_id=one,
                    key=key,
                    decoded=self._prepared.decoded,
                    rows=(mine + self._start).astype(np.int32),
                    times=times,
                    facts={name: computed[name][mine] for name in self._all.facts_of[number] if name in computed},
                    was=showing.before(mine) if accepts else {},
                    accepts=accepts,
                    firsts=_firsts([columns[name][mine] for name in accepts]),
                )
            )

    def _not_fired(
        self, shard: Shard, rows: NDArray[np.int32], rules: NDArray[np.int32], columns: Mapping[str, Array]
    ) -> None:
        for opened in shard.open.rules():
            number = self._all.of_calls.get(opened)
            if number is None:
                continue
            fired = columns["late"].copy()  # a late call was not judged by all that was learnt: it proves nothing
            fired[rows[rules == number]] = True
            space = self._all.rules.rules[number].key
            address = self._prepared.address[space][self._start : self._start + self._count]
            shard.open.not_fired(opened, address, columns["time_ns"], fired)
        shard.open.run_over()


def _pairs(rows: NDArray[np.int32], rules: NDArray[np.int32]) -> NDArray[np.int64]:
    return (rows.astype(np.int64) << 16) | rules


def _firsts(shown: Sequence[Array]) -> list[int]:
    """Where something is shown for the first time, by the hashes of what each firing shows."""
    if not shown:
        return []
    _, first = np.unique(np.stack(shown, axis=1), axis=0, return_index=True)
    return np.sort(first)[:FIRSTS].tolist()


def _not_accepted(shard: Shard, one: str, rows: NDArray[np.int32], columns: Mapping[str, Array]) -> NDArray[np.int32]:
    """Those of these calls that no acceptance covers: one that ends does so at a call, not at a batch."""
    time_ns = columns["time_ns"]
    until_ns = shard.scalars.accepted.get(one)
    if until_ns is not None:
        return rows[:0] if until_ns == 0 else rows[time_ns[rows] >= until_ns]
    for until_ns, shown in shard.expected.silent.get(one, ()):
        same = np.ones(rows.shape[0], np.bool_)
        for name, value in shown.items():
            same &= columns[name][rows] == np.uint64(value)
        rows = rows[~(same & ((until_ns == 0) | (time_ns[rows] < until_ns)))]
    return rows


def accepted(shard: Shard, one: str, time_ns: int) -> bool:
    """Whether a person accepted this alert's cause, for now."""
    until_ns = shard.scalars.accepted.get(one)
    return until_ns is not None and (until_ns == 0 or time_ns < until_ns)
