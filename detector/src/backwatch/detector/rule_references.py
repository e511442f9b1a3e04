"""Filters name rules; here the names are looked up, and what follows for the rules named."""

from collections.abc import Mapping
from dataclasses import replace

from backwatch.detector.engine.conditions import RuleError, term_of
from backwatch.detector.engine.fields import Vocabulary
from backwatch.detector.engine.filters import Filter, Narrowing
from backwatch.detector.engine.rules import RuleSet
from backwatch.detector.engine.sigma import Rule


def named(reference: str, rules: Mapping[str, Rule]) -> Rule | None:
    """The rule of this name, or of this id."""
    return rules.get(reference) or next((one for one in rules.values() if one.id == reference.lower()), None)


def narrow(one: Filter, rules: Mapping[str, Rule], vocabulary: Vocabulary) -> dict[str, Rule]:
    """The rules that this filter narrows, narrowed.

    Raises:
        RuleError: It names a rule that there is not, one that it does not cover, or a field that one cannot read.
    """
    found: dict[str, Rule] = {}
    for rule in _meant(one, rules):
        try:
            term = term_of(one.detection, one.source, vocabulary.by_over[rule.over])
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
        rule = named(reference, rules)
        if rule is None:
            raise RuleError(one.source, "filter.rules", f"no rule is called {reference!r}")
        if one.service not in ("", rule.service):
            raise RuleError(
                one.source, "logsource.service", f"is {one.service!r}, and {rule.name} is not held to that service"
            )
        found.append(rule)
    return found
