"""Event time never depends on the sender's clock alone, live or backfill."""

import numpy as np

from backwatch.detector.engine.clock import advance

NOW_NS = 1_800_000_000 * 10**9
LATER_NS = NOW_NS + 100 * 365 * 86_400 * 10**9
LATENESS_NS = 180 * 10**9


def advance_once(end_ns: int, appended_ns: int, *, backfill: bool) -> tuple[int, int]:
    """Return the event time of one call in one record, and the watermark afterwards."""
    time_ns, _, high = advance(
        np.zeros(1, np.int32), np.array([end_ns]), np.array([appended_ns]), np.array([backfill]), LATENESS_NS, 0
    )
    return int(time_ns[0]), high


def test_call_never_ends_after_its_append() -> None:
    assert advance_once(LATER_NS, NOW_NS, backfill=False) == (NOW_NS, NOW_NS - LATENESS_NS)


def test_backfill_does_not_advance_time_beyond_its_append() -> None:
    assert advance_once(LATER_NS, NOW_NS, backfill=True) == (NOW_NS, NOW_NS)


def test_backfill_keeps_the_times_of_past_calls() -> None:
    assert advance_once(NOW_NS - 10**12, NOW_NS, backfill=True) == (NOW_NS - 10**12, NOW_NS - 10**12)


def test_replay_without_append_times_uses_reported_times() -> None:
    assert advance_once(NOW_NS, 0, backfill=True) == (NOW_NS, NOW_NS)
