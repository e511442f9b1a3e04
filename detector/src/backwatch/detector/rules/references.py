"""Filters and correlations name rules; here the names are looked up, and what follows for the rules named."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.rules.conditions import RuleError, build_term
from backwatch.detector.rules.correlation import Correlation
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.rules.filters import Filter, Narrowing
from backwatch.detector.rules.sigma import Rule


def find_rule(reference: str, rules: Mapping[str, Rule]) -> Rule | None:
    """The rule of this name, or of this id."""
    return rules.get(reference) or next((one for one in rules.values() if one.id == reference.lower()), None)


def apply_filter(one: Filter, rules: Mapping[str, Rule], vocabulary: Vocabulary) -> dict[str, Rule]:
    """The rules that this filter narrows, narrowed.

    Raises:
        RuleError: It names a rule that there is not, one that it does not cover, or a field that one cannot read.
    """
    found: dict[str, Rule] = {}
    for rule in _meant(one, rules):
        if rule.correlation is not None:
            problem = f"{rule.name!r} is a correlation; narrow the rules that it refers to"
            raise RuleError(one.source, "filter.rules", problem)
        try:
            term = build_term(one.detection, one.source, vocabulary.by_over[rule.over])
            made = replace(rule, narrowings=(*rule.narrowings, Narrowing(one, term)))
            RuleSet([made], vocabulary)  # more alternatives than a rule may have
        except RuleError as error:
            raise RuleError(one.source, error.where, f"{error.problem} ({rule.name})") from None
        found[rule.name] = made
    return found


def _meant(one: Filter, rules: Mapping[str, Rule]) -> list[Rule]:
    if one.rules is None:
        return [rule for rule in rules.values() if rule.over == "call" and one.service in ("", rule.service)]
    found: list[Rule] = []
    for reference in one.rules:
        rule = find_rule(reference, rules)
        if rule is None:
            raise RuleError(one.source, "filter.rules", f"no rule is called {reference!r}")
        if one.service not in ("", rule.service):
            raise RuleError(
                one.source, "logsource.service", f"is {one.service!r}, and {rule.name} is not held to that service"
            )
        found.append(rule)
    return found


def resolve_correlation(rule: Rule, rules: Mapping[str, Rule]) -> Rule:
    """A correlation whose rules are known by name, and what a call must be to be counted.

    Raises:
        RuleError: It names a rule that there is not, or one that is not over calls.
    """
    one = rule.correlation
    if one is None:
        raise TypeError("a correlation has one")
    found: dict[str, Rule] = {}
    for reference in one.rules:
        base = find_rule(reference, rules)
        if base is None:
            raise RuleError(rule.source, "correlation.rules", f"no rule is called {reference!r}")
        if base.over != "call":
            what = "a correlation itself" if base.over == "correlation" else f"over {base.over}"
            raise RuleError(rule.source, "correlation.rules", f"{base.name!r} is {what}; only rules over calls count")
        if base in found.values():
            raise RuleError(rule.source, "correlation.rules", f"{base.name!r} is named twice")
        found[reference] = base
    aliases = {
        alias: {found[reference].name: field for reference, field in mapping.items()}
        for alias, mapping in one.aliases.items()
    }
    looked_up = replace(one, rules=tuple(base.name for base in found.values()), aliases=aliases)
    return replace(rule, correlation=looked_up, condition=p.AnyOf(tuple(base.condition for base in found.values())))


def find_silent(correlations: Iterable[Correlation], candidates: Iterable[str]) -> set[str]:
    """Those of the candidates that raise no alert of their own: they are counted, and no correlation generates them."""
    counted, generated = set[str](), set[str]()
    for one in correlations:
        (generated if one.generate else counted).update(one.rules)
    return (counted - generated) & set(candidates)
