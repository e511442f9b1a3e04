"""Run the examples of rules: each against all rules, compiled, as the engine evaluates calls."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backwatch.collector import names
from backwatch.detector.derived.text_columns import PEER_LOCAL, stays_local
from backwatch.detector.rules.compiled_rules import RuleSet, matches
from backwatch.detector.rules.correlation_state import Correlator
from backwatch.detector.rules.examples import Example
from backwatch.detector.rules.fields import DOMAINS, Vocabulary
from backwatch.detector.rules.predicates import Value
from backwatch.detector.rules.sigma import Rule
from backwatch.detector.state.key_space import Space

START_NS = 1_790_000_000_000_000_000
"""Start time of correlations' examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The result of one example.

    Attributes:
        raised: Whether its rule was raised.
        instead: The rules that were raised.
    """

    rule: Rule
    example: Example
    raised: bool
    instead: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Return whether the result is as the example expects."""
        return self.raised is self.example.fires


def run_examples(rules: RuleSet, vocabulary: Vocabulary, which: Iterable[Rule]) -> Iterator[Trial]:
    """Run every example of these rules, in order, without filters."""
    rules = RuleSet([replace(rule, narrowings=()) for rule in rules.rules], vocabulary)
    for rule in which:
        for example in rule.tests:
            if rule.over == "call":
                found = find_raised(rules, vocabulary, example.facts)
            elif rule.correlation is not None:
                found = {rule.name} if correlation_fires(rules, rule, example) else set[str]()
            else:
                found = {rule.name} if matches(replace(rule, narrowings=()), example.facts) else set[str]()
            yield Trial(rule=rule, example=example, raised=rule.name in found, instead=tuple(sorted(found)))


def find_raised(rules: RuleSet, vocabulary: Vocabulary, facts: Mapping[str, Value]) -> set[str]:
    """Return the rules that a call with these facts raises. Absent is all else, except whether the peer is local."""
    fields, known = vocabulary.by_over["call"], _add_locality(facts)
    bits: dict[str, Any] = {}
    for domain in DOMAINS:
        mine = {name: value for name, value in known.items() if fields[name].domain == domain}
        bits[domain] = rules.evaluate_entry(domain, mine)[np.newaxis]
    entry = {str(domain): np.zeros(1, np.int32) for domain in DOMAINS}
    columns = {name: np.array([_number(known.get(name))], np.float64) for name in rules.numeric_columns}
    found = [rules.evaluate(bits, entry, columns, stage)[1] for stage in (1, 3)]
    fired = np.unique(np.concatenate(found))
    silenced = rules.find_superseded(np.zeros_like(fired), fired)
    return {rules.rules[number].name for number in fired[~silenced].tolist()}


def correlation_fires(rules: RuleSet, correlation: Rule, example: Example) -> bool:
    """Return whether the correlation fires on one of the example's calls, in order of time."""
    by_name = {rule.name: rule for rule in rules.rules}
    subset = [
        correlation,
        *(by_name[name] for name in (correlation.correlation.rules if correlation.correlation else ())),
    ]
    known = [_add_locality(call.facts) for call in example.calls]
    fires = [[at for at, rule in enumerate(subset) if at and matches(rule, facts)] for facts in known]
    calls = sorted(
        (call.at_s + n * call.every_s, at) for at, call in enumerate(example.calls) for n in range(call.repeat)
    )
    rows = np.array([row for row, (_, at) in enumerate(calls) for _ in fires[at]], np.int32)
    numbers = np.array([rule for _, at in calls for rule in fires[at]], np.int32)
    columns = _Columns([known[at] for _, at in calls])
    columns["time_ns"] = np.array([START_NS + round(at_s * 10**9) for at_s, _ in calls], np.int64)
    columns["late"] = np.zeros(len(calls), np.bool_)
    correlator = Correlator(subset)
    spaces = {table.keys.name: Space(table.keys, [table]) for table in correlator.tables}
    found, _ = correlator.evaluate(spaces, rows, numbers, columns)
    return bool(found)


class _Columns(dict[str, Any]):
    """Columns of calls, each built from their facts on first access."""

    def __init__(self, calls: Sequence[Mapping[str, Value]]) -> None:
        super().__init__()
        self._calls = calls

    def __missing__(self, name: str) -> Any:
        if name == "fingerprint":
            values = [call.get(names.QUERY_TEXT, call.get(names.STATEMENT)) for call in self._calls]
        else:
            values = [call.get(name) for call in self._calls]
        if all(value is None for value in values):
            self[name] = np.zeros(len(values), np.uint64)
        elif any(isinstance(value, str) for value in values):
            self[name] = np.array([0 if value is None else _hash(str(value)) for value in values], np.uint64)
        else:
            self[name] = np.array([_number(value) for value in values], np.float64)
        return self[name]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") | 1


def _add_locality(facts: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return a call's facts, and whether its peer is local."""
    read = (names.TRANSPORT, names.PEER_ADDRESS, names.SERVER_ADDRESS)
    return {PEER_LOCAL: stays_local(*(str(facts.get(name, "")) for name in read)), **facts}


def _number(value: Value) -> float:
    return float("nan") if value is None else float(value)
