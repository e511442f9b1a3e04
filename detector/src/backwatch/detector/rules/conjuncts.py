"""A rule's condition as alternatives of which each is a list of predicates that read one domain each.

Whatever part of a condition reads one dictionary alone (session, statement, resource, content) stays whole, however it
is nested: it is answered once per distinct entry. Numbers are split down to single comparisons.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backwatch.collector.facts.fact import Domain
from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.fields import Field
from backwatch.detector.rules.filters import TIME
from backwatch.detector.rules.sigma import Rule

MOST_CONJUNCTS: Final = 64
"""Conjuncts that one rule may become: its alternatives across domains, multiplied out."""

_Terms = tuple[tuple[Domain, p.Term], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a number that a conjunct makes."""

    column: str
    operator: p.Operator
    limit: float
    negated: bool


@dataclass(frozen=True, slots=True)
class Conjunct:
    """One alternative of a rule.

    Attributes:
        rule: The rule's place among the rules.
        told: It reads nothing that was learnt.
        terms: What must hold of entries, by domain.
        tests: What must hold of numbers.
    """

    rule: int
    told: bool
    terms: Mapping[Domain, p.Term]
    tests: tuple[Comparison, ...]


class Compiler:
    """Makes conjuncts of rules over calls.

    Args:
        fields: What such rules may read.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._domain: dict[str, Domain] = {TIME: "number", **{name: one.domain for name, one in fields.items()}}
        self._learnt = frozenset(name for name, one in fields.items() if one.derived)

    def conjuncts(self, at: int, rule: Rule) -> Iterator[Conjunct]:
        """The rule's conjuncts, those that need nothing learnt first; none for a rule that is not over calls.

        Raises:
            RuleError: There are too many, or the rule marks calls as suspect by what was learnt.
        """
        if rule.over != "call":
            return
        found = self._multiplied(rule.active_condition, negated=False)
        if len(found) > MOST_CONJUNCTS:
            raise RuleError(rule.source, "condition", f"has more than {MOST_CONJUNCTS} alternatives; make it two rules")
        told = [not any(p.fields_of(term) & self._learnt for _, term in terms) for terms in found]
        if rule.suspect and not any(told):
            raise RuleError(rule.source, "backwatch.suspect", "is true, but the rule fires only by what was learnt")
        for first in (True, False):
            yield from (_conjunct(at, one, terms) for one, terms in zip(told, found, strict=True) if one is first)

    def _multiplied(self, term: p.Term, *, negated: bool) -> list[_Terms]:
        """Disjunctive normal form over parts that each read one domain; numbers are always split to single tests."""
        if isinstance(term, p.Not):
            return self._multiplied(term.term, negated=not negated)
        domain = self._one_domain(term)
        if domain is not None:
            return [((domain, p.Not(term) if negated else term),)]
        if isinstance(term, p.FieldTest):
            raise TypeError("a single comparison reads one domain")
        parts = [self._multiplied(one, negated=negated) for one in self._grouped(term)]
        if isinstance(term, p.AnyOf) is not negated:
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
        whole = len(domains) == 1 and ("number" not in domains or isinstance(term, p.FieldTest))
        return next(iter(domains)) if whole else None

    def _grouped(self, term: p.AllOf | p.AnyOf) -> list[p.Term]:
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


def _conjunct(rule: int, told: bool, terms: Sequence[tuple[Domain, p.Term]]) -> Conjunct:
    by_domain: dict[Domain, list[p.Term]] = {}
    for domain, term in terms:
        by_domain.setdefault(domain, []).append(term)
    tests = tuple(dict.fromkeys(_test(term) for term in by_domain.pop("number", [])))
    joined: dict[Domain, p.Term] = {
        domain: found[0] if len(found) == 1 else p.AllOf(tuple(found)) for domain, found in by_domain.items()
    }
    return Conjunct(rule, told, joined, tests)


def _test(term: p.Term) -> Comparison:
    inner = term.term if isinstance(term, p.Not) else term
    if not isinstance(inner, p.FieldTest) or inner.operator is None:
        raise TypeError("a number's test is one comparison")
    return Comparison(inner.field, inner.operator, inner.number, isinstance(term, p.Not))
