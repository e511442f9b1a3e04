"""The anomaly score of a series: the streaming statistics of ``volume-spike``, for any ``timestamp,value`` file.

Causal: a row's score depends on rows before it alone. What speaks is the largest of three: how far outside the range
seen so far, how many deviations from the level, and the sum of departures from the slow reference, upwards or
downwards. Then a cool-down: a row scores only if it exceeds every row of the last while, so that one event
is one peak.
"""

import csv
import io
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.extent import EXTENT, distance_outside, extend_range, start_range
from backwatch.detector.baselines.level import LEVEL, MAX_DRIFT, MIN_COUNT, update
from backwatch.detector.kernels.compiled import kernel

OUTSIDE: Final = 0.01
"""Widths of the range seen so far, outside of it, that score a half."""
DEVIATIONS: Final = 40.0
"""Deviations from the level that score a half; many, because a level lags behind seasonal values."""
COOL_DOWN: Final = 0.045
"""Share of the rows so far that a row must outdo, up to ``LONGEST_COOL_DOWN`` rows."""
LONGEST_COOL_DOWN: Final = 225
_MOST: Final = 1e300


class UnreadableSeries(ValueError):
    """A file that is not a ``timestamp,value`` series; the message names file and row."""


@kernel
def _evidence(x: NDArray[np.float64], time_ns: NDArray[np.int64], rows: Any, extents: Any, out: NDArray[Any]) -> None:
    extent = extents[0]
    start_range(extent, x[0])
    for i in range(x.shape[0]):
        found = 0.0
        if i >= MIN_COUNT:
            found = abs(distance_outside(extent, x[i])) / OUTSIDE
        extend_range(extent, x[i])
        score = update(rows, 0, x[i], time_ns[i], True)
        update(rows, 1, -x[i], time_ns[i], True)  # the mirror image: its drift is the one downwards
        if not np.isnan(score):
            found = max(found, abs(score) / DEVIATIONS)
        out[i] = max(found, max(rows[0]["drift"], rows[1]["drift"]) / MAX_DRIFT)


@kernel
def _apply_cool_down(found: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(found.shape[0]):
        wait = min(int(COOL_DOWN * i), LONGEST_COOL_DOWN)
        highest = 0.0
        for j in range(max(0, i - wait), i):
            highest = max(highest, found[j])
        out[i] = 1.0 - 2.0 ** -found[i] if found[i] > highest else 0.0


def score_series(values: Sequence[float], timestamps: Sequence[int]) -> list[float]:
    """Return the anomaly score of each value, in [0, 1]; 0.5 and above deserves a look. The first 30 values score 0.

    Args:
        values: In order of time, in any unit: only ratios to the first values' usual size count.
        timestamps: Nanoseconds since the epoch.

    >>> calm = [100.0 + i % 7 for i in range(200)]
    >>> found = score_series([*calm, 900.0], [i * 60_000_000_000 for i in range(201)])
    >>> max(found[:200]) < 0.5 < found[200]
    True
    """
    series = np.asarray(values, np.float64)
    if series.shape[0] == 0:
        return []
    unit = float(np.median(np.abs(series[:MIN_COUNT]))) or 1.0
    # Like a logarithm for what is large, like the value itself around zero, and defined below it.
    with np.errstate(over="ignore"):
        scaled = np.arcsinh(np.clip(series / unit, -_MOST, _MOST))
    found, out = np.empty_like(scaled), np.empty_like(scaled)
    _evidence(scaled, np.asarray(timestamps, np.int64), np.zeros(2, LEVEL), np.zeros(1, EXTENT), found)
    _apply_cool_down(found, out)
    return [float(score) for score in out]


def score_file(file: str, out: TextIO) -> None:
    """Write ``timestamp,value,score`` for each row of a ``timestamp,value`` file; ``-`` is standard input.

    Raises:
        OSError: It cannot be read.
        UnreadableSeries: It is not text, there is no such header, or a row is no time and number.
    """
    if file == "-":
        _score(sys.stdin, "standard input", out)
        return
    try:
        with Path(file).open(newline="", encoding="utf-8-sig") as opened:
            text = opened.read()
    except UnicodeDecodeError:
        raise UnreadableSeries(f"{file}: is not UTF-8 text") from None
    _score(io.StringIO(text, newline=""), file, out)


def _score(file: TextIO, name: str, out: TextIO) -> None:
    rows = list(_rows(file, name))
    times = [_instant_ns(row[0]) for row in rows]
    scores = score_series([float(row[1]) for row in rows], times)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["timestamp", "value", "score"])
    for row, score in zip(rows, scores, strict=True):
        writer.writerow([*row, f"{score:.6f}"])


def _rows(file: TextIO, name: str) -> Iterator[tuple[str, str]]:
    try:
        reader = csv.reader(file)
        header = [cell.strip().lower() for cell in next(reader, [])]
        if header[:2] != ["timestamp", "value"]:
            raise UnreadableSeries(f"{name}: line 1: the header must be timestamp,value; got {','.join(header)[:80]!r}")
        before = -math.inf
        for row in itertools.filterfalse(_blank, reader):
            where = f"{name}: line {reader.line_num}"
            if len(row) < 2:
                raise UnreadableSeries(f"{where}: needs a timestamp and a value, got {','.join(row)[:80]!r}")
            before = _check_row(row, where, before)
            yield row[0], row[1]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UnreadableSeries(f"{name}: is not a CSV file: {error}") from None


def _blank(row: Sequence[str]) -> bool:
    return not any(cell.strip() for cell in row)


def _check_row(row: Sequence[str], where: str, before: float) -> float:
    try:
        at = _instant_ns(row[0])
    except (ValueError, OverflowError):
        raise UnreadableSeries(f"{where}: timestamp {row[0][:40]!r} is neither ISO 8601 nor seconds") from None
    try:
        value = float(row[1])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UnreadableSeries(f"{where}: value {row[1][:40]!r} is not a finite number")
    if at < before:
        raise UnreadableSeries(f"{where}: timestamp {row[0][:40]!r} is earlier than the row before it")
    return at


def _instant_ns(text: str) -> int:
    """Parse a time to nanoseconds since the epoch: ISO 8601 (UTC without a zone) or seconds since the epoch."""
    try:
        seconds = float(text)
    except ValueError:
        found = datetime.fromisoformat(text.strip())
        seconds = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds) or abs(seconds) > 9e9:
        raise ValueError("out of range")
    return int(seconds * 1_000_000_000)
