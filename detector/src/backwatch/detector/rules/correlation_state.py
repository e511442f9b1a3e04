"""Correlations held against the firings of a run of calls, with what they remember in the shard.

Counted are the calls on which a rule fires, whether or not another rule spoke in its place or a person accepted its
alert; late calls are not. One call counts once in a group, however many of the rules fire on it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.hashing import mix
from backwatch.detector.rules import correlation_kernels as kernels
from backwatch.detector.rules.correlation import GROUP_BY, REACHED, TIMESPAN, Correlation
from backwatch.detector.rules.sigma import Rule
from backwatch.detector.state.key_space import Space
from backwatch.detector.state.keys import KeySpace
from backwatch.detector.state.tables import Table

Array = NDArray[Any]

BYTES: Final = 1 << 20
FEWEST: Final = 256
MOST: Final = 4_096
"""Groups that one correlation remembers at once: as many as fit into ``BYTES``, within these bounds."""
LOST: Final = "correlation.groups"
"""The loss under which firings are counted for whose group there was no room, and groups that made room too early."""
APP: Final = (names.SERVICE_NAMESPACE, names.SERVICE_NAME, names.ENVIRONMENT)
_STATEMENTS: Final = (names.QUERY_TEXT, names.STATEMENT)
_NONE: Final = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Correlated:
    """One correlation's firings in a run.

    Attributes:
        number: The correlation's place among the rules.
        rows: int32, ascending: the run's calls on which it fired.
        facts: What its evidence says besides, one value per call of the run.
    """

    number: int
    rows: NDArray[np.int32]
    facts: Mapping[str, Array]


class Counter:
    """One correlation, ready for many firings.

    Attributes:
        table: What it remembers, a row per group. Its name says all that the rows depend on, so that a correlation
            that was changed begins anew.
    """

    def __init__(self, name: str, one: Correlation) -> None:
        self.one = one
        kind = one.kind
        dtype = np.dtype(
            [("times", "<i8", (int(one.least),))] if kind == "event_count"
            else [("newest", "<i8"), ("sums", "<f8", (kernels.PARTS,))] if kind == "value_sum"
            else [("times", "<i8", (len(one.rules),))]
        )  # fmt: skip
        said = hashlib.blake2b(repr(one).encode(), digest_size=8).hexdigest()
        capacity = max(FEWEST, min(MOST, BYTES // dtype.itemsize))
        keys = KeySpace(name=f"correlation/{name}/{said}", columns=(), capacity=capacity, lasting=False)
        self.table = Table(keys.name, keys, 1, dtype)

    def add(
        self, space: Space, group: NDArray[np.uint64], time_ns: NDArray[np.int64], fired: Array, value: Array
    ) -> tuple[NDArray[np.float64], int]:
        """Takes firings in, in their order.

        Args:
            group: Address of each firing's group.
            fired: uint64: bit r: the correlation's r-th rule fired.
            value: float64: what is summed.

        Returns:
            How far each firing brought its group where that is enough, else NaN; and how many had no room.
        """
        slot, _, _ = space.intern(group, _NONE, time_ns)
        rows, one = space.tables[self.table.name], self.one
        out = np.empty(slot.shape[0], np.float64)
        if one.kind == "event_count":
            kernels.counted(slot, time_ns, one.timespan_ns, rows["times"], out)
        elif one.kind == "value_sum":
            kernels.summed(
                slot, time_ns, value, one.timespan_ns, one.least, one.beyond, rows["newest"], rows["sums"], out
            )
        else:
            kernels.together(slot, time_ns, fired, one.timespan_ns, int(one.least), rows["times"], out)
        return out, int((slot == 0).sum())


class Correlating:
    """All correlations of an engine.

    Attributes:
        tables: What they remember in a shard.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        at = {rule.name: number for number, rule in enumerate(rules)}
        self._counters: list[tuple[int, Counter, list[int]]] = [
            (number, Counter(rule.name, rule.correlation), [at[name] for name in rule.correlation.rules])
            for number, rule in enumerate(rules)
            if rule.correlation is not None and set(rule.correlation.rules) <= set(at)
        ]
        self._counted = np.zeros(len(rules) or 1, np.bool_)
        for _, _, bases in self._counters:
            self._counted[bases] = True
        self.tables = [counter.table for _, counter, _ in self._counters]

    def judge(
        self,
        spaces: Mapping[str, Space],
        rows: NDArray[np.int32],
        rules: NDArray[np.int32],
        columns: Mapping[str, Array],
    ) -> tuple[list[Correlated], int]:
        """The correlations that fire in a run of calls, and how many firings had no room.

        Args:
            rows, rules: All firings of the run.
            columns: Of the run's calls, facts among them.
        """
        counted = self._counted[rules] & ~columns["late"][rows]
        if not counted.any():
            return [], 0
        rows, rules = rows[counted], rules[counted]
        found: list[Correlated] = []
        lost = 0
        for number, counter, bases in self._counters:
            one, without = self._one(number, counter, bases, spaces, rows, rules, columns)
            lost += without
            if one is not None:
                found.append(one)
        return found, lost

    def forgotten(self, spaces: Mapping[str, Space], now_ns: int) -> int:
        """How many groups will make room for others now, though what they remember is not over yet."""
        return sum(
            int((space.last_seen[space.stale(now_ns)] > now_ns - counter.one.timespan_ns).sum())
            for _, counter, _ in self._counters
            for space in (spaces[counter.table.name],)
        )

    def _one(
        self,
        number: int,
        counter: Counter,
        bases: Sequence[int],
        spaces: Mapping[str, Space],
        rows: NDArray[np.int32],
        rules: NDArray[np.int32],
        columns: Mapping[str, Array],
    ) -> tuple[Correlated | None, int]:
        one = counter.one
        mine = [rows[rules == base] for base in bases]
        if not any(part.shape[0] for part in mine):
            return None, 0
        groups = [_groups(one.columns(name), part, columns) for name, part in zip(one.rules, mine, strict=True)]
        bits = [np.full(part.shape[0], 1 << r, np.uint64) for r, part in enumerate(mine)]
        row, group, fired = _once(np.concatenate(mine), np.concatenate(groups), np.concatenate(bits))
        value = _value(columns[one.field][row]) if one.field else np.empty(0, np.float64)
        space = spaces[counter.table.name]
        reached, lost = counter.add(space, group, columns["time_ns"][row], fired, value)
        enough = ~np.isnan(reached)
        if not enough.any():
            return None, lost
        on, first = np.unique(row[enough], return_index=True)
        said = np.full(columns["late"].shape[0], np.nan)
        said[on] = np.maximum.reduceat(reached[enough], first)  # by aliases a call may be in several groups
        return Correlated(number, on.astype(np.int32), self._facts(one, said)), lost

    @staticmethod
    def _facts(one: Correlation, said: NDArray[np.float64]) -> dict[str, Array]:
        facts: dict[str, Array] = {
            REACHED[one.kind]: said,
            TIMESPAN: np.broadcast_to(np.int64(one.timespan_ns // 10**9), said.shape),
        }
        if one.group_by:
            facts[GROUP_BY] = np.broadcast_to(np.array(", ".join(one.group_by)), said.shape)
        return facts


@kernel
def _fold(group: Array, values: Array) -> None:
    for i in range(group.shape[0]):
        group[i] = mix(group[i], values[i])


def fold(group: NDArray[np.uint64], values: NDArray[Any]) -> None:
    """Makes a column's values part of groups' addresses, in place; what is absent is a value like any other."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values.astype(np.float64) + 0.0).view(np.uint64)
    elif values.dtype.kind != "u":
        values = values.astype(np.int64).view(np.uint64)
    _fold(group, values)


def _groups(fields: Sequence[str], rows: NDArray[np.int32], columns: Mapping[str, Array]) -> NDArray[np.uint64]:
    group = np.zeros(rows.shape[0], np.uint64)
    for name in (*APP, *fields):
        values = columns[name][rows]
        if name in _STATEMENTS:  # told, but not hashed: the canonical text's hash is the fingerprint
            values = np.where(values != 0, columns["fingerprint"][rows], np.uint64(0))
        fold(group, values)
    return group


def _once(
    row: NDArray[np.int32], group: NDArray[np.uint64], fired: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.uint64]]:
    """Each call once per group, in order of calls, with all the rules that fired on it."""
    order = np.lexsort((group, row))
    row, group, fired = row[order], group[order], fired[order]
    first = np.ones(row.shape[0], np.bool_)
    first[1:] = (np.diff(row) != 0) | (group[1:] != group[:-1])
    at = np.flatnonzero(first)
    return row[at], group[at], np.bitwise_or.reduceat(fired, at)


def _value(values: Array) -> NDArray[np.float64]:
    """As what is summed: below zero in a column of whole numbers is absent."""
    out = values.astype(np.float64)
    if values.dtype.kind == "i":
        out[values < 0] = np.nan
    return out
