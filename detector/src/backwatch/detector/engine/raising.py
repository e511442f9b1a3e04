"""Turns firings into findings: each key's own alert, or the fold that it joins."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.columns.key_texts import Key, alert_id, resource_key, resource_parts
from backwatch.detector.columns.prepared import Prepared
from backwatch.detector.derived import numbers
from backwatch.detector.detectors import Array
from backwatch.detector.engine.findings import MAX_FIRSTS, Findings, Firings
from backwatch.detector.engine.folding import (
    FOLD_KEYS,
    FOLD_SCOPE,
    KNOWN_AFTER_NS,
    SCOPES,
    call_fold_key,
    scope_keys,
    scope_to_open,
)
from backwatch.detector.engine.open_findings import NOT_UNDER, keys_of
from backwatch.detector.engine.rule_table import RuleTable
from backwatch.detector.engine.shard import Shard
from backwatch.detector.identity.identity_snapshot import IdentitySnapshot
from backwatch.detector.rules.sigma import Rule


@dataclass(frozen=True, slots=True)
class Firing:
    """One rule's firings in one run, while they become findings."""

    number: int
    shard: Shard
    columns: Mapping[str, Array]
    facts: Mapping[str, Array]
    snapshot: IdentitySnapshot
    findings: Findings
    escalations: Sequence[tuple[Rule, NDArray[np.int32]]] = ()
    """Rules that raise the alert to their level, each with the calls on which it fired."""


class Raising:
    """Raises the findings of one run of calls."""

    def __init__(self, table: RuleTable, prepared: Prepared, start: int, end: int) -> None:
        self._table = table
        self._prepared = prepared
        self._start = start
        self._count = end - start

    def add_firings(self, firing: Firing, rows: NDArray[np.int32]) -> None:
        """Add the findings of these calls, which are in order."""
        shard, number = firing.shard, firing.number
        rule = self._table.rules[number]
        address = self._prepared.address[rule.key][self._start : self._start + self._count]
        keys = keys_of(self._table.hashes[number], address[rows])
        is_open = shard.open.find(keys) >= 0
        for alert, key, group in self.by_key(number, rows[is_open]):
            self._raise(firing, alert, key, find_not_accepted(shard, alert, group, firing.columns), NOT_UNDER)
        if not is_open.all():
            self._open(firing, rows[~is_open], keys[~is_open])

    def _open(self, firing: Firing, rows: NDArray[np.int32], keys: NDArray[np.uint64]) -> None:
        """Raise calls without an open alert: as their own alert if their scopes have room, else in a fold.

        Each opening is decided at the first call that asks for it, so that no result depends on batches.
        """
        shard, number = firing.shard, firing.number
        rule, rule_hash = self._table.rules[number], self._table.hashes[number]
        if shard.expected.has_acceptances:
            groups = self.by_key(number, rows)
            kept = [find_not_accepted(shard, alert, group, firing.columns) for alert, _, group in groups]
            left = np.isin(rows, np.concatenate(kept))
            rows, keys = rows[left], keys[left]
        known = is_known(shard, firing.snapshot.slot[rows])
        at = rows.astype(np.int64) + self._start
        scopes = scope_keys(rule, rule_hash, self._prepared, at, firing.columns, rows, known)
        waiting = np.ones(rows.shape[0], np.bool_)
        for scope in range(len(SCOPES)):
            mine = waiting & (scopes[scope] != 0) & (shard.open.find(scopes[scope]) >= 0)
            waiting &= ~mine
            for scope_key in np.unique(scopes[scope][mine]).tolist():
                some = mine & (scopes[scope] == scope_key)
                self._fold(firing, scope, rows[some], keys[some], scopes[:, some], known[some])
        while waiting.any():
            first = int(np.argmax(waiting))
            under: list[int] = scopes[:, first].tolist()
            scope = scope_to_open(
                shard.open, under, rule, known=bool(known[first]), crowded=shard.scalars.crowded
            )  # fmt: skip
            mine = waiting & (keys == keys[first] if scope < 0 else scopes[scope] == scopes[scope, first])
            waiting &= ~mine
            if scope < 0:
                alert, key = self._table.key(number, self._prepared, self._start + int(rows[first]))
                self._raise(firing, alert, key, rows[mine], under)
            else:
                self._fold(firing, scope, rows[mine], keys[mine], scopes[:, mine], known[mine])

    def _fold(
        self,
        firing: Firing,
        scope: int,
        rows: NDArray[np.int32],
        keys: NDArray[np.uint64],
        scopes: NDArray[np.uint64],
        known: NDArray[np.bool_],
    ) -> None:
        """Raise the alert that these calls' keys share."""
        shard, rule = firing.shard, self._table.rules[firing.number]
        row = self._start + int(rows[0])
        resource = resource_key(resource_parts(self._prepared, row))
        key = call_fold_key(scope, self._prepared, row, resource, known=bool(known[0]))
        alert = alert_id(rule.name, key.text)
        mine = find_not_accepted(shard, alert, rows, firing.columns)
        if not mine.shape[0]:
            return
        under: list[int] = [0 if at <= scope else it for at, it in enumerate(scopes[:, 0].tolist())]
        times = firing.columns["time_ns"][mine]
        counts = shard.open.note_fold(
            self._table.hashes[firing.number], int(scopes[scope, 0]), bytes.fromhex(alert), int(times.max()),
            int(mine[0]), under, keys[np.isin(rows, mine)],
        )  # fmt: skip
        event = self._make_event(firing, alert, key, mine)
        folded = {**event.facts, FOLD_KEYS: counts}
        firing.findings.events.append(
            replace(event, facts=folded, evidence={FOLD_SCOPE: SCOPES[scope]}, accepts=(), was={}, firsts=())
        )

    def _raise(self, firing: Firing, alert: str, key: Key, mine: NDArray[np.int32], under: Sequence[int]) -> None:
        """Raise a key's own alert."""
        if not mine.shape[0]:
            return
        rule = self._table.rules[firing.number]
        times = firing.columns["time_ns"][mine]
        address = int(self._prepared.address[rule.key][self._start + int(mine[0])])
        firing.shard.open.note_firing(
            self._table.hashes[firing.number], address, bytes.fromhex(alert), int(times.max()), int(mine[0]), under
        )
        accepts = self._table.accepts.get(rule.name, ())
        event = self._make_event(firing, alert, key, mine)
        firing.findings.events.append(
            replace(
                event, was=firing.snapshot.before(mine) if accepts else {}, accepts=accepts,
                firsts=_firsts([firing.columns[name][mine] for name in accepts]),
            )
        )  # fmt: skip

    def _make_event(self, firing: Firing, alert: str, key: Key, mine: NDArray[np.int32]) -> Firings:
        columns, facts = firing.columns, firing.facts
        computed = {**{fact.name: columns[fact.name] for fact in numbers.FACTS}, **facts}
        return Firings(
            rule=self._table.rules[firing.number],
            alert_id=alert,
            key=key,
            decoded=self._prepared.decoded,
            rows=(mine + self._start).astype(np.int32),
            times=columns["time_ns"][mine],
            words=self._table.words,
            canonical=self._prepared.canonical,
            escalated=_escalated(firing, mine),
            facts={name: computed[name][mine] for name in self._table.evidence[firing.number] if name in computed},
        )

    def by_key(self, number: int, rows: NDArray[np.int32]) -> Iterator[tuple[str, Key, NDArray[np.int32]]]:
        """Yield alert id, key and calls of each key among these calls of one rule, ordered by first call."""
        if not rows.shape[0]:
            return
        space = self._table.rules[number].key
        address = self._prepared.address[space][self._start : self._start + self._count][rows]
        order = np.argsort(address, kind="stable")
        cuts = np.flatnonzero(np.diff(address[order])) + 1
        for group in sorted(np.split(rows[order], cuts), key=lambda rows_of_key: int(rows_of_key[0])):
            yield *self._table.key(number, self._prepared, self._start + int(group[0])), group


