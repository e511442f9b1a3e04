"""The inner loop of rule evaluation: an AND of four bitsets per call, and of one more per compared column."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.detectors import Array
from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.rules.number_tests import NumberTests

Arrays = tuple[Array, ...]
"""Arrays that a kernel takes together."""
BUFFER_FIRINGS = 4_096
"""Firings in a buffer, in addition to one per rule."""

_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_PLACES = np.array([
    0, 1, 48, 2, 57, 49, 28, 3, 61, 58, 50, 42, 38, 29, 17, 4, 62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30, 24, 18,
    12, 5, 63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11, 46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19,
    9, 13, 8, 7, 6,
], np.int64)  # fmt: skip
"""Position of a word's only bit, by its product with a de Bruijn sequence: Numba has no count of trailing zeros."""

_MAX_INT64 = np.int64(np.iinfo(np.int64).max)


@inline
def _place(value: float, limits: Array, first: int, last: int) -> int:
    """Return the interval of a value among ascending limits: 2i below limit i, 2i + 1 at it; absent comes last."""
    if value != value:
        return 2 * (last - first) + 1
    low, high = first, last
    while low < high:
        middle = (low + high) >> 1
        if limits[middle] < value:
            low = middle + 1
        else:
            high = middle
    return 2 * (low - first) + (1 if low < last and limits[low] == value else 0)


@kernel
def _evaluate(
    bits: Arrays, entries: Arrays, numbers: Array, stage: Array, summaries: int, conjuncts: Arrays, tests: Arrays,
    begin: int, most: int, scan: tuple[Array, np.uint64], out: Arrays,
) -> tuple[int, int]:  # fmt: skip
    """Write row and rule of each firing into ``out``; return their number and the row to go on from."""
    session_bits, statement_bits, resource_bits, content_bits = bits
    session, statement, resource, content = entries
    conjunct_of, build_rule, mute = conjuncts
    first_group, column, tested, first_limit, limits, passing = tests
    places, sequence = scan
    holding, out_row, out_rule = out
    found = 0
    one = np.uint64(1)
    for i in range(begin, session.shape[0]):
        if found + most > out_row.shape[0]:
            return found, i
        a, b, c, d = session[i], statement[i], resource[i], content[i]
        lowest, highest = holding.shape[0], -1
        for s in range(summaries):
            some = stage[s] & session_bits[a, s] & statement_bits[b, s] & resource_bits[c, s] & content_bits[d, s]
            while some != 0:
                low = some & (~some + one)
                some ^= low
                word = s * 64 + places[(low * sequence) >> np.uint64(58)]
                w = summaries + word
                left = stage[w] & session_bits[a, w] & statement_bits[b, w] & resource_bits[c, w] & content_bits[d, w]
                if left == 0:
                    continue
                for g in range(first_group[word], first_group[word + 1]):
                    if left & tested[g]:  # otherwise the stage does not need this column
                        at = _place(numbers[column[g], i], limits, first_limit[g], first_limit[g + 1])
                        left &= passing[2 * (first_limit[g] + g) + at]
                        if left == 0:
                            break
                while left != 0:
                    low = left & (~left + one)
                    left ^= low
                    conjunct = conjunct_of[word * 64 + places[(low * sequence) >> np.uint64(58)]]
                    holding[conjunct >> 6] |= one << np.uint64(conjunct & 63)
                    lowest, highest = min(lowest, conjunct >> 6), max(highest, conjunct >> 6)
        last = -1
        for h in range(lowest, highest + 1):  # in order of rule again
            left = holding[h]
            holding[h] = 0
            while left != 0:
                low = left & (~left + one)
                left ^= low
                conjunct = h * 64 + places[(low * sequence) >> np.uint64(58)]
                rule = build_rule[conjunct]
                if rule != last:
                    last = rule
                    if not mute[conjunct]:
                        out_row[found] = i
                        out_rule[found] = rule
                        found += 1
    return found, session.shape[0]


