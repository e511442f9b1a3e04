"""From firings to findings: a key's own alert, or the fold that it joins."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.derived import numbers
from backwatch.detector.detectors import Array
from backwatch.detector.engine.columns import Prepared
from backwatch.detector.engine.findings import FIRSTS, Findings, Fired, Key, alert_id, resource_key
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
from backwatch.detector.engine.shard import Shard
from backwatch.detector.identity.identity_snapshot import Showing
from backwatch.detector.state.key_texts import resource_parts

if TYPE_CHECKING:
    from backwatch.detector.engine.verdicts import Verdicts


@dataclass(frozen=True, slots=True)
class Firing:
    """One rule's firings in one run, while they become findings."""

    number: int
    shard: Shard
    columns: Mapping[str, Array]
    facts: Mapping[str, Array]
    showing: Showing
    findings: Findings


class Raising:
    """Raises the findings of one run of calls."""

    def __init__(self, verdicts: "Verdicts", prepared: Prepared, start: int, end: int) -> None:
        self._all = verdicts
        self._prepared = prepared
        self._start = start
        self._count = end - start

    def fired(self, firing: Firing, rows: NDArray[np.int32]) -> None:
        """Adds the findings of these calls, which are in order."""
        shard, number = firing.shard, firing.number
        rule = self._all.rules.rules[number]
        address = self._prepared.address[rule.key][self._start : self._start + self._count]
        keys = keys_of(self._all.hashes[number], address[rows])
        is_open = shard.open.find(keys) >= 0
        for one, key, group in self.by_key(number, rows[is_open]):
            self._raise(firing, one, key, not_accepted(shard, one, group, firing.columns), NOT_UNDER)
        if not is_open.all():
            self._open(firing, rows[~is_open], keys[~is_open])

    def _open(self, firing: Firing, rows: NDArray[np.int32], keys: NDArray[np.uint64]) -> None:
        """Raises what has no open alert of its own: as one where there is room in its scopes, else in a fold.

        Each opening is decided at the first call that asks for it, so that no result depends on batches.
        """
        shard, number = firing.shard, firing.number
        rule, rule_hash = self._all.rules.rules[number], self._all.hashes[number]
        if shard.scalars.accepted or shard.expected.silent:
            groups = self.by_key(number, rows)
            kept = [not_accepted(shard, one, group, firing.columns) for one, _, group in groups]
            left = np.isin(rows, np.concatenate(kept))
            rows, keys = rows[left], keys[left]
        known = is_known(shard, firing.showing.slot[rows])
        at = rows.astype(np.int64) + self._start
        scopes = scope_keys(rule, rule_hash, self._prepared, at, firing.columns, rows, known)
        waiting = np.ones(rows.shape[0], np.bool_)
        for scope in range(len(SCOPES)):
            mine = waiting & (scopes[scope] != 0) & (shard.open.find(scopes[scope]) >= 0)
            waiting &= ~mine
            for one in np.unique(scopes[scope][mine]).tolist():
                some = mine & (scopes[scope] == one)
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
                one, key = self._all.key(number, self._prepared, self._start + int(rows[first]))
                self._raise(firing, one, key, rows[mine], under)
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
        """Raises the alert that these calls' keys share."""
        shard, rule = firing.shard, self._all.rules.rules[firing.number]
        row = self._start + int(rows[0])
        resource = resource_key(resource_parts(self._prepared, row))
        key = call_fold_key(scope, self._prepared, row, resource, known=bool(known[0]))
        one = alert_id(rule.name, key.text)
        mine = not_accepted(shard, one, rows, firing.columns)
        if not mine.shape[0]:
            return
        under: list[int] = [0 if at <= scope else it for at, it in enumerate(scopes[:, 0].tolist())]
        times = firing.columns["time_ns"][mine]
        counts = shard.open.folded(
            self._all.hashes[firing.number], int(scopes[scope, 0]), bytes.fromhex(one), int(times.max()), int(mine[0]),
            under, keys[np.isin(rows, mine)],
        )  # fmt: skip
        event = self._event(firing, one, key, mine)
        folded = {**event.facts, FOLD_KEYS: counts}
        firing.findings.events.append(
            replace(event, facts=folded, told={FOLD_SCOPE: SCOPES[scope]}, accepts=(), was={}, firsts=())
        )

    def _raise(self, firing: Firing, one: str, key: Key, mine: NDArray[np.int32], under: Sequence[int]) -> None:
        """Raises a key's own alert."""
        if not mine.shape[0]:
            return
        rule = self._all.rules.rules[firing.number]
        times = firing.columns["time_ns"][mine]
        told_address = int(self._prepared.address[rule.key][self._start + int(mine[0])])
        firing.shard.open.fired(
            self._all.hashes[firing.number], told_address, bytes.fromhex(one), int(times.max()), int(mine[0]), under
        )
        accepts = self._all.accepts.get(rule.name, ())
        event = self._event(firing, one, key, mine)
        firing.findings.events.append(
            replace(
                event, was=firing.showing.before(mine) if accepts else {}, accepts=accepts,
                firsts=_firsts([firing.columns[name][mine] for name in accepts]),
            )
        )  # fmt: skip

    def _event(self, firing: Firing, one: str, key: Key, mine: NDArray[np.int32]) -> Fired:
        columns, facts = firing.columns, firing.facts
        computed = {**{fact.name: columns[fact.name] for fact in numbers.FACTS}, **facts}
        return Fired(
            rule=self._all.rules.rules[firing.number],
            alert_id=one,
            key=key,
            decoded=self._prepared.decoded,
            rows=(mine + self._start).astype(np.int32),
            times=columns["time_ns"][mine],
            facts={name: computed[name][mine] for name in self._all.facts_of[firing.number] if name in computed},
        )

    def by_key(self, number: int, rows: NDArray[np.int32]) -> Iterator[tuple[str, Key, NDArray[np.int32]]]:
        """Alert id, key and calls of each key that these calls of one rule are of, by their first call."""
        if not rows.shape[0]:
            return
        space = self._all.rules.rules[number].key
        address = self._prepared.address[space][self._start : self._start + self._count][rows]
        order = np.argsort(address, kind="stable")
        cuts = np.flatnonzero(np.diff(address[order])) + 1
        for group in sorted(np.split(rows[order], cuts), key=lambda one: int(one[0])):
            yield *self._all.key(number, self._prepared, self._start + int(group[0])), group


def is_known(shard: Shard, slot: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether the resource in each slot is known for long."""
    first_ns = shard.spaces["resource"].first_seen[slot]
    return (slot != 0) & (first_ns > 0) & (first_ns + KNOWN_AFTER_NS <= shard.scalars.boundary_ns)


def _firsts(shown: Sequence[Array]) -> list[int]:
    """Where something is shown for the first time, by the hashes of what each firing shows."""
    if not shown:
        return []
    _, first = np.unique(np.stack(shown, axis=1), axis=0, return_index=True)
    return np.sort(first)[:FIRSTS].tolist()


def not_accepted(shard: Shard, one: str, rows: NDArray[np.int32], columns: Mapping[str, Array]) -> NDArray[np.int32]:
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
