"""Load all rules: the shipped ones, with those beside detectors, and a folder of the user."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from backwatch.collector.settings import SettingError
from backwatch.detector import detectors, parameters
from backwatch.detector.rules.compiled_rules import RuleSet, circular_error, find_circular
from backwatch.detector.rules.documents import load_document
from backwatch.detector.rules.explanation import rule_page_data
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.rules.filters import Filter, build_filter
from backwatch.detector.rules.references import apply_filter, check_escalation, find_silent, resolve_correlation
from backwatch.detector.rules.rule_files import Fault, SourceDocument, read_documents, read_user_documents
from backwatch.detector.rules.sigma import Rule, RuleError, build_correlation_rule, build_rule

MAX_CORRELATIONS = 32
"""Maximum number of correlations: each has state of its own in every shard."""

logger = logging.getLogger("backwatch")
logging.getLogger("sigma").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFilter:
    """A filter in use.

    Attributes:
        rules: Names of the rules that it applies to.
        file, line: Position of its expiry date.
    """

    filter: Filter
    rules: tuple[str, ...]
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Loaded rules.

    Attributes:
        rules: The shipped rules and the user's valid ones.
        own: Names of the user's rules.
        filters: The user's valid filters.
        faults: The user's invalid documents, by file and line.
    """

    rules: RuleSet
    own: frozenset[str]
    filters: tuple[LoadedFilter, ...]
    faults: tuple[Fault, ...]


def build_vocabulary() -> Vocabulary:
    """Return the fields of all detectors."""
    return Vocabulary.of(detectors.discover())


def shipped_documents() -> Iterator[tuple[str, str]]:
    """Yield name and text of every shipped rule document: those beside detectors, and those without code."""
    shipped = files("backwatch.detector.rules").joinpath("shipped").iterdir()
    folders = [files("backwatch.detector.detectors"), *(folder for folder in shipped if folder.is_dir())]
    documents = [file for folder in folders for file in folder.iterdir() if file.name.endswith(".yml")]
    for document in sorted(documents, key=lambda file: file.name):
        yield document.name, document.read_text()


def read(rules_directory: str = "", setting: str = "BACKWATCH_RULES_DIR") -> Loaded:
    """Read the shipped rules and those of a folder. An invalid document of the folder becomes a fault.

    Raises:
        SettingError: The folder does not exist, or a shipped rule is invalid.
    """
    book = _shipped().copy()
    shipped = frozenset(book.rules)
    for document in read_user_documents(rules_directory, setting):
        if isinstance(document, Fault):
            book.faults.append(document)
        else:
            book.add_document(document)
    book.resolve_references()
    rules = RuleSet(book.rules.values(), book.vocabulary)
    faults = sorted(book.faults, key=lambda fault: (fault.file, fault.line))
    return Loaded(rules=rules, own=frozenset(book.rules) - shipped, filters=tuple(book.filters), faults=tuple(faults))


@cache
def _shipped() -> "_Book":
    """Return the shipped rules, which do not change at run time."""
    book = _Book(build_vocabulary())
    for source, text in shipped_documents():
        for document in read_documents(source, source, text):
            book.add_document(document)
    book.resolve_references()
    if book.faults:
        raise SettingError(str(book.faults[0]))
    return book


