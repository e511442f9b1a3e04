"""Irregular streams give the same findings however they are cut and restarted."""

import itertools
import random
from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backwatch.collector import names
from backwatch.detector.engine.findings import Findings
from backwatch.detector.engine.log_entries import Tick
from backwatch.detector.engine.open_findings import OpenFindings
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.store.commit import ClearedAlert
from tests.detector import streams
from tests.detector.streams import SAFE, SECOND, START_NS, Call, statement

HOUR = 3_600 * SECOND
CONFIG = EngineConfig(key=b"a key of 16 byte", clear_after_ns=HOUR)
PLAIN = {**SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none"}
Value = tuple[bytes, int, bool]
FindingText = tuple[str, ...]


def to_texts(findings: Findings) -> Iterator[FindingText]:
    """Yield the findings as comparable text."""
    for event in findings.events:
        if isinstance(event, ClearedAlert):
            yield "clear", event.alert_id, str(event.time_ns)
        else:
            for finding in event.iter_findings():
                yield (
                    finding.rule.name,
                    finding.alert_id,
                    str(finding.time_ns),
                    finding.span_id,
                    str(sorted(finding.evidence.items())),
                )
    for window in findings.windows:
        yield "window", "".join(window.parts), str(window.end_ns), str(sorted(window.sums.items()))
    for kind, count in findings.losses.items():
        yield from [("loss", kind, "")] * count


def reload(engine: Engine, shard: Shard, blobs: list[bytes]) -> Shard:
    blobs.append(shard.delta())
    fresh = engine.new_shard()
    fresh.apply(blobs)
    return fresh


def run(engine: Engine, values: Sequence[Value], cuts: Sequence[int], *, restart: bool = False) -> list[FindingText]:
    """Return all findings for log entries of the sizes ``cuts``, repeated."""
    shard, found, at, turn = engine.new_shard(), list[FindingText](), 0, 0
    blobs: list[bytes] = []
    while at < len(values):
        size = cuts[turn % len(cuts)]
        findings = engine.step(shard, streams.entry(values[at : at + size], at))
        assert findings.faults == []
        found += to_texts(findings)
        at, turn = at + size, turn + 1
        if restart:
            shard = reload(engine, shard, blobs)
    findings = engine.step(shard, Tick(shard.scalars.watermark_ns + 30 * HOUR))
    return sorted([*found, *to_texts(findings)])


def _odd_value(source: random.Random, at_ns: int) -> bytes:
    """Return a value that a stream can hold beside calls."""
    which = source.randrange(6)
    if which == 0:
        return b""
    if which == 1:
        return source.randbytes(source.randrange(1, 60))
    if which == 2:
        return streams.encode([Call(at_ns, SAFE, statement("SELECT ?"))])[: source.randrange(1, 200)]
    if which == 3:
        return streams.encode([Call(at_ns, SAFE, statement("SELECT ?"), kind=1)])
    if which == 4:
        return streams.encode([])
    return streams.encode([Call(source.choice([SECOND, 2**62, 2**63 - 1, 2**64 - 1]), SAFE, statement("SELECT ?"))])


def weird(seed: int, count: int = 80) -> list[Value]:
    """Draw calls of few kinds at jumping times, live and backfill, with other values between."""
    source = random.Random(seed)
    now = START_NS
    found: list[Value] = []
    for _ in range(count):
        now += source.choice([0, 1, SECOND, 9 * SECOND, 61 * SECOND, 200 * SECOND, HOUR, 2 * HOUR, -HOUR, -10 * SECOND])
        if source.random() < 0.2:
            found.append((_odd_value(source, now), now, source.random() < 0.1))
            continue
        calls = [
            Call(
                now - source.choice([0, 5 * SECOND, 170 * SECOND, 300 * SECOND]),
                source.choice([SAFE, SAFE, PLAIN, {**SAFE, names.CERT_SHA256: f"{source.randrange(4):064x}"}]),
                statement(
                    f"SELECT a FROM t{source.randrange(30)}", f"v.py:f{source.randrange(3)}", source.randrange(9)
                ),
                app=f"app{source.randrange(3)}",
            )
            for _ in range(source.randrange(1, 4))
        ]
        found.append((streams.encode(calls, len(found)), now, source.random() < 0.3))
    return found


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5), restart=st.booleans())
@example(seed=7174, cuts=[36, 15, 23, 15], restart=False)  # an empty record moves the watermark between two calls
def test_irregular_stream_gives_the_same_findings_for_any_cuts_and_restarts(
    engine: Engine, seed: int, cuts: list[int], restart: bool
) -> None:
    values = weird(seed)
    assert run(engine, values, [1]) == run(engine, values, cuts, restart=restart)


def clears(calls: Sequence[tuple[int, int, bool]], boundaries_s: Sequence[int]) -> list[tuple[int, bytes, int]]:
    """Return the clears at these boundaries after these calls: key, time in seconds, whether the rule fired."""
    table, found = OpenFindings(frozenset((7,))), list[tuple[int, bytes, int]]()
    for key, time_s, fired in calls:
        rule, time_ns = 7 + key % 2, time_s * SECOND
        if fired:
            table.note_firing(rule, key, bytes([key]) * 32, time_ns)
        else:
            table.note_not_fired(rule, np.array([key], np.uint64), np.array([time_ns]), np.zeros(1, np.bool_))
    for before_s, now_s in itertools.pairwise(boundaries_s):
        found += table.due(before_s * SECOND, now_s * SECOND, 25 * SECOND, {8: 7 * SECOND})
    return found


@given(
    calls=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 180), st.booleans()), max_size=60),
    stops=st.sets(st.integers(1, 29)),
)
@settings(max_examples=50, deadline=None)
def test_skipped_boundaries_change_no_clear(calls: list[tuple[int, int, bool]], stops: set[int]) -> None:
    skipping = clears(calls, [0, *(10 * stop for stop in sorted(stops)), 300])
    assert skipping == clears(calls, range(0, 301, 10))
