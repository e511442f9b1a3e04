"""Runs the examples that stand in rules: each against all rules, compiled, as calls are judged."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backwatch.collector import names
from backwatch.detector.engine.derived import PEER_LOCAL, stays_local
from backwatch.detector.engine.examples import Example
from backwatch.detector.engine.fields import DOMAINS, Vocabulary
from backwatch.detector.engine.predicates import Value
from backwatch.detector.engine.rules import RuleSet, matches
from backwatch.detector.engine.sigma import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of one example.

    Attributes:
        raised: Whether its rule was raised.
        instead: The rules that were raised, where it was not.
    """

    rule: Rule
    example: Example
    raised: bool
    instead: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether it came as the example says."""
        return self.raised is self.example.fires


def trials(rules: RuleSet, vocabulary: Vocabulary, which: Iterable[Rule]) -> Iterator[Trial]:
    """Every example of these rules, in their order; filters narrow none of them here."""
    rules = RuleSet([replace(one, narrowings=()) for one in rules.rules], vocabulary)
    for rule in which:
        for example in rule.tests:
            if rule.over == "call":
                said = raised(rules, vocabulary, example.facts)
            else:
                said = {rule.name} if matches(replace(rule, narrowings=()), example.facts) else set[str]()
            yield Trial(rule=rule, example=example, raised=rule.name in said, instead=tuple(sorted(said)))


def raised(rules: RuleSet, vocabulary: Vocabulary, facts: Mapping[str, Value]) -> set[str]:
    """The rules that a call with these facts raises; what they leave out is absent, but for where the peer is."""
    fields = vocabulary.by_over["call"]
    local = stays_local(
        *(str(facts.get(name, "")) for name in (names.TRANSPORT, names.PEER_ADDRESS, names.SERVER_ADDRESS))
    )
    known: Mapping[str, Value] = {PEER_LOCAL: local, **facts}
    bits: dict[str, Any] = {}
    for domain in DOMAINS:
        mine = {name: value for name, value in known.items() if fields[name].domain == domain}
        bits[domain] = rules.entry_bits(domain, mine)[np.newaxis]
    entry = {str(domain): np.zeros(1, np.int32) for domain in DOMAINS}
    columns = {name: np.array([_number(known.get(name))], np.float64) for name in rules.numeric_columns}
    found = [rules.evaluate(bits, entry, columns, stage)[1] for stage in (1, 3)]
    fired = np.unique(np.concatenate(found))
    silenced = rules.silenced(np.zeros_like(fired), fired)
    return {rules.rules[number].name for number in fired[~silenced].tolist()}


def _number(value: Value) -> float:
    return float("nan") if value is None else float(value)
