"""Judges a recorded history with the same engine, and yields every raised finding, unfolded."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from backwatch.detector.engine.clock import WINDOW_NS
from backwatch.detector.engine.findings import Finding, Findings
from backwatch.detector.engine.log_entries import LogEntry, StreamRecords, Tick
from backwatch.detector.engine.step import Engine
from backwatch.detector.ingest.routing import route

if TYPE_CHECKING:
    from backwatch.detector.engine.shard import Shard

MAX_SHARDS = 64
"""Apps that get a clock of their own; more share by hash."""
RECORDS_PER_BATCH = 256
"""Records judged at once; no result depends on it."""


@dataclass(slots=True)
class Counts:
    """Counts of a replay."""

    spans: int = 0
    calls: int = 0
    findings: int = 0
    unreadable: int = 0
    late: int = 0
    faults: int = 0
    """Of detectors, which were undone."""


class Replay:
    """One replay: an engine, and one shard per app, which is the partition key as in the stream."""

    def __init__(self, engine: Engine, first: Sequence[LogEntry] = ()) -> None:
        self._engine = engine
        self._first = first
        """Log entries that each shard begins with."""
        self._shards: dict[bytes, Shard] = {}
        self._waiting: dict[bytes, list[bytes]] = {}
        self._offset = 0
        self.counts = Counts()
        self.newest_ns = 0
        """The newest event time of all that was judged."""

    def judge(self, requests: Iterable[bytes]) -> Iterator[Finding]:
        """Yield the findings of these ``ExportTraceServiceRequest`` values, and those of all windows at their end."""
        yield from self.judge_requests(requests)
        yield from self.close_windows()

    def judge_requests(self, requests: Iterable[bytes]) -> Iterator[Finding]:
        """Yield the findings of these values, per app in order. The windows stay open for more of them."""
        for request in requests:
            for message in route(request):
                key = message.key or b""
                if key not in self._shards:
                    if len(self._shards) < MAX_SHARDS:
                        self._shards[key] = self._engine.new_shard()
                        for entry in self._first:
                            self._engine.step(self._shards[key], entry)
                    else:
                        key = sorted(self._shards)[sum(key) % MAX_SHARDS]
                waiting = self._waiting.setdefault(key, [])
                waiting.append(message.value)
                if len(waiting) >= RECORDS_PER_BATCH:
                    yield from self._step(key)
        for key in list(self._waiting):
            yield from self._step(key)
        self.newest_ns = max((shard.scalars.watermark_ns for shard in self._shards.values()), default=0)

    def close_windows(self) -> Iterator[Finding]:
        """Yield the findings of the windows that are open, and close them. Calls from before are late from then on."""
        for key, shard in self._shards.items():
            # Two windows on, everything that was open has closed.
            yield from self._count(self._engine.step(shard, Tick(shard.scalars.watermark_ns + 2 * WINDOW_NS)), key)

    def reset(self) -> None:
        """Forget everything but the counts."""
        self._shards.clear()
        self._waiting.clear()

    def _step(self, key: bytes) -> Iterator[Finding]:
        values = self._waiting.pop(key)
        count = len(values)
        findings = self._engine.step(
            self._shards[key],
            StreamRecords(
                values=values,
                appended_ns=np.zeros(count, np.int64),
                backfill=np.ones(count, np.bool_),
                offsets=np.arange(self._offset, self._offset + count, dtype=np.int64),
            ),
        )
        self._offset += count
        yield from self._count(findings, key)

    def _count(self, findings: Findings, key: bytes) -> Iterator[Finding]:  # noqa: ARG002  one app's, in its order
        self.counts.spans += findings.spans
        self.counts.calls += findings.calls
        self.counts.late += findings.late
        self.counts.unreadable += len(findings.unreadable)
        self.counts.faults += len(findings.faults)
        for finding in findings.iter_findings():
            self.counts.findings += 1
            yield finding


def as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as ``backwatch replay`` prints it."""
    return {
        "time": finding.time_ns, "detector": finding.rule.name, "severity": finding.level,
        "resource": finding.key.resource, "key": finding.key.label, "trace_id": finding.trace_id,
        "span_id": finding.span_id, "evidence": finding.evidence, "app": finding.key.app, "alert_id": finding.alert_id,
    }  # fmt: skip


def write(findings: Iterable[Finding], out: TextIO) -> None:
    """Write one JSON object per line, control characters escaped."""
    out.writelines(
        json.dumps(as_json(finding), ensure_ascii=True, separators=(",", ":")) + "\n" for finding in findings
    )
