"""The first run of code: the first calls of a call site that a resource met after it was known for a day.

It lasts until the call site pauses for an hour, and at most a day.

A new job reads what never was read: a backup, a month's end, an audit. It is code that the app never ran before. What
is injected comes from a call site that the app has used. A page is no job: a visitor may be the first to find it. So a
first run's volume is held apart: in each minute, how much of it came from calls of first runs.

Routes are known of Flask, Django, Starlette and FastAPI, and of OpenTelemetry's spans. A page of another framework
counts as a job. A call site is known by file and function: where either is renamed, it is new code.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import Array, kernel

PAUSE_MINUTES: Final = 60
FIRST_RUN_MINUTES: Final = 1_440
KNOWN_MINUTES: Final = 1_440
"""Age of a resource from which on new code is news: before, all of it is new."""
MEASURES: Final = 4
"""Bytes received, bytes sent, rows returned and calls."""
WINDOW_NS: Final = 60 * 10**9
RING_WINDOWS: Final = 8
"""Minutes that may be open at once, as in ``engine/windows.py``."""
FIRST_CALL: Final = np.dtype([("first", "<u4"), ("last", "<u2")])
"""A call site: the minute of its first call, from 1 on, and minutes until the last one of its first run, plus 1 (0: it
has ended). 6 bytes."""
FIRST_RUNS: Final = np.dtype([
    ("first", "<u4"), ("window", "<i8", (RING_WINDOWS,)), ("sums", "<f4", (RING_WINDOWS, MEASURES)),
])  # fmt: skip
"""First runs of a resource: 196 bytes."""


@kernel
def find_first_runs(
    is_job: Array, late: Array, time_ns: Array, resource: Array, site: Array, resources: Any, sites: Any,
    volumes: tuple[Array, Array, Array], first_run: Array,
) -> None:  # fmt: skip
    """Mark the calls of first runs, and add them to their minute. Slots 0 are left out."""
    received, sent, returned = volumes
    for i in range(resource.shape[0]):
        if resource[i] == 0 or site[i] == 0 or late[i]:
            continue
        row, place = resources[resource[i]], sites[site[i]]
        minute = time_ns[i] // WINDOW_NS + 1
        if row["first"] == 0:
            row["first"] = minute
        if place["first"] == 0:
            place["first"], place["last"] = minute, 1
        if place["last"] == 0:
            continue
        since = minute - np.int64(place["first"])
        if since + 1 - np.int64(place["last"]) > PAUSE_MINUTES or since > FIRST_RUN_MINUTES:
            place["last"] = 0
            continue
        place["last"] = max(since + 1, np.int64(place["last"]))
        if not is_job[i] or np.int64(place["first"]) - np.int64(row["first"]) < KNOWN_MINUTES:
            continue
        first_run[i] = 1.0
        ring = minute % RING_WINDOWS
        if row["window"][ring] != minute:
            row["window"][ring] = minute
            row["sums"][ring, :] = 0.0
        sums = row["sums"][ring]
        sums[0] += max(received[i], 0)
        sums[1] += max(sent[i], 0)
        sums[2] += max(returned[i], 0)
        sums[3] += 1


@kernel
def share_of_first_runs(row: Any, measure: int, amount: float, end_ns: int) -> float:
    """Return the share of a closed minute's amount that came from first runs."""
    window = end_ns // WINDOW_NS
    ring = window % RING_WINDOWS
    return row["sums"][ring, measure] / max(amount, 1.0) if row["window"][ring] == window else 0.0
