"""The parts of a quiet hour: each scene on each of its drivers, with its result."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backwatch.attack.baseline.workloads import Scene
from backwatch.attack.scenarios import driver_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An alert above informational: a finding about Backwatch."""

    rule: str
    level: str
    count: int
    key: str
    evidence: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Part:
    """One scene on one driver, with its result.

    Attributes:
        outcome: Empty if it was played; otherwise ``not run: …`` or ``failed: …``.
        announced: Facts that the profile declares about its service, by their names.
        calls: Number of calls that were judged.
        said: False alerts.
        before: Names of rules above informational that raised an alert in the learning days before the hour.
        told: Names of informational rules that raised an alert.
    """

    scene: type[Scene]
    driver: str
    driver_version: str
    outcome: str = ""
    announced: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    calls: int = 0
    said: list[Said] = field(default_factory=list[Said])
    before: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])

    @property
    def name(self) -> str:
        """Return the app's name."""
        return f"{self.scene.name()}-{self.driver}"

    @property
    def quiet(self) -> bool:
        """Return whether no alert above informational was raised."""
        return not self.said and not self.outcome.startswith("failed")

    def document(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {
            "scene": self.scene.name(), "driver": self.driver, "driver_version": self.driver_version,
            "title": self.scene.title, "naive": self.scene.naive, "outcome": self.outcome or "played",
            "calls": self.calls, "informational": self.told, "before": self.before, "quiet": self.quiet,
            "said": [
                {
                    "rule": finding.rule, "level": finding.level, "count": finding.count, "key": finding.key,
                    "evidence": finding.evidence,
                }
                for finding in self.said
            ],
        }  # fmt: skip


def parts_of(scenes: Iterable[type[Scene]]) -> list[Part]:
    """Return every scene on each of its drivers."""
    return [
        Part(scene=scene, driver=driver, driver_version=driver_version(driver))
        for scene in scenes
        for driver in scene.played_on()
    ]
