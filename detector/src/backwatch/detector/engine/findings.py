"""Results of one step: columns first, objects only for the findings that are shown."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.facts.fact import Fact
from backwatch.detector.columns.key_texts import Key
from backwatch.detector.decoding.decoder import DecodedCalls
from backwatch.detector.identity.identity_snapshot import Before, previous_values
from backwatch.detector.rules.sigma import Rule
from backwatch.detector.statements.structure.marking import mark_difference
from backwatch.store.commit import ClearedAlert, SeenProcess
from backwatch.store.text import LEVELS

DIFFERENCE: Final = "backwatch.query.difference"
"""The fact that stands in evidence as text: detectors return a span of tokens."""
MAX_FIRSTS = 8
"""Firings of a step that are shown besides the newest: the first to show a new value of the rule's facts. As many
as a store keeps of an episode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that fired once, or that cleared.

    Attributes:
        trace_id, span_id: Lower-case hex; empty where a window or a loss made it.
        level: The rule's, or that of a rule that fired, too, and escalates its alert.
    """

    rule: Rule
    alert_id: str
    key: Key
    time_ns: int
    trace_id: str
    span_id: str
    evidence: Mapping[str, Any]
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firings:
    """One rule's firings for one key in one run of calls.

    Attributes:
        rows: int32, rows of ``decoded``, ascending; empty where no call made it.
        times: int64, event time of each firing.
        facts: What detectors computed for these rows, by name.
        evidence: Evidence that is the same for each firing; all of it, if no call caused it.
        was: What the resource showed before, where the rule is about its identity.
        accepts: Names of the facts that are accepted on alerts of the rule.
        firsts: Places of the firings that are the first to show something of those facts.
        words: Facts whose values or bits have names.
        canonical: Returns the canonical text of a row's statement.
        escalated: Rules that raise the alert to their level, each with the firings on which it fired, too.
    """

    rule: Rule
    alert_id: str
    key: Key
    decoded: DecodedCalls | None
    rows: NDArray[np.int32]
    times: NDArray[np.int64]
    facts: Mapping[str, NDArray[Any]]
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    was: Before = field(default_factory=dict[str, tuple[NDArray[np.int32], str]])
    accepts: Sequence[str] = ()
    firsts: Sequence[int] = ()
    words: Mapping[str, Fact] = field(default_factory=dict[str, Fact])
    escalated: Sequence[tuple[Rule, NDArray[np.bool_]]] = ()
    canonical: Callable[[int], bytes] | None = None

    def _mark(self, place: int, span: int) -> str:
        return mark_difference(self.canonical(int(self.rows[place])), span) if self.canonical else ""

    def level_at(self, place: int) -> str:
        """Return the level of one firing."""
        levels = [self.rule.level, *(rule.level for rule, fired in self.escalated if fired[place])]
        return max(levels, key=LEVELS.index)

    @property
    def escalation(self) -> tuple[str, int]:
        """Return the highest level that another rule raises the alert to, and since when; empty: none does."""
        found = [(rule.level, int(self.times[int(np.argmax(fired))])) for rule, fired in self.escalated]
        return max(found, key=lambda one: LEVELS.index(one[0]), default=("", 0))

    def iter_findings(self, newest: int = 0) -> Iterator[Finding]:
        """Yield one finding per firing, in order; only the ``newest`` ones and ``firsts`` if ``newest`` is not 0."""
        count = self.times.shape[0]
        newer = range(max(0, count - newest) if newest else 0, count)
        for i in (*(first for first in self.firsts if first < newer.start), *newer):
            evidence = dict(self.evidence)
            trace_id = span_id = ""
            if self.decoded is not None:
                row = int(self.rows[i])
                evidence |= self.decoded.evidence(row)
                trace_id, span_id = self.decoded.trace_id(row), self.decoded.span_id(row)
                evidence |= previous_values(self.decoded, row, self.was, i)
            evidence |= as_evidence((name, values[i]) for name, values in self.facts.items()) | name_values(
                (self.words[name], values[i]) for name, values in self.facts.items() if name in self.words
            )
            if span := evidence.pop(DIFFERENCE, 0):
                evidence |= {DIFFERENCE: marked} if (marked := self._mark(i, int(span))) else {}
            yield Finding(
                rule=self.rule, alert_id=self.alert_id, key=self.key, time_ns=int(self.times[i]),
                trace_id=trace_id, span_id=span_id, evidence=evidence, level=self.level_at(i),
            )  # fmt: skip


def as_evidence(facts: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return facts as JSON accepts them.

    NaN is what a detector does not know yet: such a fact is left out.
    """
    return {name: _plain(value) for name, value in facts if not _is_nan(value)}


def name_values(facts: Iterable[tuple[Fact, Any]]) -> dict[str, Any]:
    """Return the facts whose values have names as words; 0 is shown as it is."""
    named: dict[str, Any] = {}
    for fact, value in facts:
        if _is_nan(value):
            continue
        number = int(value)
        if fact.values and 1 <= number <= len(fact.values):
            named[fact.name] = fact.values[number - 1]
        elif fact.bits and number:
            named[fact.name] = ", ".join(bit for at, bit in enumerate(fact.bits) if number >> at & 1)
    return named


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)


def _plain(value: Any) -> Any:
    """Return a number as JSON accepts it, floats to four places; other values as text."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else str(value)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedWindow:
    """One resource's sums over a window that closed."""

    end_ns: int
    parts: tuple[str, str, str, str]
    sums: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenResource:
    """A resource that had calls in this step, with the facts of its newest one."""

    parts: tuple[str, str, str, str]
    first_ns: int
    last_ns: int
    calls: int
    errors: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A record that could not be decoded."""

    offset: int
    reason: str
    value: bytes
    appended_ns: int


@dataclass(slots=True)
class Findings:
    """Everything that one step reports to its caller."""

    events: list[Firings | ClearedAlert] = field(default_factory=list[Firings | ClearedAlert])
    """In the order in which they became true."""
    windows: list[ClosedWindow] = field(default_factory=list[ClosedWindow])
    seen: list[SeenResource] = field(default_factory=list[SeenResource])
    processes: list[SeenProcess] = field(default_factory=list[SeenProcess])
    unreadable: list[UnreadableRecord] = field(default_factory=list[UnreadableRecord])
    losses: dict[str, int] = field(default_factory=dict[str, int])
    faults: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Detectors that raised and were undone: (id, what)."""
    spans: int = 0
    calls: int = 0
    late: int = 0
    cut: int = 0

    def iter_findings(self) -> Iterator[Finding]:
        """Yield every firing, unfolded."""
        for event in self.events:
            if isinstance(event, Firings):
                yield from event.iter_findings()
