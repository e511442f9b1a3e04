"""Detection quality for volume: injected events in real series, NAB, and slow drifts.

    BACKWATCH_TEST_DATA=… make bench NAME=volume_quality

The data cannot be shipped: the folder must hold ``volume/volume.jsonl.gz`` and ``nab.tar.gz``. Every series is scored
as ``backwatch score`` does it. Injected events and drifts are held against the shipped budget of alerts, NAB against
the budget of a review: its series are recorded, and in its cost model an event is worth nine false alarms. A third of
each volume series (``LEARNING``) only teaches: all injected events lie behind it, and alarms in it do not count.
"""

import csv
import gzip
import io
import json
import math
import os
import tarfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.volume_score import (
    FALSE_ALARMS_PER_MONTH,
    REVIEW_ALARMS_PER_MONTH,
    score_amounts,
)
from bench import nab_scorer, rounds

LEARNING: Final = 0.35
ALARM: Final = 0.5
BUDGET: Final = 0.08
"""False alarms per series and day within which recall is compared."""
RATES: Final = (0.00002, 0.0001, 0.0005, 0.001, 0.01, 0.03, 0.1)
NOISES: Final = (0.05, 0.1, 0.2)
LEARNT_VALUES: Final = 3_000
SECOND_NS: Final = 10**9
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Scored:
    """A volume series after scoring.

    Attributes:
        base: The file that it was made from.
        alarms: Scores outside of events, after the learning part, that are above 0.
        events: Kind and highest score of each injected event.
        days: Length of the part that counts.
    """

    base: str
    step_s: int
    alarms: NDArray[Any]
    events: Sequence[tuple[str, float]]
    days: float


def score_volume(record: dict[str, Any]) -> Scored:
    """Score one record of ``volume.jsonl.gz``."""
    values, step_s = np.asarray(record["values"], np.float64), int(record["step_s"])
    scores = score_amounts(values, np.arange(values.shape[0]) * step_s * SECOND_NS)
    outside = np.arange(values.shape[0]) >= int(LEARNING * values.shape[0])
    days = float(outside.sum()) * step_s / DAY_S
    events: list[tuple[str, float]] = []
    for event in record["labels"]:
        begin, end = event["start"], event["end"] + 1
        outside[begin:end] = False
        events.append((event["type"], float(scores[begin:end].max())))
    return Scored(record["base"], step_s, scores[outside & (scores > 0)], events, days)


def recall(series: Sequence[Scored], threshold: float) -> tuple[float, float]:
    """Return the share of events that are found, and false alarms per series and day."""
    events = [best >= threshold for one in series for _, best in one.events]
    alarms = sum(int((one.alarms >= threshold).sum()) for one in series)
    return float(np.mean(events)) if events else math.nan, alarms / sum(one.days for one in series)


def best_within(series: Sequence[Scored], budget: float) -> float:
    """Return the lowest threshold at which false alarms stay within the budget."""
    alarms = np.sort(np.concatenate([one.alarms for one in series]))[::-1]
    allowed = int(budget * sum(one.days for one in series))
    return float(np.nextafter(alarms[allowed], 2.0)) if allowed < alarms.shape[0] else 0.0


def report_volume(data: Path) -> dict[str, Any]:
    """Print recall and false alarms of the volume series; return the figures."""
    with gzip.open(data / "volume" / "volume.jsonl.gz", "rt") as lines:
        series = [score_volume(json.loads(line)) for line in lines]
    figures: dict[str, Any] = {}

    def show(name: str, part: Sequence[Scored], threshold: float) -> None:
        found, alarms = recall(part, threshold)
        figures[name] = {"recall": round(found, 3), "false_alarms": round(alarms, 3)}
        print(f"{name:44} recall {found:.3f}  false alarms per series and day {alarms:.3f}")

    events = sum(len(one.events) for one in series)
    print(f"volume: {len(series)} series, {events} injected events, {sum(one.days for one in series):.0f} days")
    show("all, shipped threshold", series, ALARM)
    show(f"all, best threshold within {BUDGET}", series, best_within(series, BUDGET))
    for step_s in sorted({one.step_s for one in series}):
        part = [one for one in series if one.step_s == step_s]
        show(f"steps of {step_s} s, shipped threshold", part, ALARM)
        show(f"steps of {step_s} s, best within {BUDGET}", part, best_within(part, BUDGET))
    bases = sorted({one.base for one in series})
    for number in range(2):
        tuned = [one for one in series if bases.index(one.base) % 2 == number]
        other = [one for one in series if bases.index(one.base) % 2 != number]
        show(f"half {number + 1} at the best threshold of the other", other, best_within(tuned, BUDGET))
    kinds: dict[str, list[bool]] = defaultdict(list)
    for one in series:
        for kind, best in one.events:
            kinds[kind].append(best >= ALARM)
    print("by kind:", ", ".join(f"{kind} {sum(hits)} of {len(hits)}" for kind, hits in sorted(kinds.items())))
    return figures