class _Book:
    """The documents read so far: first each by itself, then references between them."""

    def __init__(self, known: Vocabulary) -> None:
        self.vocabulary = known
        self.rules: dict[str, Rule] = {}
        self.filters: list[LoadedFilter] = []
        self.faults: list[Fault] = []
        self._filters: list[tuple[SourceDocument, Filter]] = []
        self._correlations: list[tuple[SourceDocument, Rule]] = []
        self._documents: dict[str, SourceDocument] = {}
        self._settled = frozenset[str]()

    def copy(self) -> "_Book":
        """Return a copy to which further documents can be added; all references must be resolved."""
        other = _Book(self.vocabulary)
        other.rules, other.filters, other._settled = dict(self.rules), list(self.filters), self._settled
        other._documents = dict(self._documents)
        return other

    def add_document(self, document: SourceDocument) -> None:
        """Parse one document and add it."""
        try:
            loaded = load_document(document.document.text, document.source)
            if "filter" in loaded:
                self._filters.append((document, build_filter(loaded, document.source)))
            elif "correlation" in loaded:
                rule = build_correlation_rule(loaded, document.source, self.vocabulary)
                self._correlations.append((document, rule))
            else:
                self._add(build_rule(loaded, document.source, self.vocabulary), document)
        except RuleError as error:
            self.faults.append(document.fault(error))

    def resolve_references(self) -> None:
        """Resolve the references of the documents added since the last time."""
        known = self.rules | {rule.name: rule for _, rule in self._correlations if rule.name not in self.rules}
        for document, rule in self._correlations:
            try:
                self._add(resolve_correlation(rule, known), document)
            except RuleError as error:
                self.faults.append(document.fault(error))
        self._correlations.clear()
        counting = [rule.correlation for rule in self.rules.values() if rule.correlation is not None]
        for name in find_silent(counting, self.rules.keys() - self._settled):
            self.rules[name] = replace(self.rules[name], silent=True)
        self._remove_circles()
        self._remove_faulty_escalations()
        self._settled = frozenset(self.rules)
        for document, filter_ in self._filters:
            try:
                found = apply_filter(filter_, self.rules, self.vocabulary)
            except RuleError as error:
                self.faults.append(document.fault(error))
                continue
            self.rules |= found
            line = document.line("backwatch.expires")
            names = tuple(sorted(found))
            self.filters.append(LoadedFilter(filter=filter_, rules=names, file=document.file, line=line))
        self._filters.clear()

    def _remove_circles(self) -> None:
        """Remove rules that supersede each other, and the correlations that count them."""
        removed = {rule.name: circular_error(rule) for rule in find_circular(self.rules.values())}
        for rule in self.rules.values():
            counted = rule.correlation.rules if rule.correlation is not None else ()
            for name in [base for base in counted if base in removed][:1]:
                removed[rule.name] = RuleError(rule.source, "correlation.rules", f"no rule is called {name!r}")
        for name, error in removed.items():
            del self.rules[name]
            self.faults.append(self._documents[name].fault(error))

    def _remove_faulty_escalations(self) -> None:
        """Remove new rules that cannot escalate the rule that they name."""
        for rule in [rule for rule in self.rules.values() if rule.escalates and rule.name not in self._settled]:
            try:
                check_escalation(rule, self.rules)
            except RuleError as error:
                del self.rules[rule.name]
                self.faults.append(self._documents[rule.name].fault(error))

    def _add(self, rule: Rule, document: SourceDocument) -> None:
        if rule.name in self.rules:
            raise RuleError(rule.source, "name", f"{rule.name!r} is used by {self.rules[rule.name].source} already")
        for name in rule.parameters:
            if name not in parameters.discover():
                known = ", ".join(parameters.discover())
                raise RuleError(rule.source, "backwatch.parameters", f"there is no list {name!r}; known are {known}")
        if (
            rule.correlation is not None
            and sum(rule.over == "correlation" for rule in self.rules.values()) >= MAX_CORRELATIONS
        ):
            raise RuleError(rule.source, "correlation", f"is one too many: there may be {MAX_CORRELATIONS}")
        RuleSet([rule], self.vocabulary)  # faults that only compiling finds are faults of this rule, too
        self.rules[rule.name] = rule
        self._documents[rule.name] = document


def load(rules_directory: str = "") -> RuleSet:
    """Return all rules, compiled. Each invalid document of the user is logged on one line and left out.

    Raises:
        SettingError: The user's folder does not exist, or a shipped rule is invalid.
    """
    loaded = read(rules_directory)
    for fault in loaded.faults:
        logger.warning("rule left out: %s", fault)
    return loaded.rules


def rule_metadata(rule: Rule) -> dict[str, Any]:
    """Return the data of a rule that dashboard and notify show."""
    return {
        "name": rule.name, "title": rule.title, "level": rule.level, "tags": list(rule.tags),
        "description": rule.description, "blind_spots": rule.blind_spots, "remediation": rule.remediation,
        "falsepositives": list(rule.falsepositives), "references": list(rule.references), **rule_page_data(rule),
        "accepts": list(_accepts().get(rule.name, ())),
    }  # fmt: skip


@cache
def _accepts() -> dict[str, tuple[str, ...]]:
    """Return rule to the facts that accepting its alert records."""
    return {kind.id: kind.accepts for kind in detectors.discover()}
