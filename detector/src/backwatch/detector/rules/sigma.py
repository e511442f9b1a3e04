"""Build rules from Sigma 2.1 documents.

pySigma parses; nothing validates over the network. Fields that Sigma does not have are in the ``backwatch`` block.
Every error is one line that names the document and the field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from sigma.rule import SigmaRule, SigmaRuleBase

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.backwatch_block import (
    NAME,
    parse_block,
    parse_choice,
    parse_escalates,
    parse_flag,
    parse_rule_names,
    parse_seconds,
    parse_text,
    parse_texts,
)
from backwatch.detector.rules.conditions import RuleError, build_condition
from backwatch.detector.rules.correlation import Correlation, build_correlation, parse_sigma_correlation
from backwatch.detector.rules.documents import load_document
from backwatch.detector.rules.examples import Example, parse_examples
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.rules.filters import Narrowing, narrow_condition
from backwatch.detector.rules.modifiers import check_modifiers
from backwatch.detector.rules.pysigma import check_logsource, parse_document
from backwatch.detector.state.keys import SPACES

__all__ = ["Level", "Over", "Rule", "RuleError", "build_correlation_rule", "build_rule", "parse_rule"]

Level = Literal["informational", "low", "medium", "high", "critical"]
Over = Literal["call", "window", "loss", "process", "correlation"]

_BLOCK_FIELDS: Final = (
    "key", "suspect", "over", "clear_after_s", "instead_of", "escalates", "how", "blind_spots", "remediation",
    "parameters", "tests",
)  # fmt: skip
_OVER: Final = ("call", "window", "loss", "process")
_CORRELATION_BLOCK_FIELDS: Final = (
    "key", "clear_after_s", "how", "blind_spots", "remediation", "parameters", "tests",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule: its condition, its level, and what an operator should know and do.

    Attributes:
        name: Its identity: the file's name, or its detector's id.
        level: informational, low, medium, high or critical.
        key: Key space that separates the alerts of this rule.
        suspect: Detectors do not learn from a call on which it fires by reported facts.
        over: Kind of its input: a call, a closed window, a loss, a missing process, or other rules' firings.
        clear_after_s: Event time after which it clears; ``None``: the engine's default.
        instead_of: Rules that raise nothing on a call on which this one fires: one cause, one alert.
        escalates: The rule whose alert it raises to its own level, on calls on which both fire; it raises none itself.
        how: Ways of the attack, one sentence or more each.
        looks_at: Fields of an alert to look at first, ``fields`` in Sigma.
        blind_spots: Attacks that it does not detect.
        remediation: Advice for developers and operators.
        parameters: Names of lists of drivers' parameters that belong to it.
        condition: Term that must hold; for a correlation, the term of a counted call.
        tests: Examples in the document.
        source: Name of its document, for error messages.
        service: Service of its log source; empty: any.
        narrowings: Filters of this installation.
        correlation: The correlation, where it is over other rules' firings.
        silent: It raises no own alert: a correlation counts its firings.
    """

    name: str
    id: str
    title: str
    level: Level
    tags: tuple[str, ...]
    description: str
    falsepositives: tuple[str, ...]
    references: tuple[str, ...]
    key: str
    suspect: bool
    over: Over
    clear_after_s: int | None
    instead_of: tuple[str, ...]
    blind_spots: str
    remediation: str
    condition: p.Term
    tests: tuple[Example, ...]
    source: str
    how: tuple[str, ...] = ()
    looks_at: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    service: str = ""
    narrowings: tuple[Narrowing, ...] = ()
    correlation: Correlation | None = None
    silent: bool = False
    escalates: str = ""

    @property
    def fields(self) -> frozenset[str]:
        """Return every field that it reads, without those of filters."""
        return p.fields_of(self.condition)

    @property
    def active_condition(self) -> p.Term:
        """Return the term that must hold for it to fire here: its condition, and its filters' until they expire."""
        return narrow_condition(self.condition, self.narrowings)


def parse_rule(document: str, source: str, vocabulary: Vocabulary) -> Rule:
    """Parse one Sigma document as a rule.

    Args:
        source: Name of the document in errors.

    Raises:
        RuleError: The document is not a valid rule.
    """
    return build_rule(load_document(document, source), source, vocabulary)


def build_rule(loaded: Mapping[str, Any], source: str, vocabulary: Vocabulary) -> Rule:
    """Build a rule from one parsed YAML document.

    Raises:
        RuleError: The document is not a valid rule.
    """
    sigma = _sigma(dict(loaded), source)
    block = parse_block(sigma, _BLOCK_FIELDS, source, "the key")
    over = parse_choice(block, "over", _OVER, "call", source)
    fields = vocabulary.by_over[over]
    return replace(
        _rule(sigma, block, source, None if over not in ("loss", "process") else "resource"),
        suspect=parse_flag(block, "suspect", source),
        over=cast("Over", over),
        instead_of=parse_rule_names(block, sigma.name or "", over, source),
        escalates=parse_escalates(block, sigma.name or "", over, source),
        condition=build_condition(sigma, source, fields),
        tests=parse_examples(block.get("tests"), fields, source),
        service=str(sigma.logsource.service or ""),
    )


def build_correlation_rule(loaded: Mapping[str, Any], source: str, vocabulary: Vocabulary) -> Rule:
    """Build a rule from one parsed Sigma correlation; its references are not resolved yet.

    Raises:
        RuleError: The document is not a valid correlation.
    """
    sigma = parse_sigma_correlation(loaded, source)
    block = parse_block(sigma, _CORRELATION_BLOCK_FIELDS, source, "the key")
    fields = vocabulary.by_over["call"]
    return replace(
        _rule(sigma, block, source),
        over="correlation",
        tests=parse_examples(block.get("tests"), fields, source, of_calls=True),
        correlation=build_correlation(sigma, source, fields),
    )


def _rule(sigma: SigmaRuleBase, block: Mapping[str, Any], source: str, key: str | None = None) -> Rule:
    """Build the part that all kinds of rules share.

    Args:
        key: Default of the key; ``None``: the document must name one.
    """
    name = sigma.name or ""
    if not NAME.fullmatch(name):
        raise RuleError(source, "name", f"must be lower-case words joined by hyphens, got {name!r}")
    if sigma.level is None:
        raise RuleError(source, "level", "is missing")
    return Rule(
        name=name,
        id=str(sigma.id or ""),
        title=sigma.title,
        level=cast("Level", sigma.level.name.lower()),
        tags=tuple(str(tag) for tag in sigma.tags),
        description=sigma.description or "",
        falsepositives=tuple(map(str, sigma.falsepositives)),
        references=tuple(map(str, sigma.references)),
        key=parse_choice(block, "key", [space.name for space in SPACES], key, source),
        suspect=False,
        over="call",
        clear_after_s=parse_seconds(block, "clear_after_s", source),
        instead_of=(),
        blind_spots=parse_text(block, "blind_spots"),
        remediation=parse_text(block, "remediation"),
        condition=p.AnyOf(()),
        tests=(),
        source=source,
        how=parse_texts(block, "how", source),
        looks_at=tuple(map(str, sigma.fields)),
        parameters=parse_texts(block, "parameters", source),
    )


def _sigma(loaded: dict[str, Any], source: str) -> SigmaRule:
    check_modifiers(loaded.get("detection"), source)
    sigma = parse_document(
        SigmaRule.from_dict, loaded, source, what="rule", block="detection", otherwise="document", within={},
        known=("level", "status", "identifier", "title", "logsource", "detection", "condition", "tags", "name"),
    )  # fmt: skip
    check_logsource(sigma.logsource, source)
    return sigma
