"""The fixture's value: what the rules raise on a test's own calls, judged when it is looked at."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, overload

if TYPE_CHECKING:
    from backwatch.detector.api import Finding, Judge
    from backwatch.detector.testing.recording import Recording

LEVELS: Final = ("informational", "low", "medium", "high", "critical")


class TestFindings(Sequence["Finding"]):
    """The findings of one test so far, in order: a list that is judged at each look.

    Its representation shows the findings as sentences, so that ``assert not backwatch_findings`` explains itself.
    """

    __test__ = False  # no class of tests, whatever its name

    def __init__(self, recording: "Recording", level: str) -> None:
        self._recording = recording
        self._levels = frozenset(LEVELS[LEVELS.index(level) :])
        recording.flush()
        self._next = len(recording.values)
        self._judge: Judge | None = None
        self._found: list[Finding] = []
        self._alerts: set[str] = set()

    def _look(self) -> "list[Finding]":
        """Judge the calls that were made since the last look."""
        self._recording.flush()
        fresh = self._recording.values[self._next :]
        if fresh:
            from backwatch.detector.api import Judge

            self._next += len(fresh)
            self._judge = self._judge or Judge()
            self._add(self._judge.judge(fresh))
        return self._found

    def _add(self, findings: "Iterable[Finding]") -> None:
        for finding in findings:
            if finding.level in self._levels and finding.alert_id not in self._alerts:
                self._alerts.add(finding.alert_id)
                self._found.append(finding)

    def __len__(self) -> int:
        return len(self._look())

    @overload
    def __getitem__(self, index: int) -> "Finding": ...
    @overload
    def __getitem__(self, index: slice) -> "list[Finding]": ...
    def __getitem__(self, index: int | slice) -> "Finding | list[Finding]":
        return self._look()[index]

    def __eq__(self, other: object) -> bool:
        return self._look() == list(other) if isinstance(other, Sequence) else NotImplemented  # pyright: ignore[reportUnknownArgumentType]

    __hash__ = None  # pyright: ignore[reportAssignmentType]  it changes, as a list does

    def __repr__(self) -> str:
        found = self._look()
        if not found:
            return "no findings of Backwatch"
        return "\n".join(["findings of Backwatch:", *(f"  {finding}" for finding in found)])
