"""Precomputed comparisons of numbers: for each interval of a value, the conjuncts of a word that pass.

A word is 64 conjuncts. Their limits divide a column into intervals: below the first limit, at it, between it and the
next, and so on, and absent. For each interval a bitset holds which of the 64 pass, so a call needs one search among a
few limits instead of a walk over the tests. Limits are sorted per word and not per column, so memory grows with the
number of tests only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.conjuncts import Comparison


@dataclass(frozen=True, slots=True)
class NumberTests:
    """Groups of comparisons; a group is the comparisons of one word's conjuncts with one column.

    Attributes:
        columns: The compared columns, sorted by name.
        first_group: int32 [words + 1]: first group of each word.
        column: int32 [groups]: index of the column.
        tested: uint64 [groups]: the conjuncts that compare it; the others pass for any value.
        first_limit: int32 [groups + 1]: first of each group's limits.
        limits: float64: ascending within a group.
        passing: uint64: a group's bitsets begin at ``2 * (first_limit + its number)``: two for each limit (below it, at
            it), one above all, one for absent.
    """

    columns: tuple[str, ...]
    first_group: NDArray[np.int32]
    column: NDArray[np.int32]
    tested: NDArray[np.uint64]
    first_limit: NDArray[np.int32]
    limits: NDArray[np.float64]
    passing: NDArray[np.uint64]

    @classmethod
    def of(cls, tests: Sequence[Sequence[Comparison]], words: int) -> "NumberTests":
        """Precompute the comparisons of conjuncts, 64 to a word.

        Args:
            tests: The comparisons of each conjunct.
        """
        columns = tuple(sorted({test.column for found in tests for test in found}))
        number = {name: at for at, name in enumerate(columns)}
        first_group, first_limit = [0], [0]
        column: list[int] = []
        tested: list[int] = []
        limits: list[NDArray[np.float64]] = []
        passing: list[NDArray[np.uint64]] = []
        for word in range(words):
            groups: dict[str, list[tuple[int, Comparison]]] = {}
            for bit, found in enumerate(tests[word * 64 : word * 64 + 64]):
                for test in found:
                    groups.setdefault(test.column, []).append((bit, test))
            # The column that most conjuncts depend on comes first: often no bit remains for the others.
            for name, group in sorted(groups.items(), key=lambda item: -len(item[1])):
                column.append(number[name])
                tested.append(sum({1 << bit for bit, _ in group}))
                limits.append(_limits([test for _, test in group]))
                passing.append(_find_passing(group, limits[-1]))
                first_limit.append(first_limit[-1] + limits[-1].shape[0])
            first_group.append(len(column))
        return cls(
            columns=columns,
            first_group=np.array(first_group, np.int32),
            column=np.array(column, np.int32),
            tested=np.array(tested, np.uint64),
            first_limit=np.array(first_limit, np.int32),
            limits=np.concatenate([np.empty(0, np.float64), *limits]),
            passing=np.concatenate([np.empty(0, np.uint64), *passing]),
        )


def _limits(group: Sequence[Comparison]) -> NDArray[np.float64]:
    """Return distinct limits, ascending, without NaN, to which nothing compares."""
    found = np.array([test.limit for test in group if test.operator != "exists"], np.float64)
    return np.unique(found[~np.isnan(found)])


def _find_passing(group: Sequence[tuple[int, Comparison]], limits: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return per interval the conjuncts that pass all comparisons. Interval 2i is below limit i, 2i + 1 is at it."""
    out = np.full(2 * limits.shape[0] + 2, (1 << 64) - 1, np.uint64)
    interval = np.arange(out.shape[0])
    present = interval < out.shape[0] - 1
    for bit, test in group:
        passes = present & _compare(interval, test.operator, test.limit, limits)
        out[passes == test.negated] &= np.uint64((1 << 64) - 1 - (1 << bit))
    return out


def _compare(
    interval: NDArray[np.int64], operator: p.Operator, limit: float, limits: NDArray[np.float64]
) -> NDArray[np.bool_]:
    at = np.searchsorted(limits, limit)
    if operator == "exists":
        return np.ones(interval.shape[0], np.bool_)
    if limit != limit:
        return np.zeros(interval.shape[0], np.bool_)
    found = 2 * at + 1
    match operator:
        case "lt":
            return interval < found
        case "lte":
            return interval <= found
        case "gt":
            return interval > found
        case "gte":
            return interval >= found
        case "eq":
            return interval == found
