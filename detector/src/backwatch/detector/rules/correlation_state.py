"""Evaluate correlations on the firings of a run of calls. Their state is in the shard.

Counted are the calls on which a rule fires, even where another rule supersedes it or an operator accepted its alert;
late calls are not. A call counts once in a group, even if several of the rules fire on it.
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
MIN_GROUPS: Final = 256
MAX_GROUPS: Final = 4_096
"""Bounds of the groups that one correlation keeps: as many as fit into ``BYTES``."""
LOST: Final = "correlation.groups"
"""The kind of loss for firings whose group had no room, and for groups evicted too early."""
APP: Final = (names.SERVICE_NAMESPACE, names.SERVICE_NAME, names.ENVIRONMENT)
_STATEMENTS: Final = (names.QUERY_TEXT, names.STATEMENT)
_NONE: Final = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class CorrelationFirings:
    """The firings of one correlation in a run.

    Attributes:
        number: The correlation's index among the rules.
        rows: int32, ascending: the run's calls on which it fired.
        facts: Additional facts of its evidence, one value per call of the run.
    """

    number: int
    rows: NDArray[np.int32]
    facts: Mapping[str, Array]


class CorrelationCounter:
    """Counts the firings of one correlation.

    Attributes: table: Its state, one row per group. Its name includes a hash of the correlation, so that a changed one
    starts empty.
    """

    def __init__(self, name: str, correlation: Correlation) -> None:
        self.correlation = correlation
        kind = correlation.kind
        dtype = np.dtype(
            [("times", "<i8", (int(correlation.least),))] if kind == "event_count"
            else [("newest", "<i8"), ("sums", "<f8", (kernels.PARTS,))] if kind == "value_sum"
            else [("times", "<i8", (len(correlation.rules),))]
        )  # fmt: skip
        digest = hashlib.blake2b(repr(correlation).encode(), digest_size=8).hexdigest()
        capacity = max(MIN_GROUPS, min(MAX_GROUPS, BYTES // dtype.itemsize))
        keys = KeySpace(name=f"correlation/{name}/{digest}", columns=(), capacity=capacity, lasting=False)
        self.table = Table(keys.name, keys, 1, dtype)

    def add(
        self, space: Space, group: NDArray[np.uint64], time_ns: NDArray[np.int64], fired: Array, value: Array
    ) -> tuple[NDArray[np.float64], int]:
        """Add firings in order.

        Args:
            group: Address of each firing's group.
            fired: uint64: bit r: the correlation's r-th rule fired.
            value: float64: the summed values.

        Returns:
            Count or sum of the group after each firing, where it reaches the threshold, else NaN; number of firings
            without room.
        """
        slot, _, _ = space.intern(group, _NONE, time_ns)
        rows, correlation = space.tables[self.table.name], self.correlation
        out = np.empty(slot.shape[0], np.float64)
        if correlation.kind == "event_count":
            kernels.count_calls(slot, time_ns, correlation.timespan_ns, rows["times"], out)
        elif correlation.kind == "value_sum":
            kernels.sum_values(
                slot, time_ns, value, correlation.timespan_ns, correlation.least, correlation.beyond, rows["newest"],
                rows["sums"], out,
            )  # fmt: skip
        else:
            kernels.count_rules(
                slot, time_ns, fired, correlation.timespan_ns, int(correlation.least), rows["times"], out
            )
        return out, int((slot == 0).sum())


class Correlator:
    """Evaluates all correlations of an engine.

    Attributes:
        tables: Their state in a shard.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        at = {rule.name: number for number, rule in enumerate(rules)}
        self._counters: list[tuple[int, CorrelationCounter, list[int]]] = [
            (number, CorrelationCounter(rule.name, rule.correlation), [at[name] for name in rule.correlation.rules])
            for number, rule in enumerate(rules)
            if rule.correlation is not None and set(rule.correlation.rules) <= set(at)
        ]
        self._counted = np.zeros(len(rules) or 1, np.bool_)
        for _, _, bases in self._counters:
            self._counted[bases] = True
        self.tables = [counter.table for _, counter, _ in self._counters]

    def evaluate(
        self,
        spaces: Mapping[str, Space],
        rows: NDArray[np.int32],
        rules: NDArray[np.int32],
        columns: Mapping[str, Array],
    ) -> tuple[list[CorrelationFirings], int]:
        """Return the correlations that fire in a run of calls, and the number of firings without room.

        Args:
            rows, rules: All firings of the run.
            columns: Columns and facts of the run's calls.
        """
        counted = self._counted[rules] & ~columns["late"][rows]
        if not counted.any():
            return [], 0
        rows, rules = rows[counted], rules[counted]
        found: list[CorrelationFirings] = []
        lost = 0
        for number, counter, bases in self._counters:
            firings, without = self._evaluate_one(number, counter, bases, spaces, rows, rules, columns)
            lost += without
            if firings is not None:
                found.append(firings)
        return found, lost

    def count_evicted(self, spaces: Mapping[str, Space], now_ns: int) -> int:
        """Return the number of groups that are evicted now, though their timespan has not ended."""
        return sum(
            int((space.last_seen[space.find_stale(now_ns)] > now_ns - counter.correlation.timespan_ns).sum())
            for _, counter, _ in self._counters
            for space in (spaces[counter.table.name],)
        )

    def _evaluate_one(
        self,
        number: int,
        counter: CorrelationCounter,
        bases: Sequence[int],
        spaces: Mapping[str, Space],
        rows: NDArray[np.int32],
        rules: NDArray[np.int32],
        columns: Mapping[str, Array],
    ) -> tuple[CorrelationFirings | None, int]:
        correlation = counter.correlation
        mine = [rows[rules == base] for base in bases]
        if not any(part.shape[0] for part in mine):
            return None, 0
        groups = [
            _groups(correlation.columns(name), part, columns)
            for name, part in zip(correlation.rules, mine, strict=True)
        ]
        bits = [np.full(part.shape[0], 1 << r, np.uint64) for r, part in enumerate(mine)]
        row, group, fired = _merge_calls(np.concatenate(mine), np.concatenate(groups), np.concatenate(bits))
        field = correlation.field
        value = _value(columns[field][row]) if field else np.empty(0, np.float64)
        space = spaces[counter.table.name]
        reached, lost = counter.add(space, group, columns["time_ns"][row], fired, value)
        enough = ~np.isnan(reached)
        if not enough.any():
            return None, lost
        on, first = np.unique(row[enough], return_index=True)
        highest = np.full(columns["late"].shape[0], np.nan)
        highest[on] = np.maximum.reduceat(reached[enough], first)  # by aliases a call may be in several groups
        return CorrelationFirings(number, on.astype(np.int32), self._facts(correlation, highest)), lost

    @staticmethod
    def _facts(correlation: Correlation, reached: NDArray[np.float64]) -> dict[str, Array]:
        facts: dict[str, Array] = {
            REACHED[correlation.kind]: reached,
            TIMESPAN: np.broadcast_to(np.int64(correlation.timespan_ns // 10**9), reached.shape),
        }
        if correlation.group_by:
            facts[GROUP_BY] = np.broadcast_to(np.array(", ".join(correlation.group_by)), reached.shape)
        return facts


@kernel
def _fold(group: Array, values: Array) -> None:
    for i in range(group.shape[0]):
        group[i] = mix(group[i], values[i])


def fold_column(group: NDArray[np.uint64], values: NDArray[Any]) -> None:
    """Mix a column's values into groups' addresses, in place. Absent counts as a value."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values.astype(np.float64) + 0.0).view(np.uint64)
    elif values.dtype.kind != "u":
        values = values.astype(np.int64).view(np.uint64)
    _fold(group, values)


def _groups(fields: Sequence[str], rows: NDArray[np.int32], columns: Mapping[str, Array]) -> NDArray[np.uint64]:
    group = np.zeros(rows.shape[0], np.uint64)
    for name in (*APP, *fields):
        values = columns[name][rows]
        if name in _STATEMENTS:  # present, but not hashed: the canonical text's hash is the fingerprint
            values = np.where(values != 0, columns["fingerprint"][rows], np.uint64(0))
        fold_column(group, values)
    return group


def _merge_calls(
    row: NDArray[np.int32], group: NDArray[np.uint64], fired: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.uint64]]:
    """Return each call once per group, in order of calls, with all rules that fired on it."""
    order = np.lexsort((group, row))
    row, group, fired = row[order], group[order], fired[order]
    first = np.ones(row.shape[0], np.bool_)
    first[1:] = (np.diff(row) != 0) | (group[1:] != group[:-1])
    at = np.flatnonzero(first)
    return row[at], group[at], np.bitwise_or.reduceat(fired, at)


def _value(values: Array) -> NDArray[np.float64]:
    """Return values as floats. Below zero in a column of whole numbers is absent."""
    out = values.astype(np.float64)
    if values.dtype.kind == "i":
        out[values < 0] = np.nan
    return out
