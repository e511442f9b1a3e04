"""Announced and accepted identities, applied to calls: such values are known when they first appear.

Nothing is entered into a detector's set before a call shows it: so a set is not crowded by what never comes, what an
announcement no longer lists and no call showed is forgotten by itself, and a later resource finds its own.
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.known_values import ACCEPTED, EXPECTED
from backwatch.detector.columns.key_texts import resource_key
from backwatch.detector.columns.prepared import Prepared
from backwatch.detector.derived.numbers import NODES, VERSION_NUMBER, nodes_of
from backwatch.detector.detectors import EXPECTED_SUFFIX, Array, Detector
from backwatch.detector.engine.findings import Findings
from backwatch.detector.engine.log_entries import Decision, ProfileVersion
from backwatch.detector.engine.shard import Shard
from backwatch.detector.identity.expected import Acceptance, Announced, Network
from backwatch.detector.identity.identity_values import COLUMN_OF, COLUMNS, is_in, values_of
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.hashing import mix
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.state.keys import RESOURCE
from backwatch.store.commit import ClearedAlert

Parts = tuple[str, str, str, str]


@kernel
def _key(slot: int, column: int, value: int) -> Any:
    return mix(np.uint64(value), np.uint64(slot) * np.uint64(16) + np.uint64(column) + np.uint64(1))


@kernel
def _keys(slot: Array, column: Array, value: Array, out: Array) -> None:
    for i in range(slot.shape[0]):
        out[i] = _key(slot[i], column[i], value[i])


@kernel
def _mark_expected(
    slot: Array, column: int, value: Array, time_ns: Array, is_expected: Array, keys: Array, until: Array, out: Array
) -> None:
    for i in range(slot.shape[0]):
        if not is_expected[slot[i]] or value[i] == 0:
            continue
        key = _key(slot[i], column, value[i])
        at = np.searchsorted(keys, key)
        if at < keys.shape[0] and keys[at] == key:
            if until[at] == 0:
                out[i] = EXPECTED
            elif time_ns[i] < until[at]:
                out[i] = ACCEPTED


class Identities:
    """Applies announcements and acceptances to the calls of any number of shards.

    Args:
        hash_text: The installation's keyed hash.
    """

    def __init__(self, detectors: Sequence[Detector], rules: RuleSet, hash_text: Callable[[bytes], int]) -> None:
        self._hash = hash_text
        self._table = {column: table for detector in detectors for column, table in detector.knows}
        self._shows = {detector.id: detector.accepts for detector in detectors}
        knows = {detector.id: [column for column, _ in detector.knows] for detector in detectors}
        below = {rule.name: rule.instead_of for rule in rules.rules}
        self._covers = {
            detector.id: {column for name in _all_below(detector.id, below) for column in knows.get(name, ())}
            for detector in detectors
        }
        """Accepting an alert covers the facts of its rule, and those of the rules that it replaces."""

    def of_values(self, decision: Decision) -> bool:
        """Return whether this acceptance is of values; otherwise it silences the rule for its key."""
        return decision.values is not None and bool(self._shows.get(decision.rule))

    def restore(self, shard: Shard) -> None:
        """Rebuild the derived state after a load."""
        shard.expected.stale = False
        for slot, parts in shard.resources.items():
            self._collect(shard, slot, parts)
        self._index(shard)
        self._silence(shard, shard.expected.accepted)

    def announce(self, shard: Shard, entry: ProfileVersion) -> None:
        """Replace the announcement of the app."""
        shard.expected.announce(entry.app, entry.announced)
        for slot, parts in shard.resources.items():
            if parts[0] == entry.app:
                self._collect(shard, slot, parts)
                if shard.spaces[RESOURCE.name].keys[slot]:
                    self._pin(shard, slot, parts)
        self._index(shard)

    def accept(self, shard: Shard, decision: Decision, findings: Findings) -> None:
        """Make the values that the alert showed known at its resource, until the acceptance ends."""
        values = decision.values or {}
        shown = {name: values.get(name, "") for name in self._shows[decision.rule]}
        if not any(shown.values()):
            return
        slot = self._slot(shard, decision.resource_id)
        unknown = dict(self._find_unknown(shard, slot, values, self._covers[decision.rule]))
        acceptance = Acceptance(
            resource_id=decision.resource_id, until_ns=decision.until_ns, shown=shown, values=unknown
        )
        shard.expected.accept(decision.alert_id, acceptance)
        self._reassess(shard, slot, decision.alert_id)
        close(shard, decision, findings)

    def revoke(self, shard: Shard, alert_id: str) -> None:
        """Make what was accepted on this alert unknown again."""
        taken = shard.expected.revoke(alert_id)
        for acceptance in taken:
            slot = self._slot(shard, acceptance.resource_id)
            for column, value in values_of(acceptance.values, self._hash):
                self._forget(shard, slot, column, value)
            self._reassess(shard, slot, alert_id)

    def apply_to_new_resource(self, shard: Shard, slot: int, parts: Parts) -> None:
        """Apply announcements and acceptances to a new resource."""
        state = shard.expected
        if not (state.profiles or state.accepted or state.is_expected[slot]):
            return
        before = state.by_slot.get(slot)
        self._collect(shard, slot, parts)
        self._pin(shard, slot, parts)
        if before or state.by_slot.get(slot):
            self._index(shard)

    def columns(
        self, shard: Shard, prepared: Prepared, columns: Mapping[str, Array], slot: NDArray[np.int32], start: int
    ) -> dict[str, Array]:
        """Return an expectation column for each column of which a value is expected at one of these resources."""
        state = shard.expected
        if not state.by_slot and not state.networks:
            return {}
        rows = np.flatnonzero(state.is_expected[slot])
        if not rows.shape[0]:
            return {}
        slots, time_ns = slot[rows], columns["time_ns"][rows]
        found: dict[str, Array] = {}
        for number in sorted(state.columns):
            column = COLUMNS[number]
            if column == NODES:
                found[column + EXPECTED_SUFFIX] = self._nodes(shard, columns, slot, rows)
                continue
            values = columns[column][rows]
            values = (values + 1 if column == VERSION_NUMBER else values).astype(np.uint64)
            expectation = np.zeros(rows.shape[0], np.int8)
            _mark_expected(slots, number, values, time_ns, state.is_expected, state.keys, state.until, expectation)
            out = np.zeros(slot.shape[0], np.int8)
            out[rows] = expectation
            found[column + EXPECTED_SUFFIX] = out
        if state.networks:
            out = found.setdefault(names.PEER_ADDRESS + EXPECTED_SUFFIX, np.zeros(slot.shape[0], np.int8))
            self._in_networks(shard, prepared, slot, rows, start, out)
        return found

    def _nodes(
        self, shard: Shard, columns: Mapping[str, Array], slot: NDArray[np.int32], rows: NDArray[np.intp]
    ) -> NDArray[Any]:
        state, out = shard.expected, np.full(slot.shape[0], None, object)
        for row in rows[columns[names.TOPOLOGY][rows] != 0].tolist():
            nodes = columns[NODES][row]
            out[row] = np.zeros(nodes.shape[0], np.int8)
            _mark_expected(
                np.full(nodes.shape[0], slot[row]), COLUMNS.index(NODES), nodes,
                np.full(nodes.shape[0], columns["time_ns"][row]), state.is_expected, state.keys, state.until, out[row],
            )  # fmt: skip
        return out

    def _in_networks(
        self, shard: Shard, prepared: Prepared, slot: NDArray[np.int32], rows: NDArray[np.intp], start: int, out: Array
    ) -> None:
        text = prepared.decoded.text
        for resource in np.unique(slot[rows]).tolist():
            networks = shard.expected.networks.get(resource)
            if networks:
                mine = rows[slot[rows] == resource]
                peers = prepared.columns[names.PEER_ADDRESS][start + mine]
                _, first, of = np.unique(peers, return_index=True, return_inverse=True)
                inside = [is_in(text(names.PEER_ADDRESS, start + row), networks) for row in mine[first].tolist()]
                out[mine[np.array(inside)[of]]] = EXPECTED

    def _collect(self, shard: Shard, slot: int, parts: Parts) -> None:
        """Collect the expected values of the resource in this slot."""
        state = shard.expected
        found: list[tuple[int, int, int]] = []
        networks: list[Network] = []
        key = resource_key(parts)
        announced = state.profiles.get(parts[0], {}).get(key.resource, {})
        networks += [ipaddress.ip_network(it) for it in announced.get(names.PEER_ADDRESS, ()) if "/" in it]
        values = values_of(announced, self._hash, announced=True)
        found += [(COLUMNS.index(column), value, 0) for column, value in values]
        for some in state.accepted.values():
            for acceptance in some:
                if acceptance.resource_id == key.resource_id:
                    values = values_of(acceptance.values, self._hash)
                    found += [(COLUMNS.index(column), value, acceptance.until_ns) for column, value in values]
        state.put(slot, found, networks)

    def _index(self, shard: Shard) -> None:
        state = shard.expected
        ends: dict[tuple[int, int, int], int] = {}
        for slot, expected in state.by_slot.items():
            for column, value, until_ns in expected:
                before = ends.get((slot, column, value), until_ns)
                ends[slot, column, value] = 0 if 0 in (before, until_ns) else max(before, until_ns)
        state.columns = {column for _, column, _ in ends}
        slots, columns, values = (np.array([end[i] for end in ends], np.uint64) for i in range(3))
        keys = np.empty(len(ends), np.uint64)
        _keys(slots, columns, values, keys)
        order = np.argsort(keys)
        state.keys, state.until = keys[order], np.array(list(ends.values()), np.int64)[order]

    def _pin(self, shard: Shard, slot: int, parts: Parts) -> None:
        """Keep empty sets from trusting their first value while values are announced for them."""
        space = shard.spaces[RESOURCE.name]
        announced: Announced = shard.expected.profiles.get(parts[0], {})
        facts = announced.get(resource_key(parts).resource, {})
        pinned = {self._table.get(COLUMN_OF.get(name, name)) for name, values in facts.items() if values}
        for table in sorted(set(self._table.values())):
            row = space.tables[table][slot]
            pins = table in pinned and (row["since_ns"] == 0 or row["pinned"] != 0)
            if bool(row["pinned"]) != pins:
                row["pinned"] = pins
                space.dirty[slot] = True

    def _slot(self, shard: Shard, resource_id: str) -> int:
        keys = shard.spaces[RESOURCE.name].keys
        for slot, parts in shard.resources.items():
            if keys[slot] and resource_key(parts).resource_id == resource_id:
                return slot
        return 0

    def _find_unknown(
        self, shard: Shard, slot: int, shown: Mapping[str, str], covered: set[str]
    ) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield the values that an alert showed and that its resource had not shown before."""
        for name, column in COLUMN_OF.items():
            text = shown.get(name, "")
            if not text or column not in covered:
                continue
            texts = [node for node in nodes_of(text) if node] if name == names.TOPOLOGY else [text]
            if len(texts) > 1 and self._is_known(shard, slot, name, texts[-1]) is None:
                texts.pop()  # evidence shows the head of a long list: its last node may be cut
            unknown = [value for value in texts if not self._is_known(shard, slot, name, value)]
            if unknown:
                yield name, unknown

    def _is_known(self, shard: Shard, slot: int, name: str, text: str) -> bool | None:
        """Return whether the value is known there; ``None``: nothing was learned yet."""
        row = shard.spaces[RESOURCE.name].tables[self._table[COLUMN_OF[name]]][slot]
        for _, value in values_of({name: [text]}, self._hash):
            at = np.flatnonzero(row["member"] == np.uint64(value))
            if at.shape[0]:
                return bool(row["known"][at[0]])
        return None

    def _forget(self, shard: Shard, slot: int, column: str, value: int) -> None:
        if not slot or column not in self._table:
            return
        space = shard.spaces[RESOURCE.name]
        row = space.tables[self._table[column]][slot]
        for at in np.flatnonzero(row["member"] == np.uint64(value)).tolist():
            for name in ("member", "first_ns", "last_ns", "known"):
                row[name][at] = 0
            space.dirty[slot] = True

    def _reassess(self, shard: Shard, slot: int, alert_id: str) -> None:
        if slot:
            self._collect(shard, slot, shard.resources[slot])
            self._index(shard)
        self._silence(shard, [alert_id])

    def _silence(self, shard: Shard, alert_ids: Iterable[str]) -> None:
        state = shard.expected
        for alert_id in alert_ids:
            hashes = [
                (it.until_ns, {name: self._hash(text.encode()) if text else 0 for name, text in it.shown.items()})
                for it in state.accepted.get(alert_id, ())
            ]
            if hashes:
                state.silent[alert_id] = hashes
            else:
                state.silent.pop(alert_id, None)


def close(shard: Shard, decision: Decision, findings: Findings) -> None:
    """End the episode of an alert whose cause was accepted, unless it showed more.

    What was found while the decision was on its way is of the same episode.
    """
    if decision.closes and shard.open.close(bytes.fromhex(decision.alert_id)):
        findings.events.append(ClearedAlert(alert_id=decision.alert_id, time_ns=shard.scalars.watermark_ns))


def _all_below(name: str, below: Mapping[str, Sequence[str]]) -> set[str]:
    """The rule, those whose place it takes, and those whose place they take."""
    found, waiting = set[str](), [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += below.get(name, ())
    return found
