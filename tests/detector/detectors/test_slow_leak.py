"""A slow leak in a stream: in any batches, with restarts, and beside honest work."""

from collections.abc import Callable, Sequence
from functools import cache

import pytest

from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Firings
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine, EngineConfig
from tests.detector import streams

MINUTE_NS = 60 * 10**9
LIST = "SELECT id, name FROM products WHERE shop = ? ORDER BY id LIMIT 50"
VISIT = "INSERT INTO visits (id, page) VALUES (?, ?)"
Record = tuple[bytes, int, bool]


@cache
def engine() -> Engine:
    return make_engine(EngineConfig(key=b"a key of 16 byte"))


def honest(minutes: range) -> list[streams.Call]:
    """Return a page of 50 products every two minutes, and a visit."""
    return [
        streams.Call(streams.START_NS + minute * MINUTE_NS, streams.SAFE, facts)
        for minute in minutes
        for facts in ([streams.statement(LIST, rows=50)] if minute % 2 else []) + [streams.statement(VISIT, rows=0)]
    ]


def leak(minutes: range) -> list[streams.Call]:
    """Return the same page, 40 times a minute."""
    return [
        streams.Call(streams.START_NS + minute * MINUTE_NS + i * 10**9, streams.SAFE, streams.statement(LIST, rows=50))
        for minute in minutes
        for i in range(40)
    ]


@cache
def records(*, with_leak: bool) -> list[Record]:
    """Return 27 hours of work, at the end with a leak or without."""
    calls = honest(range(27 * 60)) + (leak(range(26 * 60, 26 * 60 + 12)) if with_leak else [])
    return streams.records(sorted(calls, key=lambda call: call.end_ns), 8)


def alerts(found: Sequence[Record], size: int, again: Callable[[Shard], Shard]) -> list[tuple[str, int]]:
    """Return name and time of each firing."""
    shard, fired = engine().new_shard(), list[tuple[str, int]]()
    for at in range(0, len(found), size):
        for event in engine().step(shard, streams.entry(found[at : at + size], at)).events:
            if isinstance(event, Firings):
                fired += [(event.rule.name, int(time_ns)) for time_ns in event.times]
        shard = again(shard)
    return sorted(fired, key=lambda one: (one[1], one))


def restart(shard: Shard) -> Shard:
    fresh = engine().new_shard()
    fresh.apply([shard.snapshot()])
    return fresh


def test_a_known_statement_that_is_called_far_more_is_reported() -> None:
    found = dict(reversed(alerts(records(with_leak=True), 1_000, lambda shard: shard)))
    begin_ns = streams.START_NS + 26 * 60 * MINUTE_NS
    assert begin_ns < found["slow-leak"] < begin_ns + 10 * MINUTE_NS


def test_the_same_day_without_the_leak_is_silent() -> None:
    assert alerts(records(with_leak=False), 1_000, lambda shard: shard) == []


@pytest.mark.parametrize(("size", "again"), [(13, lambda shard: shard), (100_000, lambda shard: shard), (40, restart)])
def test_reports_depend_neither_on_batches_nor_on_restarts(size: int, again: Callable[[Shard], Shard]) -> None:
    assert alerts(records(with_leak=True), size, again) == alerts(records(with_leak=True), 1_000, lambda shard: shard)
