"""Verdicts: rules held against calls, closed windows and losses; what fired becomes findings."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.loss import LOSS_COUNT, LOSS_KIND
from backwatch.collector.facts.process import WATCH_LOST
from backwatch.detector.detectors import Array, Closed
from backwatch.detector.engine.columns import Prepared
from backwatch.detector.engine.findings import Findings, Fired, Key, alert_id, as_evidence, resource_key
from backwatch.detector.engine.folding import (
    FOLD_KEYS,
    FOLD_SCOPE,
    SCOPES,
    fold_key,
    scope_to_open,
    window_scope_keys,
)
from backwatch.detector.engine.log_entries import Loss
from backwatch.detector.engine.open_findings import NOT_UNDER, keys_of, rule_hash
from backwatch.detector.engine.raising import Firing, Raising, accepted, is_known, not_accepted
from backwatch.detector.engine.shard import Shard
from backwatch.detector.identity.identity_snapshot import Showing
from backwatch.detector.kernels.bounded_cache import BoundedCache
from backwatch.detector.rules.compiled_rules import RuleSet, Stage, matches
from backwatch.detector.rules.correlation import GROUP_BY, REACHED, TIMESPAN
from backwatch.detector.rules.correlation_state import CorrelationFirings, Correlator
from backwatch.detector.rules.fields import DOMAINS
from backwatch.detector.rules.filters import TIME
from backwatch.detector.rules.predicates import fields_of
from backwatch.detector.rules.rule_index import EntryIndex
from backwatch.detector.state.key_texts import key_of, part

_EVIDENCE = (*REACHED.values(), TIMESPAN, GROUP_BY)
_OVER_CALLS = frozenset(("call", "correlation"))
KEYS = 50_000
"""Alert ids of (rule, address) that are remembered; a cache."""
MAX_LOSS_ALERTS: Final = 256
"""Alerts about losses, by app and kind, that may fire within the time after which one clears; further ones fold."""
MAX_PROCESS_ALERTS: Final = 256
"""Alerts of one rule about processes, by app, host and state, that may fire within that time; further ones fold."""
_SHORT: Final = 16


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
        self.correlating = Correlator(rules.rules)
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
                known = as_evidence((name, told[name]) for name in self.facts_of[number] if name in told)
                evidence = {**sums, **known}
                end_ns = closed.end_ns[i : i + 1]
                self._window_fired(shard, findings, number, slot, int(address[i]), key, end_ns, evidence)
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
                key = self._loss_key(shard, number, key, loss.time_ns)
                self._fire(shard, findings, number, key, np.array([loss.time_ns], np.int64), told)

    def _loss_key(self, shard: Shard, number: int, key: Key, time_ns: int) -> Key:
        """The key, or the one that all share where too many apps and kinds had losses of late."""
        one = alert_id(self.rules.rules[number].name, key.text)
        if self._is_one_of_few(shard.scalars.loss_alerts, one, MAX_LOSS_ALERTS, time_ns):
            return key
        return Key(text="\x1efold\x1floss", app="", resource="backwatch", label="many losses", resource_id="")

    def _process_key(self, shard: Shard, number: int, key: Key, time_ns: int) -> Key:
        """Return the key, or the one that all share where too many apps and hosts were missed of late."""
        name = self.rules.rules[number].name
        late = shard.processes.late.setdefault(name, {})
        one = alert_id(name, key.text)
        if self._is_one_of_few(late, one, MAX_PROCESS_ALERTS, time_ns):
            return key
        # Named by the first that joins, whose app is of this shard alone: shards must not clear each other's alerts.
        text = f"\x1efold\x1fprocess\x1f{shard.processes.folds.setdefault(name, one[:_SHORT])}"
        return Key(text=text, app="", resource="backwatch", label="many processes", resource_id="")

    def _is_one_of_few(self, late: dict[str, int], one: str, most: int, time_ns: int) -> bool:
        """Return whether at most so many different alerts fired of late, this one among them."""
        short = one[:_SHORT]
        if short not in late and len(late) >= most:
            for other in [other for other, last_ns in late.items() if last_ns + self.clear_after_ns <= time_ns]:
                del late[other]
            if len(late) >= most:
                return False
        late[short] = max(time_ns, late.get(short, 0))
        return True

    def _window_fired(
        self,
        shard: Shard,
        findings: Findings,
        number: int,
        slot: int,
        address: int,
        key: Key,
        times: NDArray[np.int64],
        told: Mapping[str, Any],
    ) -> None:
        """Raises an alert of the window's resource, or of the fold that it joins."""
        rule, one = self.rules.rules[number], self.hashes[number]
        if accepted(shard, alert_id(rule.name, key.text), int(times[-1])):
            return
        if shard.open.find(keys_of(one, np.array([address], np.uint64)))[0] >= 0:
            self._fire(shard, findings, number, key, times, told, address)
            return
        known = bool(is_known(shard, np.array([slot]))[0])
        app = int.from_bytes(hashlib.blake2b(key.app.encode(), digest_size=8).digest(), "little")
        scopes = window_scope_keys(one, app, known=known)
        under: list[int] = scopes[:, 0].tolist()
        open_already = np.flatnonzero((shard.open.find(scopes[:, 0]) >= 0) & (scopes[:, 0] != 0))
        scope = int(open_already[0]) if open_already.shape[0] else scope_to_open(
            shard.open, under, rule, known=known, crowded=shard.scalars.crowded
        )  # fmt: skip
        if scope < 0:
            self._fire(shard, findings, number, key, times, told, address, under)
            return
        folded = fold_key(scope, key, "", known=known)
        folded_id = alert_id(rule.name, folded.text)
        if accepted(shard, folded_id, int(times[-1])):
            return
        keys = keys_of(one, np.array([address], np.uint64))
        above = [0 if at <= scope else it for at, it in enumerate(under)]
        counts = shard.open.folded(one, under[scope], bytes.fromhex(folded_id), int(times[-1]), 0, above, keys)
        more = {FOLD_SCOPE: SCOPES[scope], FOLD_KEYS: int(counts[-1])}
        self._fire(shard, findings, number, folded, times, {**told, **more})

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
                key = self._process_key(shard, number, key, time_ns)
                if self._fire(shard, findings, number, key, np.array([time_ns], np.int64), told):
                    raised.append(alert_id(self.rules.rules[number].name, key.text))
        return raised

    def _fire(
        self,
        shard: Shard,
        findings: Findings,
        number: int,
        key: Key,
        times: NDArray[np.int64],
        told: Mapping[str, Any],
        address: int = 0,
        under: Sequence[int] = NOT_UNDER,
    ) -> bool:
        rule = self.rules.rules[number]
        one = alert_id(rule.name, key.text)
        if accepted(shard, one, int(times[-1])):
            return False
        if address:
            shard.open.fired(self.hashes[number], address, bytes.fromhex(one), int(times[-1]), under=under)
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
        self._raising = Raising(verdicts, prepared, start, end)
        self._prepared = prepared
        self._start = start
        self._count = end - start
        self._rows = {
            domain: verdicts.index[domain].rows(
                prepared.entry[domain][start:end],
                verdicts.rules.evaluate_entry,
                partial(_facts_of, prepared, domain, start),
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
        counted: list[CorrelationFirings] = []
        if self._all.correlating.tables:
            counted, lost = self._all.correlating.evaluate(shard.spaces, rows, rules, {**columns, **facts})
            shard.scalars.uncounted += lost
        raised = ~self._silenced(shard, rows, rules, columns) & ~self._all.silent[rules]
        for number in np.unique(rules[raised]).tolist():
            mine = np.sort(rows[raised & (rules == number)])
            self._raising.fired(Firing(number, shard, columns, facts, showing, findings), mine)
        for one in counted:
            more = {**facts, **one.facts}
            self._raising.fired(Firing(one.number, shard, columns, more, showing, findings), one.rows)
            rows = np.concatenate([rows, one.rows])
            rules = np.concatenate([rules, np.full(one.rows.shape[0], one.number, np.int32)])
        self._not_fired(shard, rows, rules, columns)  # a silenced rule's own alert, if one is open, has not ended

    def _silenced(
        self, shard: Shard, rows: NDArray[np.int32], rules: NDArray[np.int32], columns: Mapping[str, Array]
    ) -> NDArray[np.bool_]:
        """Which firings another rule takes the place of; one that a person accepted is not raised, and takes none."""
        takes = np.ones(rows.shape[0], np.bool_)
        if shard.scalars.accepted or shard.expected.silent:
            for number in self._all.rules.superseding & set(np.unique(rules).tolist()):
                mine = np.sort(rows[rules == number])
                left = [
                    not_accepted(shard, one, group, columns) for one, _, group in self._raising.by_key(number, mine)
                ]
                takes[rules == number] = np.isin(rows[rules == number], np.concatenate(left))
        return self._all.rules.find_superseded(rows, rules, takes)

    def _evaluate(self, columns: Mapping[str, Array], stage: Stage) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        bits = {domain: self._all.index[domain].bits for domain in DOMAINS}
        return self._all.rules.evaluate(bits, self._rows, columns, stage)

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


def _facts_of(prepared: Prepared, domain: str, start: int, row: int) -> Mapping[str, Any]:
    return prepared.rule_facts(start + row, domain)


def _pairs(rows: NDArray[np.int32], rules: NDArray[np.int32]) -> NDArray[np.int64]:
    return (rows.astype(np.int64) << 16) | rules