def read_nab(data: Path) -> list[nab_scorer.Series]:
    """Read and score the series of ``nab.tar.gz``."""
    with tarfile.open(data / "nab.tar.gz") as archive:
        files = {member.name.removeprefix("./"): member for member in archive.getmembers() if member.isfile()}

        def text(name: str) -> str:
            opened = archive.extractfile(files[name])
            assert opened is not None, name
            return opened.read().decode()

        windows: dict[str, list[list[str]]] = json.loads(text("windows.json"))
        return [_score_nab(name, text(name), found) for name, found in windows.items()]


def _score_nab(name: str, text: str, windows: Sequence[Sequence[str]]) -> nab_scorer.Series:
    rows = list(csv.reader(io.StringIO(text)))[1:]
    times = [_seconds(row[0]) for row in rows]
    amounts, time_ns = np.array([float(row[1]) for row in rows]), np.array(times, np.int64) * SECOND_NS
    scores = score_amounts(amounts, time_ns, REVIEW_ALARMS_PER_MONTH)
    found = [
        (times.index(_seconds(begin)), len(times) - 1 - times[::-1].index(_seconds(end))) for begin, end in windows
    ]
    return nab_scorer.Series(name, scores, found)


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def report_nab(data: Path) -> dict[str, Any]:
    """Print the scores of the NAB series; return the figures."""
    series = read_nab(data)
    print(
        f"NAB: {len(series)} series, {sum(len(one.windows) for one in series)} windows; best threshold, two-fold, 0.5"
    )
    figures: dict[str, Any] = {}
    for profile in nab_scorer.PROFILES:
        best, threshold = nab_scorer.score(series, profile)
        halves = [
            nab_scorer.score(series[1 - half :: 2], profile, nab_scorer.score(series[half::2], profile)[1])[0]
            for half in range(2)
        ]
        shipped, _ = nab_scorer.score(series, profile, ALARM)
        figures[profile] = {
            "best": round(best, 1), "two_fold": [round(half, 1) for half in halves], "shipped": round(shipped, 1)
        }  # fmt: skip
        shown = " ".join(f"{half:5.1f}" for half in halves)
        print(f"{profile:9} {best:5.1f} (at {threshold:.3f})  two-fold {shown}  at {ALARM} {shipped:5.1f}")
    return figures


def times_grown(rate: float, noise: float, seed: int) -> float:
    """Return how many times the level has grown at the first alarm; infinity: none before it has tripled."""
    source = np.random.default_rng(seed)
    steps = int(math.log(3.0) / math.log1p(rate))
    level = np.full(LEARNT_VALUES + steps, 5.0)
    level[LEARNT_VALUES:] += np.arange(steps) * math.log1p(rate)
    values = np.exp(level + source.normal(0.0, noise, level.shape[0]))
    scores = score_amounts(values, np.arange(values.shape[0]) * 60 * SECOND_NS)
    found = np.flatnonzero(scores[LEARNT_VALUES:] >= ALARM)
    return float((1.0 + rate) ** found[0]) if found.shape[0] else math.inf


def report_drift() -> dict[str, Any]:
    """Print at how many times its level each drift is first reported, the worst of three; return the figures."""
    print(
        f"drift: times grown at the first alarm, the worst of 3, after {LEARNT_VALUES} minutes; noise on the log scale"
    )
    figures: dict[str, Any] = {}
    for noise in NOISES:
        row = [max(times_grown(rate, noise, seed) for seed in range(3)) for rate in RATES]
        figures[str(noise)] = [None if math.isinf(value) else round(value, 2) for value in row]
        print(f"noise {noise:4}", *(f"{rate:.3%}: {value:.2f}" for rate, value in zip(RATES, row, strict=True)))
    return figures


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    folder = os.environ.get("BACKWATCH_TEST_DATA", "")
    if not folder:
        raise SystemExit("volume_quality: BACKWATCH_TEST_DATA must name the folder with the series")
    print(rounds.machine("numba"))
    print(f"budget: {FALSE_ALARMS_PER_MONTH} false alarms per series and month, NAB {REVIEW_ALARMS_PER_MONTH}")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "volume": lambda: report_volume(Path(folder)), "nab": lambda: report_nab(Path(folder)), "drift": report_drift,
    }  # fmt: skip
    print(json.dumps({name: part() for name, part in parts.items()}))


if __name__ == "__main__":
    main()
