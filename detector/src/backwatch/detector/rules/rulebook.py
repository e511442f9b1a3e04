"""The rules there are: the shipped ones, the detectors' own, and a folder of the user's."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from backwatch.collector.settings import SettingError
from backwatch.detector import detectors, parameters
from backwatch.detector.rules.compiled_rules import RuleSet, circle, circular
from backwatch.detector.rules.documents import load as load_document
from backwatch.detector.rules.explanation import explained
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.rules.filters import Filter, filter_of
from backwatch.detector.rules.references import correlated, narrow, silent
from backwatch.detector.rules.rule_files import Fault, Place, own_places, places
from backwatch.detector.rules.sigma import Rule, RuleError, correlation_rule_of, rule_of

MOST = 32
"""Correlations that there may be: each has memory of its own in every shard."""

logger = logging.getLogger("backwatch")
logging.getLogger("sigma").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFilter:
    """A filter that narrows.

    Attributes:
        rules: Names of the rules it narrows.
        file, line: Where its end is written.
    """

    filter: Filter
    rules: tuple[str, ...]
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Rules that were read.

    Attributes:
        rules: The shipped ones and those of the user's that are right.
        own: Names of the user's.
        filters: The user's filters that are right.
        faults: The user's documents that are not right, by file and line.
    """

    rules: RuleSet
    own: frozenset[str]
    filters: tuple[LoadedFilter, ...]
    faults: tuple[Fault, ...]


def vocabulary() -> Vocabulary:
    """The fields there are, for every detector there is."""
    return Vocabulary.of(detectors.discover())


def documents() -> Iterable[tuple[str, str]]:
    """Every shipped rule document: (what to call it in an error, its text)."""
    for kind in detectors.discover():
        yield f"detector {kind.id}", kind.rule
    shipped = [
        rule
        for folder in files("backwatch.detector.rules").joinpath("shipped").iterdir()
        if folder.is_dir()
        for rule in folder.iterdir()
    ]
    for rule in sorted(shipped, key=lambda found: found.name):
        if rule.name.endswith(".yml"):
            yield rule.name, rule.read_text()


def read(rules_directory: str = "", setting: str = "BACKWATCH_RULES_DIR") -> Loaded:
    """The shipped rules, and those of a folder; a bad one of the folder's is told and stops nothing else.

    Raises:
        SettingError: The folder is none, or a shipped rule is not right.
    """
    book = _shipped().copy()
    shipped = frozenset(book.rules)
    for place in own_places(rules_directory, setting):
        if isinstance(place, Fault):
            book.faults.append(place)
        else:
            book.take(place)
    book.refer()
    rules = RuleSet(book.rules.values(), book.vocabulary)
    faults = sorted(book.faults, key=lambda one: (one.file, one.line))
    return Loaded(rules=rules, own=frozenset(book.rules) - shipped, filters=tuple(book.filters), faults=tuple(faults))


@cache
def _shipped() -> "_Book":
    """The shipped rules: they do not change while we run."""
    book = _Book(vocabulary())
    for source, text in documents():
        for place in places(source, source, text):
            book.take(place)
    book.refer()
    if book.faults:
        raise SettingError(str(book.faults[0]))
    return book


