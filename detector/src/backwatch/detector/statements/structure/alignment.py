"""Aligns a new statement with a known one: common prefix, common suffix, and common blocks between them."""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.known import common

MAX_BLOCK_TOKENS: Final = 64
"""Tokens between prefix and suffix among which a common block is searched for."""
MIN_BLOCK_TOKENS: Final = 3


@kernel
def _longest_block(
    known: Any, new: Any, known_start: int, known_end: int, new_start: int, new_end: int
) -> tuple[int, int, int]:
    """Return where the longest common run begins in each text, and its length."""
    best, known_at, new_at = 0, known_start, new_start
    known_end, new_end = min(known_end, known_start + MAX_BLOCK_TOKENS), min(new_end, new_start + MAX_BLOCK_TOKENS)
    run = np.zeros(MAX_BLOCK_TOKENS + 1, np.int64)
    for i in range(known_start, known_end):
        before = 0
        for j in range(new_start, new_end):
            kept = run[j - new_start + 1]
            if known[i] == new[j]:
                run[j - new_start + 1] = before + 1
                if before + 1 > best:
                    best, known_at, new_at = before + 1, i - before, j - before
            else:
                run[j - new_start + 1] = 0
            before = kept
    return known_at, new_at, best


@kernel
def _take_block(
    known: Any, new: Any, known_start: int, known_end: int, new_start: int, new_end: int, added: Any, removed: Any
) -> tuple[int, int, int]:
    """Unmark the longest common run between two places, if it is long enough."""
    if known_end - known_start < MIN_BLOCK_TOKENS or new_end - new_start < MIN_BLOCK_TOKENS:
        return 0, 0, 0
    known_at, new_at, size = _longest_block(known, new, known_start, known_end, new_start, new_end)
    if size < MIN_BLOCK_TOKENS:
        return 0, 0, 0
    for k in range(size):
        added[new_at + k] = 0
        removed[known_at + k] = 0
    return known_at, new_at, size


@kernel
def align(known: Any, new: Any, new_count: int, added: Any, removed: Any) -> tuple[int, int, int]:
    """Mark the tokens that the new statement adds to the known one and those that it lacks.

    Returns:
        The number of places at which they differ (at most 4), the length of the common prefix, and that of the suffix.
    """
    known_count = known.shape[0]
    prefix, suffix = common(known, new, new_count)
    for i in range(new_count):
        added[i] = prefix <= i < new_count - suffix
    for i in range(known_count):
        removed[i] = prefix <= i < known_count - suffix
    known_end, new_end = known_count - suffix, new_count - suffix
    if new_end <= prefix and known_end <= prefix:
        return 0, prefix, suffix
    known_at, new_at, size = _take_block(known, new, prefix, known_end, prefix, new_end, added, removed)
    if size == 0:
        return 1, prefix, suffix
    hunks = 2
    _, _, left = _take_block(known, new, prefix, known_at, prefix, new_at, added, removed)
    _, _, right = _take_block(known, new, known_at + size, known_end, new_at + size, new_end, added, removed)
    hunks += int(left > 0) + int(right > 0)
    return hunks, prefix, suffix
