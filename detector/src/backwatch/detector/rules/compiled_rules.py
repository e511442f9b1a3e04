"""Rules compiled for many calls: a bitset per dictionary entry, an AND per row, then numbers where bits remain.

A rule becomes conjuncts. Each part that reads one dictionary alone (session, statement, resource, content) is evaluated
once per distinct entry, at any depth of nesting; numbers are compared call by call. ``bench/rules.py`` measures the
cost of a thousand more rules.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.bit_layout import BitLayout
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.conjuncts import Compiler
from backwatch.detector.rules.entry_tests import EntryTests
from backwatch.detector.rules.fields import DOMAINS, Vocabulary
from backwatch.detector.rules.number_tests import NumberTests
from backwatch.detector.rules.rule_kernels import Numbers, evaluate
from backwatch.detector.rules.sigma import Rule

Stage = Literal[1, 3]
MAX_REMEMBERED: Final = 4_096
"""Cached rows of bits: in a flood, most texts give the same row."""


class RuleSet:
    """Compiled rules over calls. Rules over windows and losses are few, and are evaluated term by term.

    Attributes:
        rules: Every rule, sorted by name; a finding refers to its rule by its index here.
        words: 64-bit words of an entry's bits.
        numeric_columns: Columns whose numbers are compared call by call.
        superseding: Indices of the rules that supersede others.
    """

    def __init__(self, rules: Iterable[Rule], vocabulary: Vocabulary) -> None:
        self.rules: tuple[Rule, ...] = tuple(sorted(rules, key=lambda rule: rule.name))
        for first, second in itertools.pairwise(self.rules):
            if first.name == second.name:
                raise RuleError(second.source, "name", f"{second.name!r} is taken by {first.source}")
        self._superseded_by = _index_superseded(self.rules)
        self.superseding = frozenset(self._superseded_by)
        compiler = Compiler(vocabulary.by_over["call"])
        found = [conjunct for at, rule in enumerate(self.rules) for conjunct in compiler.conjuncts(at, rule)]
        self._rule_of = np.array([conjunct.rule for conjunct in found], np.int32)
        reported = np.array([conjunct.reported for conjunct in found], np.bool_)
        # Stage 3 includes the conjuncts on reported facts of the rules on derived facts: none fires twice.
        derived = np.isin(self._rule_of, self._rule_of[~reported])
        self._layout = BitLayout(found, derived)
        self.words = self._layout.width
        self._stage = {1: self._layout.row(reported), 3: self._layout.row(derived)}
        self._mute = {1: np.zeros_like(reported), 3: reported}
        self._numbers = NumberTests.of([found[at].tests for at in self._layout.conjunct_of], self._layout.words)
        self.numeric_columns = self._numbers.columns
        self._reads = {
            stage: sorted({
                self.numeric_columns.index(test.column) for at in np.flatnonzero(chosen) for test in found[at].tests
            })
            for stage, chosen in ((1, reported), (3, derived))
        }  # fmt: skip
        self._rows: dict[tuple[str, frozenset[int]], NDArray[np.uint64]] = {}
        self._entry = {domain: EntryTests([conjunct.terms.get(domain) for conjunct in found]) for domain in DOMAINS}

    def evaluate_entry(self, domain: str, facts: Mapping[str, p.Value]) -> NDArray[np.uint64]:
        """Return the conjuncts whose predicates on this domain hold for an entry, as ``words`` words of 64 bits."""
        tests = self._entry[domain]
        deciding = tests.find_deciding(facts)
        row = self._rows.get((domain, deciding))
        if row is None:
            if len(self._rows) >= MAX_REMEMBERED:
                self._rows.clear()
            row = self._rows[domain, deciding] = self._layout.row(tests.evaluate(deciding))
        return row

    def evaluate(
        self,
        bits: Mapping[str, NDArray[np.uint64]],
        entry: Mapping[str, NDArray[np.int32]],
        numbers: Mapping[str, NDArray[Any]],
        stage: Stage,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the rules that fire, call by call; none fires in both stages on one call.

        Args:
            bits: Domain to (entries, words): the result of :meth:`evaluate_entry` for each entry.
            entry: Domain to each call's entry.
            numbers: Every numeric column; NaN, or below zero in a column of whole numbers, is absent.
            stage: 1: by reported facts alone; 3: the additional firings by derived facts.

        Returns:
            Row and rule of each firing, by row, then rule.
        """
        count = entry[DOMAINS[0]].shape[0]
        if count == 0 or not self._stage[stage].any():
            return np.empty(0, np.int32), np.empty(0, np.int32)
        found = Numbers(len(self.numeric_columns), count)
        for at in self._reads[stage]:
            found.put(at, numbers[self.numeric_columns[at]])
        return evaluate(
            [bits[domain] for domain in DOMAINS], [entry[domain] for domain in DOMAINS],
            found, self._stage[stage], self._layout.conjunct_of, self._rule_of,
            self._mute[stage], self._numbers,
        )  # fmt: skip

    def find_superseded(
        self, row: NDArray[np.int32], rule: NDArray[np.int32], takes: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_]:
        """Return which of these firings are superseded by another rule that fires on the same call.

        Args:
            row, rule: All firings of a run of calls, of both stages, in any order.
            takes: The firings that may supersede others; ``None``: all.
        """
        may = np.ones(row.shape[0], np.bool_) if takes is None else takes
        out = np.zeros(row.shape[0], np.bool_)
        for number in np.unique(rule).tolist():
            weaker = self._superseded_by.get(number)
            if weaker is not None:
                out |= np.isin(rule, weaker) & np.isin(row, row[(rule == number) & may])
        return out


def find_circular(rules: Iterable[Rule]) -> list[Rule]:
    """The rules that take each other's place, in a circular_error of two or more."""
    rules = tuple(rules)
    below = _below(rules)
    found: list[Rule] = []
    for rule in rules:
        waiting, seen = list(below[rule.name]), set[str]()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += below[name]
        if rule.name in seen:
            found.append(rule)
    return found


def circular_error(rule: Rule) -> RuleError:
    """Return the error of a rule that :func:`find_circular` found."""
    return RuleError(rule.source, "backwatch.instead_of", "comes back to itself: neither would be raised")


def _below(rules: Sequence[Rule]) -> dict[str, list[str]]:
    known = {rule.name for rule in rules}
    return {rule.name: [name for name in rule.instead_of if name in known and not rule.silent] for rule in rules}


def _index_superseded(rules: Sequence[Rule]) -> dict[int, NDArray[np.int32]]:
    """Return rule to superseded rules. Unknown names are rules of another installation."""
    for rule in find_circular(rules):
        raise circular_error(rule)
    at = {rule.name: number for number, rule in enumerate(rules)}
    below = _below(rules)
    return {at[name]: np.array([at[weaker] for weaker in found], np.int32) for name, found in below.items() if found}


def matches(rule: Rule, facts: Mapping[str, p.Value]) -> bool:
    """Return whether the rule fires for these facts, term by term: for windows and losses, and to test the fast path.

    Args:
        facts: With the event time as ``filters.TIME``; without it no filter has expired.
    """
    return p.is_satisfied(rule.active_condition, facts)
