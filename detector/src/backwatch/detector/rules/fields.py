"""The fields that a rule may read, by what the rule is over: calls, windows, losses or processes.

All derive from the registry of facts, from ``derived/`` and from the detectors. A field belongs to a *domain*: a
dictionary of distinct entries, for each of which predicates are evaluated once (``session``, ``statement``,
``resource``, ``content``), or ``number``, which is compared call by call. Facts of detectors are numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from backwatch.collector import facts
from backwatch.collector.facts.fact import Domain, Fact, Type
from backwatch.detector.derived import registry
from backwatch.detector.detectors import Detector

DOMAINS: Final[tuple[Domain, ...]] = ("session", "statement", "resource", "content")
"""The dictionary domains, in the order in which a row's entries are passed to the rules."""


@dataclass(frozen=True, slots=True)
class Field:
    """A fact as rules read it.

    Attributes:
        domain: Where its predicates are evaluated.
        kind: Type of its value.
        derived: A detector derives it; else it is reported, or read from reported facts alone.
    """

    domain: Domain
    kind: Type
    derived: bool = False


def _fields(found: Iterable[Fact], *, derived: bool = False) -> dict[str, Field]:
    return {fact.name: Field(fact.domain, fact.type, derived) for fact in found if fact.domain is not None}


CALL_FIELDS: Final[Mapping[str, Field]] = _fields((*facts.REPORTED, *registry.FACTS))
"""Fields of a call that need no detector."""
_WINDOW: Final = _fields(facts.WINDOW, derived=True)
_LOSS: Final = _fields(facts.LOSS)
_PROCESS: Final = _fields(facts.PROCESS)


def _numbers(found: Iterable[str]) -> dict[str, Field]:
    return {name: Field("number", "number", derived=True) for name in found}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All fields, by what a rule is over.

    Attributes:
        by_over: ``call``, ``window``, ``loss`` or ``process`` to the fields of such rules.
    """

    by_over: Mapping[str, Mapping[str, Field]] = field(default_factory=dict[str, Mapping[str, Field]])

    @classmethod
    def of(cls, detectors: Iterable[type[Detector]]) -> Self:
        """Return the reported fields and those that these detectors derive."""
        found = list(detectors)
        return cls({
            "call": {**CALL_FIELDS, **_numbers(name for detector in found for name in detector.provides)},
            "window": {**_WINDOW, **_numbers(name for detector in found for name in detector.window_provides)},
            "loss": _LOSS,
            "process": _PROCESS,
        })  # fmt: skip
