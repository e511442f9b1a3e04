"""How what people said of identities meets the calls: values that were announced or accepted are known when they come.

Nothing is entered into a detector's set before a call shows it: so a set is not crowded by what never comes, what an
announcement no longer lists and nobody saw is forgotten by itself, and a resource that comes later finds its own.
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.known_values import EXPECTED, FOR_NOW
from backwatch.detector.columns.key_texts import resource_key
from backwatch.detector.columns.prepared import Prepared
from backwatch.detector.derived.numbers import NODES, VERSION_NUMBER, nodes_of
from backwatch.detector.detectors import EXPECTED_SUFFIX, Array, Detector
from backwatch.detector.engine.findings import Clear, Findings
from backwatch.detector.engine.log_entries import Decision, ProfileVersion
from backwatch.detector.engine.shard import Shard
from backwatch.detector.identity.expected import Acceptance, Announced, Network
from backwatch.detector.identity.identity_values import COLUMN_OF, COLUMNS, is_in, values_of
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.hashing import mix
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.state.keys import RESOURCE

Parts = tuple[str, str, str, str]


@kernel
def _key(slot: int, column: int, value: int) -> Any:
    return mix(np.uint64(value), np.uint64(slot) * np.uint64(16) + np.uint64(column) + np.uint64(1))


@kernel
def _keys(slot: Array, column: Array, value: Array, out: Array) -> None:
    for i in range(slot.shape[0]):
        out[i] = _key(slot[i], column[i], value[i])


@kernel
def _expected(
    slot: Array, column: int, value: Array, time_ns: Array, told: Array, keys: Array, until: Array, out: Array
) -> None:
    for i in range(slot.shape[0]):
        if not told[slot[i]] or value[i] == 0:
            continue
        key = _key(slot[i], column, value[i])
        at = np.searchsorted(keys, key)
        if at < keys.shape[0] and keys[at] == key:
            if until[at] == 0:
                out[i] = EXPECTED
            elif time_ns[i] < until[at]:
                out[i] = FOR_NOW


class Identities:
    """What people said, held against the calls of any number of shards.

    Args:
        hash_text: The installation's keyed hash.
    """

    def __init__(self, detectors: Sequence[Detector], rules: RuleSet, hash_text: Callable[[bytes], int]) -> None:
        self._hash = hash_text
        self._table = {column: table for one in detectors for column, table in one.knows}
        self._shows = {one.id: one.accepts for one in detectors}
        knows = {one.id: [column for column, _ in one.knows] for one in detectors}
        below = {rule.name: rule.instead_of for rule in rules.rules}
        self._covers = {
            one.id: {column for name in _all_below(one.id, below) for column in knows.get(name, ())}
            for one in detectors
        }
        """Whoever accepts an alert accepts what it spoke of, and what it spoke instead of."""

    def of_values(self, decision: Decision) -> bool:
        """Whether this acceptance is of values, and silences no rule as a whole."""
        return decision.values is not None and bool(self._shows.get(decision.rule))

    def restore(self, shard: Shard) -> None:
        """Makes what follows from a state that was just loaded."""
        shard.expected.stale = False
        for slot, parts in shard.resources.items():
            self._collect(shard, slot, parts)
        self._index(shard)
        self._silence(shard, shard.expected.accepted)

    def announce(self, shard: Shard, entry: ProfileVersion) -> None:
        """From now on this is announced for the app, and nothing else."""
        shard.expected.announce(entry.app, entry.announced)
        for slot, parts in shard.resources.items():
            if parts[0] == entry.app:
                self._collect(shard, slot, parts)
                if shard.spaces[RESOURCE.name].keys[slot]:
                    self._pin(shard, slot, parts)
        self._index(shard)

    def accept(self, shard: Shard, decision: Decision, findings: Findings) -> None:
        """The values that the alert showed are known at its resource, until the acceptance ends."""
        told = decision.values or {}
        shown = {name: told.get(name, "") for name in self._shows[decision.rule]}
        if not any(shown.values()):
            return
        slot = self._slot(shard, decision.resource_id)
        values = dict(self._unknown(shard, slot, told, self._covers[decision.rule]))
        one = Acceptance(resource_id=decision.resource_id, until_ns=decision.until_ns, shown=shown, values=values)
        shard.expected.accept(decision.alert_id, one)
        self._again(shard, slot, decision.alert_id)
        close(shard, decision, findings)

    def revoke(self, shard: Shard, alert_id: str) -> None:
        """What was accepted on this alert is unknown again."""
        taken = shard.expected.revoke(alert_id)
        for one in taken:
            slot = self._slot(shard, one.resource_id)
            for column, value in values_of(one.values, self._hash):
                self._forget(shard, slot, column, value)
            self._again(shard, slot, alert_id)

    def named(self, shard: Shard, slot: int, parts: Parts) -> None:
        """A resource was seen for the first time."""
        state = shard.expected
        if not (state.profiles or state.accepted or state.told[slot]):
            return
        before = state.by_slot.get(slot)
        self._collect(shard, slot, parts)
        self._pin(shard, slot, parts)
        if before or state.by_slot.get(slot):
            self._index(shard)

    def columns(
        self, shard: Shard, prepared: Prepared, columns: Mapping[str, Array], slot: NDArray[np.int32], start: int
    ) -> dict[str, Array]:
        """For each column of which something is expected at one of these calls' resources: what people said of it."""
        state = shard.expected
        if not state.by_slot and not state.networks:
            return {}
        rows = np.flatnonzero(state.told[slot])
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
            said = np.zeros(rows.shape[0], np.int8)
            _expected(slots, number, values, time_ns, state.told, state.keys, state.until, said)
            out = np.zeros(slot.shape[0], np.int8)
            out[rows] = said
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
            _expected(
                np.full(nodes.shape[0], slot[row]), COLUMNS.index(NODES), nodes,
                np.full(nodes.shape[0], columns["time_ns"][row]), state.told, state.keys, state.until, out[row],
            )  # fmt: skip
        return out

    def _in_networks(
        self, shard: Shard, prepared: Prepared, slot: NDArray[np.int32], rows: NDArray[np.intp], start: int, out: Array
    ) -> None:
        text = prepared.decoded.text
        for one in np.unique(slot[rows]).tolist():
            networks = shard.expected.networks.get(one)
            if networks:
                mine = rows[slot[rows] == one]
                peers = prepared.columns[names.PEER_ADDRESS][start + mine]
                _, first, of = np.unique(peers, return_index=True, return_inverse=True)
                inside = [is_in(text(names.PEER_ADDRESS, start + row), networks) for row in mine[first].tolist()]
                out[mine[np.array(inside)[of]]] = EXPECTED

    def _collect(self, shard: Shard, slot: int, parts: Parts) -> None:
        """What is expected of the resource in this slot."""
        state = shard.expected
        found: list[tuple[int, int, int]] = []
        networks: list[Network] = []
        key = resource_key(parts)
        announced = state.profiles.get(parts[0], {}).get(key.resource, {})
        networks += [ipaddress.ip_network(it) for it in announced.get(names.PEER_ADDRESS, ()) if "/" in it]
        values = values_of(announced, self._hash, announced=True)
        found += [(COLUMNS.index(column), value, 0) for column, value in values]
        for some in state.accepted.values():
            for one in some:
                if one.resource_id == key.resource_id:
                    values = values_of(one.values, self._hash)
                    found += [(COLUMNS.index(column), value, one.until_ns) for column, value in values]
        state.put(slot, found, networks)

    def _index(self, shard: Shard) -> None:
        state = shard.expected
        ends: dict[tuple[int, int, int], int] = {}
        for slot, expected in state.by_slot.items():
            for column, value, until_ns in expected:
                before = ends.get((slot, column, value), until_ns)
                ends[slot, column, value] = 0 if 0 in (before, until_ns) else max(before, until_ns)
        state.columns = {column for _, column, _ in ends}
        slots, columns, values = (np.array([one[i] for one in ends], np.uint64) for i in range(3))
        keys = np.empty(len(ends), np.uint64)
        _keys(slots, columns, values, keys)
        order = np.argsort(keys)
        state.keys, state.until = keys[order], np.array(list(ends.values()), np.int64)[order]

    def _pin(self, shard: Shard, slot: int, parts: Parts) -> None:
        """Sets that showed nothing yet take nothing on trust while something is announced for them."""
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

    def _unknown(
        self, shard: Shard, slot: int, told: Mapping[str, str], covered: set[str]
    ) -> Iterator[tuple[str, Sequence[str]]]:
        """Of what an alert showed, what was not known at its resource before."""
        for name, column in COLUMN_OF.items():
            text = told.get(name, "")
            if not text or column not in covered:
                continue
            texts = [node for node in nodes_of(text) if node] if name == names.TOPOLOGY else [text]
            if len(texts) > 1 and self._known(shard, slot, name, texts[-1]) is None:
                texts.pop()  # evidence shows the head of a long list: its last node may be cut
            unknown = [one for one in texts if not self._known(shard, slot, name, one)]
            if unknown:
                yield name, unknown

    def _known(self, shard: Shard, slot: int, name: str, text: str) -> bool | None:
        """Whether the value is known there; ``None``: it was never learnt from."""
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

    def _again(self, shard: Shard, slot: int, alert_id: str) -> None:
        if slot:
            self._collect(shard, slot, shard.resources[slot])
            self._index(shard)
        self._silence(shard, [alert_id])

    def _silence(self, shard: Shard, alert_ids: Iterable[str]) -> None:
        state = shard.expected
        for one in alert_ids:
            hashes = [
                (it.until_ns, {name: self._hash(text.encode()) if text else 0 for name, text in it.shown.items()})
                for it in state.accepted.get(one, ())
            ]
            if hashes:
                state.silent[one] = hashes
            else:
                state.silent.pop(one, None)


def close(shard: Shard, decision: Decision, findings: Findings) -> None:
    """Ends the episode of an alert whose cause was accepted, unless it showed what was not.

    What was found while the decision was on its way is of the same episode.
    """
    if decision.closes and shard.open.close(bytes.fromhex(decision.alert_id)):
        findings.events.append(Clear(shard.scalars.watermark_ns, decision.alert_id))


def _all_below(name: str, below: Mapping[str, Sequence[str]]) -> set[str]:
    """The rule, those whose place it takes, and those whose place they take."""
    found, waiting = set[str](), [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += below.get(one, ())
    return found
