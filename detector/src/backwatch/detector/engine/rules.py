"""Rules compiled for many calls: a bitset per dictionary entry, an AND per row, numbers only where bits are left.

A rule becomes conjuncts. Whatever part of it reads one dictionary alone (session, statement, resource, content) is
answered once per distinct entry, however it is nested; numbers are compared call by call. 1 000 rules cost 0.05 µs
a call this way, plain masks 0.25 to 4.7.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.engine import predicates as p
from backwatch.detector.engine.conditions import RuleError
from backwatch.detector.engine.fields import DOMAINS, Domain, Vocabulary
from backwatch.detector.engine.filters import TIME
from backwatch.detector.engine.rule_kernels import evaluate, put_numbers
from backwatch.detector.engine.sigma import Rule

MOST_CONJUNCTS: Final = 64
"""Conjuncts that one rule may become: its alternatives across domains, multiplied out."""

Stage = Literal[1, 3]
_Terms = tuple[tuple[Domain, p.Term], ...]


@dataclass(frozen=True, slots=True)
class _Conjunct:
    rule: int
    told: bool
    terms: _Terms


class RuleSet:
    """Rules over calls, ready for many calls; rules over windows, deadlines and losses are few and read plainly.

    Attributes:
        rules: Every rule, in order of name; a finding names its rule by its place here.
        words: 64-bit words of an entry's bitset.
        numeric_columns: Columns whose numbers are compared call by call.
    """

    def __init__(self, rules: Iterable[Rule], vocabulary: Vocabulary) -> None:
        self.rules: tuple[Rule, ...] = tuple(sorted(rules, key=lambda one: one.name))
        for first, second in itertools.pairwise(self.rules):
            if first.name == second.name:
                raise RuleError(second.source, "name", f"{second.name!r} is taken by {first.source}")
        self._silences = _silences(self.rules)
        fields = vocabulary.by_over["call"]
        self._domain: dict[str, Domain] = {TIME: "number", **{name: one.domain for name, one in fields.items()}}
        self._learnt = frozenset(name for name, one in fields.items() if one.learnt)
        self._conjuncts = [one for at, rule in enumerate(self.rules) for one in self._compiled(at, rule)]
        self.words = max(1, -(-len(self._conjuncts) // 64))
        self._rule_of = np.array([one.rule for one in self._conjuncts] or [0], np.int32)
        self._told = np.array([one.told for one in self._conjuncts] or [False], np.bool_)
        self._in_stage: dict[int, NDArray[np.bool_]] = {1: self._told, 3: self._with_told_halves()}
        self._stage = {stage: _packed(chosen, self.words) for stage, chosen in self._in_stage.items()}
        self._mute = {1: np.zeros_like(self._told), 3: self._told}
        self.numeric_columns, self._tests = _tests_of(self._conjuncts)
        self._reads = {stage: self._read_in(chosen) for stage, chosen in self._in_stage.items()}

    def entry_bits(self, domain: str, facts: Mapping[str, p.Value]) -> NDArray[np.uint64]:
        """Which conjuncts' predicates on this domain hold for one of its entries: ``words`` words of 64 bits."""
        passes = (
            all(p.holds(term, facts) for where, term in conjunct.terms if where == domain)
            for conjunct in self._conjuncts
        )
        return _packed(np.fromiter(passes, np.bool_, len(self._conjuncts)), self.words)

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
        row, rule = np.empty(count * len(self.rules), np.int32), np.empty(count * len(self.rules), np.int32)
        found = evaluate(
            [bits[domain] for domain in DOMAINS], [entry[domain] for domain in DOMAINS],
            self._compared(numbers, count, stage), self._stage[stage], self._rule_of, self._mute[stage], self._tests,
            (row, rule),
        )  # fmt: skip
        return row[:found].copy(), rule[:found].copy()

    def silenced(self, row: NDArray[np.int32], rule: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of these firings another rule, that fires on the same call, takes the place of.

        Args:
            row, rule: All firings of a run of calls, of both stages, in any order.
        """
        out = np.zeros(row.shape[0], np.bool_)
        for number in np.unique(rule).tolist():
            weaker = self._silences.get(number)
            if weaker is not None:
                out |= np.isin(rule, weaker) & np.isin(row, row[rule == number])
        return out

    def _compared(self, columns: Mapping[str, NDArray[Any]], count: int, stage: Stage) -> NDArray[np.float64]:
        """(count, numeric columns), NaN where absent; what the stage does not read is not set."""
        out = np.empty((count, len(self.numeric_columns)), np.float64)
        for at in self._reads[stage]:
            put_numbers(columns[self.numeric_columns[at]], at, out)
        return out

    def _compiled(self, at: int, rule: Rule) -> Iterator[_Conjunct]:
        """The rule's conjuncts, those that need nothing learnt first."""
        if rule.over != "call":
            return
        found = self._multiplied(rule.narrowed, negated=False)
        if len(found) > MOST_CONJUNCTS:
            raise RuleError(rule.source, "condition", f"has more than {MOST_CONJUNCTS} alternatives; make it two rules")
        told = [not any(p.fields_of(term) & self._learnt for _, term in terms) for terms in found]
        if rule.suspect and not any(told):
            raise RuleError(rule.source, "backwatch.suspect", "is true, but the rule fires only by what was learnt")
        for first in (True, False):
            yield from (_Conjunct(at, one, terms) for one, terms in zip(told, found, strict=True) if one is first)

    def _multiplied(self, term: p.Term, *, negated: bool) -> list[_Terms]:
        """Disjunctive normal form over parts that each read one domain; numbers are always split to single tests."""
        if isinstance(term, p.Not):
            return self._multiplied(term.term, negated=not negated)
        domain = self._one_domain(term)
        if domain is not None:
            return [((domain, p.Not(term) if negated else term),)]
        if isinstance(term, p.Is):
            raise TypeError("a single comparison reads one domain")
        parts = [self._multiplied(one, negated=negated) for one in self._grouped(term)]
        if isinstance(term, p.Some) is not negated:
            return [one for part in parts for one in part]
        product: list[_Terms] = [()]
        for part in parts:
            product = [(*left, *right) for left in product for right in part]
            if len(product) > MOST_CONJUNCTS:
                break
        return product

    def _one_domain(self, term: p.Term) -> Domain | None:
        """The domain that answers the whole term; for numbers only a single test is answered whole."""
        domains: set[Domain] = {self._domain[name] for name in p.fields_of(term)}
        whole = len(domains) == 1 and ("number" not in domains or isinstance(term, p.Is))
        return next(iter(domains)) if whole else None

    def _grouped(self, term: p.Every | p.Some) -> list[p.Term]:
        """Its parts, nested ones of its kind taken in, and those that one dictionary answers made one."""
        kind = type(term)
        flat: list[p.Term] = []
        for one in term.terms:
            flat += self._grouped(one) if isinstance(one, kind) and self._one_domain(one) is None else [one]
        by_domain: dict[Domain | None, list[p.Term]] = {}
        for one in flat:
            by_domain.setdefault(self._one_domain(one), []).append(one)
        rest = [*by_domain.pop("number", []), *by_domain.pop(None, [])]
        return [*(found[0] if len(found) == 1 else kind(tuple(found)) for found in by_domain.values()), *rest]

    def _read_in(self, chosen: NDArray[np.bool_]) -> list[int]:
        first, tests, _ = self._tests
        by_test = np.repeat(chosen[: len(self._conjuncts)], np.diff(first))
        return [int(at) for at in np.unique(tests[: first[-1], 0][by_test])]

    def _with_told_halves(self) -> NDArray[np.bool_]:
        """What stage 3 looks at: what was learnt, and the told conjuncts of the same rules, so none fires twice."""
        learning = {one.rule for one in self._conjuncts if not one.told}
        return np.array([one.rule in learning for one in self._conjuncts] or [False], np.bool_)


def _silences(rules: Sequence[Rule]) -> dict[int, NDArray[np.int32]]:
    """Rule to the rules whose place it takes; names that there are not are another installation's rules."""
    at = {one.name: number for number, one in enumerate(rules)}
    below = {one.name: [name for name in one.instead_of if name in at] for one in rules}
    for one in rules:
        waiting, seen = list(below[one.name]), set[str]()
        while waiting:
            name = waiting.pop()
            if name == one.name:
                raise RuleError(one.source, "backwatch.instead_of", "comes back to itself: neither would be raised")
            if name not in seen:
                seen.add(name)
                waiting += below[name]
    return {at[name]: np.array([at[one] for one in found], np.int32) for name, found in below.items() if found}


def _packed(chosen: NDArray[np.bool_], words: int) -> NDArray[np.uint64]:
    padded = np.zeros(words * 64, np.bool_)
    padded[: chosen.shape[0]] = chosen
    return np.packbits(padded, bitorder="little").view("<u8").astype(np.uint64)


def _tests_of(
    conjuncts: Sequence[_Conjunct],
) -> tuple[tuple[str, ...], tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]]:
    found = [[_test(term) for domain, term in one.terms if domain == "number"] for one in conjuncts]
    columns = tuple(sorted({one[0] for tests in found for one in tests}))
    flat = [(columns.index(name), operator, negated) for tests in found for name, operator, negated, _ in tests]
    limits = [one[3] for tests in found for one in tests]
    first = np.cumsum([0, *(len(tests) for tests in found)], dtype=np.int32)
    return columns, (first, np.array(flat or [(0, 0, 0)], np.int32), np.array(limits or [0.0], np.float64))


def _test(term: p.Term) -> tuple[str, int, int, float]:
    inner = term.term if isinstance(term, p.Not) else term
    if not isinstance(inner, p.Is) or inner.operator is None:
        raise TypeError("a number's test is one comparison")
    return inner.field, p.OPERATORS.index(inner.operator), int(isinstance(term, p.Not)), inner.number


def matches(rule: Rule, facts: Mapping[str, p.Value]) -> bool:
    """Whether the rule fires for these facts, read plainly: for windows and losses, and as the fast path's proof.

    Args:
        facts: With the event time as ``filters.TIME``; without it no filter has ended.
    """
    return p.holds(rule.narrowed, facts)
