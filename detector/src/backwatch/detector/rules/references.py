"""Resolve the rule names in filters and correlations, and apply them to the rules."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.rules.conditions import RuleError, build_term
from backwatch.detector.rules.correlation import Correlation
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.rules.filters import Filter, Narrowing
from backwatch.detector.rules.sigma import Rule
from backwatch.store.text import LEVELS


def find_rule(reference: str, rules: Mapping[str, Rule]) -> Rule | None:
    """Return the rule with this name or id."""
    return rules.get(reference) or next((rule for rule in rules.values() if rule.id == reference.lower()), None)


def apply_filter(found: Filter, rules: Mapping[str, Rule], vocabulary: Vocabulary) -> dict[str, Rule]:
    """Return the rules that a filter applies to, with the filter.

    Raises:
        RuleError: It names an unknown rule, one that it does not cover, or a field that such a rule cannot read.
    """
    filtered: dict[str, Rule] = {}
    for rule in _rules_of(found, rules):
        if rule.correlation is not None:
            problem = f"{rule.name!r} is a correlation; narrow the rules that it refers to"
            raise RuleError(found.source, "filter.rules", problem)
        try:
            term = build_term(found.detection, found.source, vocabulary.by_over[rule.over])
            made = replace(rule, narrowings=(*rule.narrowings, Narrowing(found, term)))
            RuleSet([made], vocabulary)  # fails with more alternatives than a rule may have
        except RuleError as error:
            raise RuleError(found.source, error.where, f"{error.problem} ({rule.name})") from None
        filtered[rule.name] = made
    return filtered


def _rules_of(found: Filter, rules: Mapping[str, Rule]) -> list[Rule]:
    if found.rules is None:
        return [rule for rule in rules.values() if rule.over == "call" and found.service in ("", rule.service)]
    named: list[Rule] = []
    for reference in found.rules:
        rule = find_rule(reference, rules)
        if rule is None:
            raise RuleError(found.source, "filter.rules", f"no rule is called {reference!r}")
        if found.service not in ("", rule.service):
            problem = f"is {found.service!r}, but {rule.name} is not for that service"
            raise RuleError(found.source, "logsource.service", problem)
        named.append(rule)
    return named


def resolve_correlation(rule: Rule, rules: Mapping[str, Rule]) -> Rule:
    """Return a correlation rule with resolved rule names, and with the condition of a counted call.

    Raises:
        RuleError: It names an unknown rule, or one that is not over calls.
    """
    correlation = rule.correlation
    if correlation is None:
        raise TypeError("the rule has no correlation")
    found: dict[str, Rule] = {}
    for reference in correlation.rules:
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
        for alias, mapping in correlation.aliases.items()
    }
    resolved = replace(correlation, rules=tuple(base.name for base in found.values()), aliases=aliases)
    return replace(rule, correlation=resolved, condition=p.AnyOf(tuple(base.condition for base in found.values())))


def find_silent(correlations: Iterable[Correlation], candidates: Iterable[str]) -> set[str]:
    """Return the candidates that raise no own alert: correlations count them, and none has ``generate`` set."""
    counted, generated = set[str](), set[str]()
    for correlation in correlations:
        (generated if correlation.generate else counted).update(correlation.rules)
    return (counted - generated) & set(candidates)


def check_escalation(rule: Rule, rules: Mapping[str, Rule]) -> None:
    """Check the rule that another one escalates.

    Raises:
        RuleError: It is unknown, has another key, or is as severe already.
    """
    base = rules.get(rule.escalates)
    if base is None or base.over != "call" or base.escalates:
        raise RuleError(rule.source, "backwatch.escalates", f"no rule over calls is called {rule.escalates!r}")
    if base.key != rule.key:
        raise RuleError(rule.source, "backwatch.key", f"must be {base.key}, the key of {base.name}; got {rule.key}")
    if LEVELS.index(base.level) >= LEVELS.index(rule.level):
        raise RuleError(rule.source, "level", f"must be above that of {base.name}, {base.level}; got {rule.level}")
