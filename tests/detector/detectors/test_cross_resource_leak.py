"""A read and a send in one trace, in any batches and with restarts."""

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Firings
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine, EngineConfig
from tests.detector import streams

MAIL: streams.Facts = {
    **{name: value for name, value in streams.SAFE.items() if not name.startswith("db.")},
    names.SYSTEM: "smtp", names.SERVER_ADDRESS: "mail.internal", names.SERVER_PORT: 465,
}  # fmt: skip
ORDERS = "SELECT id, total FROM orders WHERE customer_id = ?"
Step = tuple[int, str, int]
"""Number of its trace, kind of call, and rows read or bytes sent."""


def record(at: int, step: Step, app: str = "shop") -> tuple[bytes, int, bool]:
    """Return one call as a record."""
    trace, kind, amount = step
    end_ns = streams.START_NS + at * 5 * streams.SECOND
    facts: dict[str, Any]
    if kind == "read":
        session, facts = streams.SAFE, streams.statement(ORDERS, rows=amount)
    else:
        session = MAIL
        facts = {
            names.STATEMENT: "MAIL FROM ? RCPT TO customers.example", names.CODE_FILE: "mail.py",
            names.CODE_FUNCTION: "send", names.BYTES_SENT: amount, names.BYTES_RECEIVED: 200,
        }  # fmt: skip
    request = ExportTraceServiceRequest.FromString(streams.encode([streams.Call(end_ns, session, facts, app)], at))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.trace_id = random.Random(trace).randbytes(16)
    return request.SerializeToString(), end_ns + streams.SECOND, True


@cache
def engine() -> Engine:
    return make_engine(EngineConfig(key=b"a key of 16 byte"))


def fired(steps: Sequence[Step], size: int = 1_000, again: Callable[[Shard], Shard] = lambda shard: shard) -> list[int]:
    """Return at which steps the rule fired."""
    shard, found = engine().new_shard(), list[int]()
    records = [record(at, step) for at, step in enumerate(steps)]
    for at in range(0, len(records), size):
        for event in engine().step(shard, streams.entry(records[at : at + size], at)).events:
            if isinstance(event, Firings) and event.rule.name == "cross-resource-leak":
                found += [(int(time_ns) - streams.START_NS) // (5 * streams.SECOND) for time_ns in event.times]
        shard = again(shard)
    return sorted(found)


def usual(count: int = 150) -> list[Step]:
    """Return requests that each read few orders and send a small mail."""
    return [step for at in range(count) for step in ((at, "read", 5), (at, "send", 5_000 + at * 20))]


def restart(shard: Shard) -> Shard:
    fresh = engine().new_shard()
    fresh.apply([shard.snapshot()])
    return fresh


THEFT: list[Step] = [(900, "read", 450), (901, "read", 5), (900, "send", 200_000)]


@pytest.mark.parametrize(
    ("size", "again"), [(1_000, lambda shard: shard), (1, lambda shard: shard), (7, lambda shard: shard), (1, restart)]
)
def test_rows_that_leave_by_mail_are_reported(size: int, again: Callable[[Shard], Shard]) -> None:
    assert fired([*usual(), *THEFT], size, again) == [302]


def test_a_large_mail_of_another_trace_is_not_reported() -> None:
    assert fired([*usual(), (900, "read", 450), (901, "send", 200_000)]) == []


def test_a_call_site_without_history_is_not_reported() -> None:
    assert fired([*usual(20), *THEFT]) == []


def test_an_export_of_every_night_is_learnt() -> None:
    nights: list[Step] = [
        (900 + night, kind, amount) for night in range(5) for kind, amount in (("read", 900), ("send", 90_000))
    ]
    assert fired([*nights, *usual(), *nights]) == []


def test_reads_of_one_trace_are_summed() -> None:
    pages: list[Step] = [(900, "read", 120)] * 4
    assert fired([*usual(), *pages, (900, "send", 60_000)]) == [304]
