"""Facts about a window: the sums over the calls of one resource in one minute."""

from typing import Final

from backwatch.collector.facts.fact import Fact


def _sum(name: str, label: str, meaning: str, unit: str) -> Fact:
    return Fact(
        name=name,
        type="number",
        scope="window",
        kind="window",
        domain="number",
        label=label,
        meaning=meaning,
        unit=unit,
    )


FACTS: Final = (
    _sum("calls", "Calls", "Calls in the minute.", "calls"),
    _sum("errors", "Errors", "Calls in the minute that failed.", "calls"),
    _sum("suspects", "Suspects", "Calls in the minute on which a rule fired that marks suspects.", "calls"),
    _sum("bytes_sent", "Bytes sent", "Bytes sent in the minute.", "bytes"),
    _sum("bytes_received", "Bytes received", "Bytes received in the minute.", "bytes"),
    _sum("rows_returned", "Rows returned", "Rows returned in the minute.", "rows"),
    _sum("rows_affected", "Rows affected", "Rows changed in the minute.", "rows"),
    _sum("duration_ns", "Duration", "Total duration of the calls in the minute, in nanoseconds.", "nanoseconds"),
    _sum("new_statements", "New statements", "Statements in the minute that were never seen before.", "statements"),
)
