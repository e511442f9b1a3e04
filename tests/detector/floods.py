"""Floods and bombs: input from an attacker that costs time or memory."""

import time
from collections.abc import Mapping
from typing import Final

import numpy as np

from backwatch.collector import names
from backwatch.collector.pipeline.protobuf import field
from backwatch.detector.decoding import schema
from backwatch.detector.engine.log_entries import StreamRecords
from backwatch.detector.engine.step import Engine
from backwatch.detector.ingest import otlp_writer
from tests.detector.ingest.otlp_mutator import nest_value
from tests.detector.streams import SAFE, START_NS, statement

RECORD_CALLS: Final = 1_000
LARGEST: Final = 1_000_000
"""Maximum bytes of a record that a broker accepts."""


def record(name: str, first: int, count: int, at_ns: int = START_NS) -> bytes:
    """Return calls with distinct values of an attribute, at every level that allows it."""
    number = name in schema.NUMBERS
    resources: list[bytes] = []
    for i in range(first, first + count):
        value = i + 1 if number else f"other-{i}"
        spoken = {**statement("SELECT ?"), name: value}
        span = otlp_writer.span(name="call", kind=3, start_ns=at_ns, end_ns=at_ns + 1, attributes=spoken.items())
        scope = {**SAFE, names.BACKWATCH_CONTRACT: names.CONTRACT, name: value}
        resource = {names.SERVICE_NAME: "shop", name: value}
        body = otlp_writer.scope_spans(otlp_writer.scope(names.SCOPE_CALLS, "1", scope.items()), [span])
        resources.append(otlp_writer.resource_spans(otlp_writer.resource(resource.items()), [body]))
    return otlp_writer.request(resources)


def entry(values: list[bytes], offset: int = 0) -> StreamRecords:
    """Return the values as read from the stream."""
    return StreamRecords(
        values=values, appended_ns=np.full(len(values), START_NS + 10**9), backfill=np.zeros(len(values), np.bool_),
        offsets=np.arange(offset, offset + len(values)),
    )  # fmt: skip


def flood(engine: Engine, name: str, count: int) -> float:
    """Step distinct values of an attribute into a new shard and return the seconds.

    Raises:
        AssertionError: A call was not judged, or a detector raised.
    """
    shard, spent = engine.new_shard(), 0.0
    for first in range(0, count, RECORD_CALLS):
        size = min(RECORD_CALLS, count - first)
        log_entry = entry([record(name, first, size)], first)
        begun = time.thread_time()
        findings = engine.step(shard, log_entry)
        spent += time.thread_time() - begun
        if (findings.calls, findings.unreadable, findings.faults) != (size, [], []):
            raise AssertionError(
                f"{name}: {findings.calls} of {size}, {findings.unreadable[:1]}, {findings.faults[:1]}"
            )
    return spent


def _request(scope: Mapping[str, str | int], spans: list[bytes]) -> bytes:
    body = otlp_writer.scope_spans(otlp_writer.scope("s", "1", scope.items()), spans)
    return otlp_writer.request([otlp_writer.resource_spans(otlp_writer.resource(()), [body])])


def _statement_span(text: str, signs: str = "") -> bytes:
    span_attributes = [(names.QUERY_TEXT, text), (names.QUERY_SIGNS, signs)] if signs else [(names.QUERY_TEXT, text)]
    return otlp_writer.span(kind=3, end_ns=START_NS, attributes=span_attributes)


def bombs() -> dict[str, bytes]:
    """Return messages of up to a megabyte that cost many times their size."""
    system = {names.DB_SYSTEM: "postgresql"}
    collector_scope = {**system, names.BACKWATCH_CONTRACT: names.CONTRACT}
    tiny, wide = b"\x30\x03", "SELECT " + ",".join(f"c{i}" for i in range(8_000))
    pair = field(b"\x4a", otlp_writer.encode_attribute("x", True))
    beat = otlp_writer.scope_spans(
        otlp_writer.scope(names.SCOPE_HEARTBEAT, "1", [(f"{names.DROPPED_PREFIX}k{i}", 1) for i in range(390)]), []
    )
    deep = field(b"\x4a", field(b"\x0a", b"k") + field(b"\x12", nest_value(60_000)[-200_000:]))
    array = field(b"\x4a", field(b"\x0a", b"k") + field(b"\x12", field(b"\x2a", b"\x0a\x00" * 400_000)))
    hosts = [
        otlp_writer.span(kind=3, end_ns=START_NS, attributes=[(names.SERVER_ADDRESS, f"h{i}"), (names.DB_SYSTEM, "x")])
        for i in range(9_000)
    ]
    return {
        "no resources": b"\x0a\x00" * (LARGEST // 2),
        "no scopes": otlp_writer.request([b"\x12\x00" * (LARGEST // 2)]),
        "empty spans": _request({}, [b""] * (LARGEST // 2)),
        "few empty spans": _request({}, [b""] * 100_000),
        "small calls": _request(collector_scope, [tiny] * 100_000),
        "smallest calls": _request(collector_scope, [tiny + b"\x2a\x0a" + b"n" * 10] * 60_000),
        "a text for each span": _request({**system, "db.query.text": wide}, [tiny] * 4_000),
        "empty attributes": _request({}, [tiny + b"\x4a\x00" * 499_000]),
        "attributes": _request(system, [tiny + pair * 99_000]),
        "spans of attributes": _request(system, [tiny + pair * 128] * 700),
        "deep values": _request(system, [tiny + deep]),
        "long arrays": _request(system, [tiny + array]),
        "heartbeats": otlp_writer.request([otlp_writer.resource_spans(otlp_writer.resource(()), [beat] * 80)]),
        "new resources": _request({}, hosts),
        "new statements": _request(
            collector_scope, [_statement_span(f"SELECT a{i} FROM b WHERE c = ?") for i in range(9_000)]
        ),
        "long statements": _request(
            collector_scope, [_statement_span(f"SELECT a{i}, " + "(b + ? * " * 7_000) for i in range(15)]
        ),
        "alerts": _request(
            collector_scope, [_statement_span(f"SELECT a{i}", signs="tautology,program") for i in range(9_000)]
        ),
    }
