"""Judges a scenario: its calls as bytes through the shipped engine, in memory, and the alerts that it opens."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from backwatch.attack.baseline.year.calendar import BEGIN_NS, SECOND_NS
from backwatch.attack.baseline.year.scenario import YearScenario
from backwatch.collector.pipeline.encoder import encode_calls
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Findings
from backwatch.detector.engine.log_entries import StreamRecords, Tick
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.store.commit import ClearedAlert

RECORDS_PER_STEP: Final = 256
DAY_NS: Final = 86_400 * SECOND_NS
INFORMATIONAL: Final = "informational"


@dataclass(frozen=True, slots=True, kw_only=True)
class YearAlert:
    """One episode of an alert.

    Attributes:
        at_days: When it opened, in days from the beginning.
        evidence: The fields of its rule first.
    """

    rule: str
    level: str
    at_days: float
    key: str
    evidence: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class YearResult:
    """A scenario's result.

    Attributes:
        faults: Detectors that failed, and calls that were late: the result counts for nothing.
    """

    scenario: str
    days: int
    calls: int = 0
    alerts: list[YearAlert] = field(default_factory=list[YearAlert])
    informational: dict[str, int] = field(default_factory=dict[str, int])
    faults: int = 0
    took_s: float = 0.0

    @property
    def per_week(self) -> float:
        """Alerts above informational per week."""
        return len(self.alerts) * 7 / self.days

    @property
    def is_quiet(self) -> bool:
        """Return whether no alert above informational was opened."""
        return not self.alerts and not self.faults

    def document(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return asdict(self) | {"per_week": round(self.per_week, 2), "quiet": self.is_quiet}


class _Judge:
    """An engine with one shard, and the alerts that are open."""

    def __init__(self, engine: Engine, result: YearResult) -> None:
        self._engine = engine
        self._shard = engine.new_shard()
        self._open: set[str] = set()
        self._values: list[bytes] = []
        self._appended_ns: list[int] = []
        self._offset = 0
        self._result = result

    def add(self, value: bytes, appended_ns: int) -> None:
        """Judge one record, together with others."""
        self._values.append(value)
        self._appended_ns.append(appended_ns)
        if len(self._values) >= RECORDS_PER_STEP:
            self.step()

    def step(self) -> None:
        """Judge what waits."""
        count = len(self._values)
        offsets = np.arange(self._offset, self._offset + count, dtype=np.int64)
        entry = StreamRecords(
            values=self._values, appended_ns=np.array(self._appended_ns, np.int64), backfill=np.zeros(count, np.bool_),
            offsets=offsets,
        )  # fmt: skip
        self._note(self._engine.step(self._shard, entry))
        self._offset += count
        self._values, self._appended_ns = [], []

    def close(self, end_ns: int) -> None:
        """Judge the rest, and let all windows close."""
        self.step()
        self._note(self._engine.step(self._shard, Tick(end_ns)))

    def _note(self, findings: Findings) -> None:
        self._result.calls += findings.calls
        self._result.faults += findings.late + len(findings.faults) + len(findings.unreadable)
        for event in findings.events:
            if isinstance(event, ClearedAlert):
                self._open.discard(event.alert_id)
            elif event.alert_id not in self._open:
                self._open.add(event.alert_id)
                first = next(event.iter_findings())
                names = [name for name in event.rule.fields if name in first.evidence]
                evidence = {name: first.evidence[name] for name in (*names, *first.evidence)}
                if event.rule.level == INFORMATIONAL:
                    found = self._result.informational
                    found[event.rule.name] = found.get(event.rule.name, 0) + 1
                    continue
                self._result.alerts.append(
                    YearAlert(
                        rule=event.rule.name, level=event.rule.level, key=event.key.label, evidence=evidence,
                        at_days=round((first.time_ns - BEGIN_NS) / DAY_NS, 3),
                    )
                )  # fmt: skip


def judge(kind: type[YearScenario], seed: int = 1) -> YearResult:
    """Play a scenario from beginning to end, and return what was raised."""
    begun = time.monotonic()
    result = YearResult(scenario=kind.name(), days=kind.days)
    judging = _Judge(make_engine(EngineConfig()), result)
    for end_ns, bursts in kind(seed).bursts():
        for burst in bursts:
            judging.add(encode_calls(burst.pod.app, burst.calls), end_ns + SECOND_NS)
    judging.close(BEGIN_NS + kind.days * DAY_NS)
    result.took_s = round(time.monotonic() - begun, 1)
    return result