@kernel
def _within(stage: Array, summaries: int, ranges: Arrays, tests: Arrays, out: Array) -> bool:
    """Set the bits of the stage that can fire on any row, by the range of each column. Return whether there are any."""
    low, high, absent = ranges
    first_group, column, tested, first_limit, limits, passing = tests
    some = False
    for word in range(first_group.shape[0] - 1):
        left = stage[summaries + word]
        for g in range(first_group[word], first_group[word + 1]):
            if left & tested[g]:
                c, first, last = column[g], first_limit[g], first_limit[g + 1]
                passes = passing[2 * (first + g) + 2 * (last - first) + 1] if absent[c] else np.uint64(0)
                if low[c] <= high[c]:
                    for at in range(
                        _place(float(low[c]), limits, first, last), _place(float(high[c]), limits, first, last) + 1
                    ):
                        passes |= passing[2 * (first + g) + at]
                left &= passes
        out[summaries + word] = left
        if left != 0:
            out[word >> 6] |= np.uint64(1) << np.uint64(word & 63)
            some = True
    return some


@kernel
def _whole(values: Array, out: Array) -> tuple[float, float, bool]:
    low, high = _MAX_INT64, np.int64(-1)
    for i in range(values.shape[0]):
        value = np.int64(values[i])
        out[i] = np.nan if value < 0 else float(value)
        low, high = min(low, value), max(high, value)
    return max(0.0, float(low)), float(high), bool(low < 0)


@kernel
def _plain(values: Array, out: Array) -> tuple[float, float, bool]:
    low, high, absent = np.inf, -np.inf, False
    for i in range(values.shape[0]):
        value = float(values[i])
        out[i] = value
        low = value if value < low else low  # noqa: FURB136  NaN must leave it as it is
        high = value if value > high else high  # noqa: FURB136
        absent |= value != value
    return low, high, absent


class Numbers:
    """Columns as floats, [columns, rows], NaN where absent, with the range of each.

    Args:
        columns: Number of columns; those without ``put`` stay undefined.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.values = np.empty((columns, rows), np.float64)
        self.low, self.high = np.empty(columns, np.float64), np.empty(columns, np.float64)
        self.absent = np.empty(columns, np.bool_)

    def put(self, column: int, values: NDArray[Any]) -> None:
        """Set one column. NaN, or below zero in a column of whole numbers, is absent."""
        whole = values.view(np.int8) if values.dtype.kind == "b" else values
        found = (_whole if whole.dtype.kind == "i" else _plain)(whole, self.values[column])
        self.low[column], self.high[column], self.absent[column] = found


def evaluate(
    bits: Sequence[NDArray[np.uint64]],
    entry: Sequence[NDArray[np.int32]],
    numbers: Numbers,
    stage: NDArray[np.uint64],
    conjunct_of: NDArray[np.int32],
    build_rule: NDArray[np.int32],
    mute: NDArray[np.bool_],
    tests: NumberTests,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return row and rule of each firing, by row, then rule.

    Args:
        bits, entry: Per domain: the row of bits of each entry (see ``bit_layout``), and the entry of each row.
        numbers: At least the columns that conjuncts of the stage read.
        stage: The evaluated conjuncts, as a row of bits.
        conjunct_of: The conjunct of each bit.
        build_rule: The rule of each conjunct, ascending.
        mute: Conjuncts that silence the rest of their rule on a row instead of firing.
    """
    words, count = tests.first_group.shape[0] - 1, entry[0].shape[0]
    summaries = -(-words // 64)
    compared = tests.first_group, tests.column, tests.tested, tests.first_limit, tests.limits, tests.passing
    within = np.zeros_like(stage)
    if not _within(stage, summaries, (numbers.low, numbers.high, numbers.absent), compared, within):
        return np.empty(0, np.int32), np.empty(0, np.int32)
    most = int(build_rule[-1]) + 1
    row, rule = np.empty(most + BUFFER_FIRINGS, np.int32), np.empty(most + BUFFER_FIRINGS, np.int32)
    holding = np.zeros(words, np.uint64)
    rows: list[NDArray[np.int32]] = []
    rules: list[NDArray[np.int32]] = []
    begin = 0
    while begin < count:
        found, begin = _evaluate(
            tuple(bits), tuple(entry), numbers.values, within, summaries, (conjunct_of, build_rule, mute), compared,
            begin, most, (_PLACES, _DE_BRUIJN), (holding, row, rule),
        )  # fmt: skip
        rows.append(row[:found].copy())
        rules.append(rule[:found].copy())
    return np.concatenate(rows), np.concatenate(rules)
