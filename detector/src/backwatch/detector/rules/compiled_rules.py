"""Rules compiled for many calls: a bitset per dictionary entry, an AND per row, numbers only where bits are left.

A rule becomes conjuncts. Whatever part of it reads one dictionary alone (session, statement, resource, content) is
answered once per distinct entry, however it is nested; numbers are looked up call by call. What a thousand rules more
cost is measured by ``bench/rules.py``.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.bit_layout import Seats
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.conjuncts import Compiler
from backwatch.detector.rules.entry_tests import EntryTests
from backwatch.detector.rules.fields import DOMAINS, Vocabulary
from backwatch.detector.rules.number_tests import NumberTests
from backwatch.detector.rules.rule_kernels import Numbers, evaluate
from backwatch.detector.rules.sigma import Rule

Stage = Literal[1, 3]
MAX_REMEMBERED: Final = 4_096
"""Rows of bits that are remembered: most texts of a flood say the same to the rules."""


class RuleSet:
    """Rules over calls, ready for many calls; rules over windows and losses are few and read plainly.

    Attributes:
        rules: Every rule, in order of name; a finding names its rule by its place here.
        words: 64-bit words of an entry's bits.
        numeric_columns: Columns whose numbers are compared call by call.
        taking_places: Those that take another one's place, by their place here.
    """

    def __init__(self, rules: Iterable[Rule], vocabulary: Vocabulary) -> None:
        self.rules: tuple[Rule, ...] = tuple(sorted(rules, key=lambda one: one.name))
        for first, second in itertools.pairwise(self.rules):
            if first.name == second.name:
                raise RuleError(second.source, "name", f"{second.name!r} is taken by {first.source}")
        self._silences = _silences(self.rules)
        self.taking_places = frozenset(self._silences)
        compiler = Compiler(vocabulary.by_over["call"])
        found = [one for at, rule in enumerate(self.rules) for one in compiler.conjuncts(at, rule)]
        self._rule_of = np.array([one.rule for one in found], np.int32)
        told = np.array([one.told for one in found], np.bool_)
        # Stage 3 looks at what was learnt, and at the told conjuncts of the same rules, so that none fires twice.
        learning = np.isin(self._rule_of, self._rule_of[~told])
        self._seats = Seats(found, learning)
        self.words = self._seats.width
        self._stage = {1: self._seats.row(told), 3: self._seats.row(learning)}
        self._mute = {1: np.zeros_like(told), 3: told}
        self._numbers = NumberTests.of([found[at].tests for at in self._seats.conjunct_of], self._seats.words)
        self.numeric_columns = self._numbers.columns
        self._reads = {
            stage: sorted({
                self.numeric_columns.index(test.column) for at in np.flatnonzero(chosen) for test in found[at].tests
            })
            for stage, chosen in ((1, told), (3, learning))
        }  # fmt: skip
        self._rows: dict[tuple[str, frozenset[int]], NDArray[np.uint64]] = {}
        self._entry = {domain: EntryTests([one.terms.get(domain) for one in found]) for domain in DOMAINS}

    def entry_bits(self, domain: str, facts: Mapping[str, p.Value]) -> NDArray[np.uint64]:
        """Which conjuncts' predicates on this domain hold for one of its entries: ``words`` words of 64 bits."""
        tests = self._entry[domain]
        telling = tests.telling(facts)
        row = self._rows.get((domain, telling))
        if row is None:
            if len(self._rows) >= MAX_REMEMBERED:
                self._rows.clear()
            row = self._rows[domain, telling] = self._seats.row(tests.holding(telling))
        return row

    def evaluate(
        self,
        bits: Mapping[str, NDArray[np.uint64]],
        entry: Mapping[str, NDArray[np.int32]],
        numbers: Mapping[str, NDArray[Any]],
        stage: Stage,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The rules that fire, call by call; none fires in both stages on one call.

        Args:
            bits: Domain to (entries, words): each entry's :meth:`entry_bits`.
            entry: Domain to each call's entry.
            numbers: Every numeric column; NaN, or below zero in a column of whole numbers, is absent.
            stage: 1: by what the collector told alone; 3: whatever more follows from what detectors learnt.

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
            found, self._stage[stage], self._seats.conjunct_of, self._rule_of,
            self._mute[stage], self._numbers,
        )  # fmt: skip

    def silenced(
        self, row: NDArray[np.int32], rule: NDArray[np.int32], takes: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_]:
        """Which of these firings another rule, that fires on the same call, takes the place of.

        Args:
            row, rule: All firings of a run of calls, of both stages, in any order.
            takes: Those of them that may take a place; ``None``: all.
        """
        may = np.ones(row.shape[0], np.bool_) if takes is None else takes
        out = np.zeros(row.shape[0], np.bool_)
        for number in np.unique(rule).tolist():
            weaker = self._silences.get(number)
            if weaker is not None:
                out |= np.isin(rule, weaker) & np.isin(row, row[(rule == number) & may])
        return out


def circular(rules: Iterable[Rule]) -> list[Rule]:
    """The rules that take each other's place, in a circle of two or more."""
    rules = tuple(rules)
    below = _below(rules)
    found: list[Rule] = []
    for one in rules:
        waiting, seen = list(below[one.name]), set[str]()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += below[name]
        if one.name in seen:
            found.append(one)
    return found


def circle(rule: Rule) -> RuleError:
    """What is wrong with one of :func:`circular`."""
    return RuleError(rule.source, "backwatch.instead_of", "comes back to itself: neither would be raised")


def _below(rules: Sequence[Rule]) -> dict[str, list[str]]:
    known = {one.name for one in rules}
    return {one.name: [name for name in one.instead_of if name in known and not one.silent] for one in rules}


def _silences(rules: Sequence[Rule]) -> dict[int, NDArray[np.int32]]:
    """Rule to the rules whose place it takes; names that there are not are another installation's rules."""
    for one in circular(rules):
        raise circle(one)
    at = {one.name: number for number, one in enumerate(rules)}
    below = _below(rules)
    return {at[name]: np.array([at[one] for one in found], np.int32) for name, found in below.items() if found}


def matches(rule: Rule, facts: Mapping[str, p.Value]) -> bool:
    """Whether the rule fires for these facts, read plainly: for windows and losses, and as the fast path's proof.

    Args:
        facts: With the event time as ``filters.TIME``; without it no filter has ended.
    """
    return p.holds(rule.narrowed, facts)
