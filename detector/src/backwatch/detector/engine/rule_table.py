"""The rules of an engine by number, with what verdicts look up of each."""

from collections.abc import Mapping, Sequence
from typing import Final

from backwatch.collector.facts.fact import Fact
from backwatch.detector.columns.key_texts import Key, alert_id, key_of
from backwatch.detector.columns.prepared import Prepared
from backwatch.detector.engine.open_findings import rule_hash
from backwatch.detector.kernels.bounded_cache import BoundedCache
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.rules.correlation import GROUP_BY, REACHED, TIMESPAN
from backwatch.detector.rules.predicates import fields_of

MAX_CACHED_KEYS: Final = 50_000
"""Alert ids and keys kept, by rule and address. A cache: results do not depend on it."""
_CORRELATION_EVIDENCE: Final = (*REACHED.values(), TIMESPAN, GROUP_BY)


class RuleTable:
    """The rules of an engine; a rule's number is its index in ``rules``.

    Attributes:
        rule_set: The compiled rules.
        rules: Each rule.
        hashes: 64-bit hash of each rule's name.
        evidence: Names of the facts that each rule's evidence shows.
        escalations: Rule to the rules that raise its alert to their level.
        words: Facts whose values or bits have names.
        accepts: Rule name to the facts that an acceptance of its alert holds for. The evidence of these rules also
            shows the previous value of each fact.
    """

    def __init__(
        self, rule_set: RuleSet, accepts: Mapping[str, Sequence[str]], words: Mapping[str, Fact] | None = None
    ) -> None:
        self.rule_set = rule_set
        self.words = words or {}
        self.rules = rule_set.rules
        self.accepts = accepts
        self.hashes = [rule_hash(rule.name) for rule in self.rules]
        # An alert also shows what its rule wants people to look at, which no condition need compare.
        shown = [fields_of(rule.condition) | set(rule.looks_at) for rule in self.rules]
        self.evidence = [[*sorted(names), *_CORRELATION_EVIDENCE] for names in shown]
        at = {rule.name: number for number, rule in enumerate(self.rules)}
        self.escalations: dict[int, list[int]] = {}
        for number, rule in enumerate(self.rules):
            if rule.escalates in at:
                self.escalations.setdefault(at[rule.escalates], []).append(number)
        self._keys = BoundedCache[tuple[int, int], tuple[str, Key]](MAX_CACHED_KEYS)

    def numbers_over(self, *kinds: str) -> list[int]:
        """Return the numbers of the rules over these kinds of events, for example ``call``."""
        return [number for number, rule in enumerate(self.rules) if rule.over in kinds]

    def key(self, number: int, prepared: Prepared, row: int) -> tuple[str, Key]:
        """Return the alert id and the key of a rule for this call."""
        space = self.rules[number].key

        def compute() -> tuple[str, Key]:
            key = key_of(space, prepared, row)
            return alert_id(self.rules[number].name, key.text), key

        return self._keys.get((number, int(prepared.address[space][row])), compute)
