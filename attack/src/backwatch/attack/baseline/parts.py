"""The parts of a quiet hour: each scene on each of its drivers, and what became of it."""

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
    """One scene on one driver, and what became of it.

    Attributes:
        outcome: Empty: it was played; else ``not run: …`` or ``failed: …``.
        announced: What the profile says of its service, by its words.
        calls: That were judged.
        said: What should not have been.
        before: Names of rules above informational that spoke up in the days before the hour, while it was learnt.
        told: Names of informational rules that spoke up.
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
        """The app's."""
        return f"{self.scene.name()}-{self.driver}"

    @property
    def quiet(self) -> bool:
        """Whether nothing above informational was said, of something."""
        return not self.said and not self.outcome.startswith("failed")

    def document(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "scene": self.scene.name(), "driver": self.driver, "driver_version": self.driver_version,
            "title": self.scene.title, "naive": self.scene.naive, "outcome": self.outcome or "played",
            "calls": self.calls, "informational": self.told, "before": self.before, "quiet": self.quiet,
            "said": [
                {"rule": one.rule, "level": one.level, "count": one.count, "key": one.key, "evidence": one.evidence}
                for one in self.said
            ],
        }  # fmt: skip


def parts_of(scenes: Iterable[type[Scene]]) -> list[Part]:
    """Every scene on each of its drivers."""
    return [
        Part(scene=scene, driver=driver, driver_version=driver_version(driver))
        for scene in scenes
        for driver in scene.played_on()
    ]