def _escalated(firing: Firing, mine: NDArray[np.int32]) -> list[tuple[Rule, NDArray[np.bool_]]]:
    """Return the rules that raise the alert to their level, each with the firings on which it fired, too."""
    found = [(rule, np.isin(mine, rows)) for rule, rows in firing.escalations]
    return [(rule, fired) for rule, fired in found if fired.any()]


def is_known(shard: Shard, slot: NDArray[Any]) -> NDArray[np.bool_]:
    """Return whether the resource in each slot has been known for long."""
    first_ns = shard.spaces["resource"].first_seen[slot]
    return (slot != 0) & (first_ns > 0) & (first_ns + KNOWN_AFTER_NS <= shard.scalars.boundary_ns)


def _firsts(shown: Sequence[Array]) -> list[int]:
    """Return where a value is shown for the first time, by the hashes of the values that each firing shows."""
    if not shown:
        return []
    _, first = np.unique(np.stack(shown, axis=1), axis=0, return_index=True)
    return np.sort(first)[:MAX_FIRSTS].tolist()


def find_not_accepted(
    shard: Shard, alert: str, rows: NDArray[np.int32], columns: Mapping[str, Array]
) -> NDArray[np.int32]:
    """Return the calls that no acceptance covers. An acceptance ends at a call, not at a batch."""
    time_ns = columns["time_ns"]
    until_ns = shard.expected.silenced.get(alert)
    if until_ns is not None:
        return rows[:0] if until_ns == 0 else rows[time_ns[rows] >= until_ns]
    for until_ns, shown in shard.expected.silent.get(alert, ()):
        same = np.ones(rows.shape[0], np.bool_)
        for name, value in shown.items():
            same &= columns[name][rows] == np.uint64(value)
        rows = rows[~(same & ((until_ns == 0) | (time_ns[rows] < until_ns)))]
    return rows


def is_accepted(shard: Shard, alert: str, time_ns: int) -> bool:
    """Return whether an operator accepted this alert's cause at this time."""
    until_ns = shard.expected.silenced.get(alert)
    return until_ns is not None and (until_ns == 0 or time_ns < until_ns)
