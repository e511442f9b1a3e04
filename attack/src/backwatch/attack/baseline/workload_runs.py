"""The runs of a quiet hour: each workload on each of its drivers, with its result."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from backwatch.attack.baseline.workloads import Workload
from backwatch.attack.scenarios import driver_version


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlert:
    """An alert above informational: a finding about Backwatch."""

    rule: str
    level: str
    count: int
    key: str
    evidence: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class WorkloadRun:
    """One workload on one driver, with its result.

    Attributes:
        outcome: Empty if it was completed; otherwise ``not run: …`` or ``failed: …``.
        announcements: Facts that the profile declares about its service, by their names.
        calls: Number of calls that were judged.
        false_alerts: Alerts above informational.
        before: Names of rules above informational that raised an alert in the learning days before the hour.
        informational: Names of informational rules that raised an alert.
    """

    workload: type[Workload]
    driver: str
    driver_version: str
    outcome: str = ""
    announcements: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    calls: int = 0
    false_alerts: list[FalseAlert] = field(default_factory=list[FalseAlert])
    before: list[str] = field(default_factory=list[str])
    informational: list[str] = field(default_factory=list[str])

    @property
    def name(self) -> str:
        """Return the app's name."""
        return f"{self.workload.name()}-{self.driver}"

    @property
    def is_quiet(self) -> bool:
        """Return whether no alert above informational was raised."""
        return not self.false_alerts and not self.outcome.startswith("failed")

    def document(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {
            "workload": self.workload.name(), "driver": self.driver, "driver_version": self.driver_version,
            "title": self.workload.title, "naive": self.workload.naive, "outcome": self.outcome or "completed",
            "calls": self.calls, "informational": self.informational, "before": self.before, "quiet": self.is_quiet,
            "alerts": [asdict(alert) for alert in self.false_alerts],
        }  # fmt: skip


def runs_of(workloads: Iterable[type[Workload]]) -> list[WorkloadRun]:
    """Return every workload on each of its drivers."""
    return [
        WorkloadRun(workload=workload, driver=driver, driver_version=driver_version(driver))
        for workload in workloads
        for driver in workload.client_libraries()
    ]
