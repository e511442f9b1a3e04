"""The scoring of the Numenta Anomaly Benchmark, as published (Lavin and Ahmad, arXiv:1510.03336).

The first detection in a labelled window earns up to 1, more for an early one; each other row above the threshold
costs, more the farther it is behind the last window; a missed window costs. One threshold for all series, the best of
each profile. Raw scores are scaled so that no detection at all is 0 and the earliest possible everywhere is 100.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

PROBATION: Final = 0.15
MAX_PROBATION_ROWS: Final = 750
PROFILES: Final = {"standard": (0.11, 1.0), "low_fp": (0.22, 1.0), "low_fn": (0.11, 2.0)}
"""What a false positive and a missed window cost; a detection earns 1."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series with the windows in which something happened, as first and last row."""

    name: str
    scores: NDArray[Any]
    windows: Sequence[tuple[int, int]]


def _sigmoid(position: float) -> float:
    return -1.0 if position >= 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def _worth(series: Series) -> list[tuple[float, int, float]]:
    """Return score, window (-1: none) and worth of each row after probation that scores at all."""
    rows, last, width = [], -1, 0
    windows = sorted(series.windows)
    begin = min(int(PROBATION * series.scores.shape[0]), MAX_PROBATION_ROWS)
    at = 0
    for row, score in enumerate(series.scores.tolist()):
        while at < len(windows) and row > windows[at][1]:
            last, width, at = windows[at][1], windows[at][1] - windows[at][0] + 1, at + 1
        inside = at < len(windows) and row >= windows[at][0]
        if row < begin or score <= 0.0:
            continue
        if inside:
            first, end = windows[at]
            worth = _sigmoid(-(end - row + 1) / (end - first + 1)) / _sigmoid(-1.0)
        else:
            worth = -1.0 if last < 0 else _sigmoid((row - last) / max(width - 1, 1))
        rows.append((score, at if inside else -1, worth))
    return rows


def score(corpus: Sequence[Series], profile: str, fixed: float | None = None) -> tuple[float, float]:
    """Return the score of a corpus from 0 to 100, and its threshold: the best one, or ``fixed``."""
    false_cost, missed_cost = PROFILES[profile]
    rows = [
        (value, number, window, worth)
        for number, series in enumerate(corpus)
        for value, window, worth in _worth(series)
        if fixed is None or value >= fixed
    ]
    rows.sort(key=lambda row: -row[0])
    count = sum(len(series.windows) for series in corpus)
    total = best = -missed_cost * count
    threshold, found = 1.1, dict[tuple[int, int], float]()
    for at, (value, number, window, worth) in enumerate(rows):
        if window < 0:
            total += false_cost * worth
        else:
            before = found.get((number, window), -missed_cost)
            total += max(worth - before, 0.0)
            found[number, window] = max(worth, before)
        is_last = at + 1 == len(rows)
        if is_last if fixed is not None else (is_last or rows[at + 1][0] < value) and total > best:
            best, threshold = total, value
    return 100.0 * (best + missed_cost * count) / (count + missed_cost * count), threshold
