"""A rule's condition as alternatives; each is a list of predicates that read one domain each.

A part of a condition that reads one dictionary alone (session, statement, resource, content) stays whole, at any depth
of
nesting: it is evaluated once per distinct entry. Numbers are split into single comparisons.
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

MAX_CONJUNCTS: Final = 64
"""Conjuncts of one rule: its alternatives across domains, multiplied out."""

_Terms = tuple[tuple[Domain, p.Term], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a number, part of a conjunct."""

    column: str
    operator: p.Operator
    limit: float
    negated: bool


@dataclass(frozen=True, slots=True)
class Conjunct:
    """One alternative of a rule.

    Attributes:
        rule: The rule's index among the rules.
        reported: It reads reported facts only.
        terms: Terms that must hold for entries, by domain.
        tests: Comparisons that must hold for numbers.
    """

    rule: int
    reported: bool
    terms: Mapping[Domain, p.Term]
    tests: tuple[Comparison, ...]


class Compiler:
    """Compiles rules over calls into conjuncts.

    Args:
        fields: The fields that such rules may read.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._domain: dict[str, Domain] = {TIME: "number", **{name: field.domain for name, field in fields.items()}}
        self._derived = frozenset(name for name, field in fields.items() if field.derived)

    def conjuncts(self, at: int, rule: Rule) -> Iterator[Conjunct]:
        """Yield the rule's conjuncts, those on reported facts first; none for a rule that is not over calls.

        Raises:
            RuleError: There are too many, or the rule marks calls as suspect by derived facts.
        """
        if rule.over != "call":
            return
        found = self._multiply_out(rule.active_condition, negated=False)
        if len(found) > MAX_CONJUNCTS:
            raise RuleError(rule.source, "condition", f"has more than {MAX_CONJUNCTS} alternatives; make it two rules")
        reported = [not any(p.fields_of(term) & self._derived for _, term in terms) for terms in found]
        if rule.suspect and not any(reported):
            raise RuleError(rule.source, "backwatch.suspect", "is true, but the rule fires only by derived facts")
        for first in (True, False):
            yield from (
                _conjunct(at, first, terms) for kind, terms in zip(reported, found, strict=True) if kind is first
            )

    def _multiply_out(self, term: p.Term, *, negated: bool) -> list[_Terms]:
        """Return the disjunctive normal form over parts that each read one domain; numbers become single tests."""
        if isinstance(term, p.Not):
            return self._multiply_out(term.term, negated=not negated)
        domain = self._one_domain(term)
        if domain is not None:
            return [((domain, p.Not(term) if negated else term),)]
        if isinstance(term, p.FieldTest):
            raise TypeError("a single comparison reads one domain")
        parts = [self._multiply_out(part, negated=negated) for part in self._group(term)]
        if isinstance(term, p.AnyOf) is not negated:
            return [terms for part in parts for terms in part]
        product: list[_Terms] = [()]
        for part in parts:
            product = [(*left, *right) for left in product for right in part]
            if len(product) > MAX_CONJUNCTS:
                break
        return product

    def _one_domain(self, term: p.Term) -> Domain | None:
        """Return the domain that decides the whole term, if there is one. For numbers, only a single test has one."""
        domains: set[Domain] = {self._domain[name] for name in p.fields_of(term)}
        whole = len(domains) == 1 and ("number" not in domains or isinstance(term, p.FieldTest))
        return next(iter(domains)) if whole else None

    def _group(self, term: p.AllOf | p.AnyOf) -> list[p.Term]:
        """Flatten nested terms of the same kind, and join the parts that one dictionary decides."""
        kind = type(term)
        flat: list[p.Term] = []
        for part in term.terms:
            nested = isinstance(part, kind) and self._one_domain(part) is None
            flat += self._group(part) if isinstance(part, kind) and nested else [part]
        by_domain: dict[Domain | None, list[p.Term]] = {}
        for part in flat:
            by_domain.setdefault(self._one_domain(part), []).append(part)
        rest = [*by_domain.pop("number", []), *by_domain.pop(None, [])]
        return [*(found[0] if len(found) == 1 else kind(tuple(found)) for found in by_domain.values()), *rest]


def _conjunct(rule: int, reported: bool, terms: Sequence[tuple[Domain, p.Term]]) -> Conjunct:
    by_domain: dict[Domain, list[p.Term]] = {}
    for domain, term in terms:
        by_domain.setdefault(domain, []).append(term)
    tests = tuple(dict.fromkeys(_test(term) for term in by_domain.pop("number", [])))
    joined: dict[Domain, p.Term] = {
        domain: found[0] if len(found) == 1 else p.AllOf(tuple(found)) for domain, found in by_domain.items()
    }
    return Conjunct(rule, reported, joined, tests)


def _test(term: p.Term) -> Comparison:
    inner = term.term if isinstance(term, p.Not) else term
    if not isinstance(inner, p.FieldTest) or inner.operator is None:
        raise TypeError("a number's test is one comparison")
    return Comparison(inner.field, inner.operator, inner.number, isinstance(term, p.Not))
