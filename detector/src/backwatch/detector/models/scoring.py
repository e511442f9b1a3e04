"""The anomaly score of a series: the evidence of ``volume-spike``, for any ``timestamp,value`` file.

Causal: a row's score depends on rows before it alone. One event is one peak: a row scores only if it exceeds the last
peak, which fades.
"""

import csv
import io
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import numpy as np

from backwatch.detector.baselines.volume_score import FALSE_ALARMS_PER_MONTH, score_amounts


class UnreadableSeries(ValueError):
    """A file that is not a ``timestamp,value`` series; the message names file and row."""


def score_series(
    values: Sequence[float], timestamps: Sequence[int], alarms_per_month: float = FALSE_ALARMS_PER_MONTH
) -> list[float]:
    """Return the anomaly score of each value, in [0, 1]; 0.5 and above deserves a look. The first 30 values score 0.

    Args:
        values: In order of time, in any unit: only ratios to the first values' usual size count.
        timestamps: Nanoseconds since the epoch. A clock that goes back counts as one that stands.
        alarms_per_month: The budget: false alarms that are expected of the series in a month of its time.

    >>> calm = [100.0 + i % 7 for i in range(200)]
    >>> found = score_series([*calm, 900.0], [i * 60_000_000_000 for i in range(201)])
    >>> max(found[:200]) < 0.5 < found[200]
    True
    """
    found = score_amounts(np.asarray(values, np.float64), np.asarray(timestamps, np.int64), alarms_per_month)
    return [float(score) for score in found]


def score_file(file: str, out: TextIO, alarms_per_month: float = FALSE_ALARMS_PER_MONTH) -> None:
    """Write ``timestamp,value,score`` for each row of a ``timestamp,value`` file; ``-`` is standard input.

    Raises:
        OSError: It cannot be read.
        UnreadableSeries: It is not text, there is no such header, or a row is no time and number.
    """
    if file == "-":
        _score(sys.stdin, "standard input", out, alarms_per_month)
        return
    try:
        with Path(file).open(newline="", encoding="utf-8-sig") as opened:
            text = opened.read()
    except UnicodeDecodeError:
        raise UnreadableSeries(f"{file}: is not UTF-8 text") from None
    _score(io.StringIO(text, newline=""), file, out, alarms_per_month)


def _score(file: TextIO, name: str, out: TextIO, alarms_per_month: float) -> None:
    rows = list(_rows(file, name))
    times = [_instant_ns(row[0]) for row in rows]
    scores = score_series([float(row[1]) for row in rows], times, alarms_per_month)
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
        for row in itertools.filterfalse(_blank, reader):
            where = f"{name}: line {reader.line_num}"
            if len(row) < 2:
                raise UnreadableSeries(f"{where}: needs a timestamp and a value, got {','.join(row)[:80]!r}")
            _check_row(row, where)
            yield row[0], row[1]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UnreadableSeries(f"{name}: is not a CSV file: {error}") from None


def _blank(row: Sequence[str]) -> bool:
    return not any(cell.strip() for cell in row)


def _check_row(row: Sequence[str], where: str) -> None:
    try:
        _instant_ns(row[0])
    except (ValueError, OverflowError):
        raise UnreadableSeries(f"{where}: timestamp {row[0][:40]!r} is neither ISO 8601 nor seconds") from None
    try:
        value = float(row[1])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UnreadableSeries(f"{where}: value {row[1][:40]!r} is not a finite number")


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
