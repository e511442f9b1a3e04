"""Charts show the recorded values."""

from backwatch.dashboard import charts
from backwatch.store.commit import Rollup

M = 60 * 10**9


def minute(number: int) -> Rollup:
    return Rollup(
        resource_id="r", end_ns=number * M, calls=1, errors=0, suspects=0, bytes_sent=2, bytes_received=5,
        rows_returned=0, rows_affected=0, duration_ns=1, new_statements=0,
    )  # fmt: skip


def test_no_line_leads_over_minutes_without_calls() -> None:
    shown = [(end_ns // M, received, sent) for end_ns, received, sent in charts.minutes([*map(minute, (1, 2, 4, 9))])]
    assert shown == [(1, 5, 2), (2, 5, 2), (3, 0, 0), (4, 5, 2), (5, 0, 0), (8, 0, 0), (9, 5, 2)]
