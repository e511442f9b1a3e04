"""The inner loop of the rules: an AND of four bitsets per call, and the numbers of what is left."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.compiled import kernel
from backwatch.detector.detectors import Array

LT, LTE, GT, GTE, EQ = range(5)
"""As in ``predicates.OPERATORS``; what is left is ``exists``."""

_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_PLACES = np.array([
    0, 1, 48, 2, 57, 49, 28, 3, 61, 58, 50, 42, 38, 29, 17, 4, 62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30, 24, 18,
    12, 5, 63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11, 46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19,
    9, 13, 8, 7, 6,
], np.int64)  # fmt: skip
"""Place of a word's only bit, by its product with a de Bruijn sequence: Numba has no count of trailing zeros."""


@kernel
def _passes(value: float, operator: int, limit: float) -> bool:
    if operator == LT:
        return value < limit
    if operator == LTE:
        return value <= limit
    if operator == GT:
        return value > limit
    if operator == GTE:
        return value >= limit
    if operator == EQ:
        return value == limit
    return value == value  # NaN is absent, and passes none of the above


@kernel
def _evaluate(
    session_bits: Array,
    statement_bits: Array,
    resource_bits: Array,
    content_bits: Array,
    session: Array,
    statement: Array,
    resource: Array,
    content: Array,
    numbers: Array,
    stage: Array,
    rule_of: Array,
    mute: Array,
    first_test: Array,
    tests: Array,
    limits: Array,
    places: Array,
    sequence: np.uint64,
    out_row: Array,
    out_rule: Array,
) -> int:
    found = 0
    one = np.uint64(1)
    for i in range(session.shape[0]):
        last = -1
        for w in range(stage.shape[0]):
            left = (
                stage[w] & session_bits[session[i], w] & statement_bits[statement[i], w]
                & resource_bits[resource[i], w] & content_bits[content[i], w]
            )  # fmt: skip
            while left != 0:
                low = left & (~left + one)
                left ^= low
                conjunct = w * 64 + places[(low * sequence) >> np.uint64(58)]
                rule = rule_of[conjunct]
                if rule == last:
                    continue
                fires = True
                for t in range(first_test[conjunct], first_test[conjunct + 1]):
                    if _passes(numbers[i, tests[t, 0]], tests[t, 1], limits[t]) == (tests[t, 2] != 0):
                        fires = False
                        break
                if fires:
                    last = rule
                    if not mute[conjunct]:
                        out_row[found] = i
                        out_rule[found] = rule
                        found += 1
    return found


@kernel
def _whole(values: Array, column: int, out: Array) -> None:
    for i in range(values.shape[0]):
        out[i, column] = np.nan if values[i] < 0 else float(values[i])


@kernel
def _plain(values: Array, column: int, out: Array) -> None:
    for i in range(values.shape[0]):
        out[i, column] = values[i]


def put_numbers(values: NDArray[Any], column: int, out: NDArray[np.float64]) -> None:
    """Writes a column into a matrix of floats: NaN, or below zero in a column of whole numbers, is absent."""
    if values.dtype.kind == "i":
        _whole(values, column, out)
    else:
        _plain(values, column, out)


def evaluate(
    bits: Sequence[NDArray[np.uint64]],
    entry: Sequence[NDArray[np.int32]],
    numbers: NDArray[np.float64],
    stage: NDArray[np.uint64],
    rule_of: NDArray[np.int32],
    mute: NDArray[np.bool_],
    tests: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]],
    out: tuple[NDArray[np.int32], NDArray[np.int32]],
) -> int:
    """Fills in row and rule of each firing, by row, then rule; how many there are.

    Args:
        bits, entry: Per domain: the bitset of each entry, and the entry of each row.
        mute: Conjuncts that silence the rest of their rule on a row instead of firing.
        tests: First test of each conjunct; column, operator and negation of each test; its limit.
    """
    return _evaluate(
        bits[0], bits[1], bits[2], bits[3], entry[0], entry[1], entry[2], entry[3], numbers, stage, rule_of, mute,
        tests[0], tests[1], tests[2], _PLACES, _DE_BRUIJN, out[0], out[1],
    )  # fmt: skip