class _Book:
    """What was read so far. First every document by itself, then what names others."""

    def __init__(self, known: Vocabulary) -> None:
        self.vocabulary = known
        self.rules: dict[str, Rule] = {}
        self.filters: list[LoadedFilter] = []
        self.faults: list[Fault] = []
        self._filters: list[tuple[Place, Filter]] = []
        self._correlations: list[tuple[Place, Rule]] = []
        self._places: dict[str, Place] = {}
        self._settled = frozenset[str]()

    def copy(self) -> "_Book":
        """Another one that goes on from here, once what names others was looked up."""
        other = _Book(self.vocabulary)
        other.rules, other.filters, other._settled = dict(self.rules), list(self.filters), self._settled
        other._places = dict(self._places)
        return other

    def take(self, place: Place) -> None:
        """Reads one document."""
        try:
            loaded = load_document(place.document.text, place.source)
            if "filter" in loaded:
                self._filters.append((place, filter_of(loaded, place.source)))
            elif "correlation" in loaded:
                self._correlations.append((place, correlation_rule_of(loaded, place.source, self.vocabulary)))
            else:
                self._add(rule_of(loaded, place.source, self.vocabulary), place)
        except RuleError as error:
            self.faults.append(place.fault(error))

    def refer(self) -> None:
        """Finds the rules that the documents taken since the last time name."""
        known = self.rules | {one.name: one for _, one in self._correlations if one.name not in self.rules}
        for place, one in self._correlations:
            try:
                self._add(correlated(one, known), place)
            except RuleError as error:
                self.faults.append(place.fault(error))
        self._correlations.clear()
        counting = [one.correlation for one in self.rules.values() if one.correlation is not None]
        for name in silent(counting, self.rules.keys() - self._settled):
            self.rules[name] = replace(self.rules[name], silent=True)
        self._leave_circles()
        self._settled = frozenset(self.rules)
        for place, one in self._filters:
            try:
                found = narrow(one, self.rules, self.vocabulary)
            except RuleError as error:
                self.faults.append(place.fault(error))
                continue
            self.rules |= found
            line = place.line("backwatch.expires")
            self.filters.append(LoadedFilter(filter=one, rules=tuple(sorted(found)), file=place.file, line=line))
        self._filters.clear()

    def _leave_circles(self) -> None:
        """Leaves out rules that take each other's place, and the correlations that count them."""
        left = {rule.name: circle(rule) for rule in circular(self.rules.values())}
        for rule in self.rules.values():
            counted = rule.correlation.rules if rule.correlation is not None else ()
            for name in [one for one in counted if one in left][:1]:
                left[rule.name] = RuleError(rule.source, "correlation.rules", f"no rule is called {name!r}")
        for name, error in left.items():
            del self.rules[name]
            self.faults.append(self._places[name].fault(error))

    def _add(self, rule: Rule, place: Place) -> None:
        if rule.name in self.rules:
            raise RuleError(rule.source, "name", f"{rule.name!r} is {self.rules[rule.name].source}'s already")
        for one in rule.parameters:
            if one not in parameters.discover():
                known = ", ".join(parameters.discover())
                raise RuleError(rule.source, "backwatch.parameters", f"there is no list {one!r}; known are {known}")
        if rule.correlation is not None and sum(one.over == "correlation" for one in self.rules.values()) >= MOST:
            raise RuleError(rule.source, "correlation", f"is one too many: there may be {MOST}")
        RuleSet([rule], self.vocabulary)  # what only compiling tells is this rule's fault too
        self.rules[rule.name] = rule
        self._places[rule.name] = place


def load(rules_directory: str = "") -> RuleSet:
    """All rules, compiled; each document of the user's that is bad is logged on one line and left out.

    Raises:
        SettingError: The user's folder is none, or a shipped rule is not right.
    """
    loaded = read(rules_directory)
    for fault in loaded.faults:
        logger.warning("rule left out: %s", fault)
    return loaded.rules


def metadata(rule: Rule) -> dict[str, Any]:
    """What dashboard and notify need to know of a rule."""
    return {
        "name": rule.name, "title": rule.title, "level": rule.level, "tags": list(rule.tags),
        "description": rule.description, "blind_spots": rule.blind_spots, "remediation": rule.remediation,
        "falsepositives": list(rule.falsepositives), "references": list(rule.references), **explained(rule),
        "accepts": list(_accepts().get(rule.name, ())),
    }  # fmt: skip


@cache
def _accepts() -> dict[str, tuple[str, ...]]:
    """Rule to what is accepted on its alerts."""
    return {kind.id: kind.accepts for kind in detectors.discover()}
