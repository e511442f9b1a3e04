"""Sigma 2.1 documents as rules.

pySigma parses; nothing here validates over the network. What a rule may say of its own stands in its ``backwatch``
block. Every refusal is one line that names the document and the field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from sigma.rule import SigmaRule, SigmaRuleBase

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.backwatch_block import NAME, choice, flag, other_rules, own_block, seconds, text, texts
from backwatch.detector.rules.conditions import RuleError, condition_of
from backwatch.detector.rules.correlation import Correlation, correlation_of, sigma_of
from backwatch.detector.rules.documents import load
from backwatch.detector.rules.examples import Example, examples
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.rules.filters import Narrowing, narrowed
from backwatch.detector.rules.modifiers import check_modifiers
from backwatch.detector.rules.pysigma import check_logsource, parsed
from backwatch.detector.state.keys import SPACES

__all__ = ["Level", "Over", "Rule", "RuleError", "correlation_rule_of", "parse", "rule_of"]

Level = Literal["informational", "low", "medium", "high", "critical"]
Over = Literal["call", "window", "loss", "process", "correlation"]

_OWN: Final = (
    "key", "suspect", "over", "clear_after_s", "instead_of", "how", "blind_spots", "remediation", "parameters", "tests",
)  # fmt: skip
_OVER: Final = ("call", "window", "loss", "process")
_CORRELATION_OWN: Final = (
    "key", "clear_after_s", "how", "blind_spots", "remediation", "parameters", "tests",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A verdict: what must be true, how bad it is, and what a person should know and do.

    Attributes:
        name: Its identity: the file's name, or its detector's id.
        level: informational, low, medium, high or critical.
        key: Key space that tells one alert of this rule from the next.
        suspect: Nothing learns from a call on which it fires by what the collector told.
        over: What it is held against: a call, a closed window, a loss, a missed process, or other
            rules' firings.
        clear_after_s: Event time after which it clears; ``None``: the engine's default.
        instead_of: Rules that raise nothing on a call on which this one fires: one cause, one alert.
        how: How it is done to an app, one way after the other.
        looks_at: Fields of an alert to look at first: what Sigma calls ``fields``.
        blind_spots: What it cannot see.
        remediation: What a developer can do.
        parameters: Names of lists of drivers' parameters that go with it.
        condition: What must hold; of a correlation, for a call to be counted.
        tests: Examples that stand in the document.
        source: Document it came from, for error messages.
        service: What its log source holds it to; empty: whichever.
        narrowings: Filters that narrow it in this installation.
        correlation: What it counts, where it is over other rules' firings.
        silent: It raises no alert of its own: a correlation counts its firings.
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

    @property
    def fields(self) -> frozenset[str]:
        """Every field it reads, filters apart."""
        return p.fields_of(self.condition)

    @property
    def narrowed(self) -> p.Term:
        """What must hold for it to fire here: its condition, and its filters' until they end."""
        return narrowed(self.condition, self.narrowings)


def parse(document: str, source: str, vocabulary: Vocabulary) -> Rule:
    """One Sigma document as a rule.

    Args:
        source: What to call the document in an error: its file's name, or its detector's.

    Raises:
        RuleError: The document is not one we can judge by.
    """
    return rule_of(load(document, source), source, vocabulary)


def rule_of(loaded: Mapping[str, Any], source: str, vocabulary: Vocabulary) -> Rule:
    """One Sigma document, read, as a rule.

    Raises:
        RuleError: The document is not one we can judge by.
    """
    sigma = _sigma(dict(loaded), source)
    own = own_block(sigma, _OWN, source, "the key")
    over = choice(own, "over", _OVER, "call", source)
    fields = vocabulary.by_over[over]
    return replace(
        _rule(sigma, own, source, None if over not in ("loss", "process") else "resource"),
        suspect=flag(own, "suspect", source),
        over=cast("Over", over),
        instead_of=other_rules(own, sigma.name or "", over, source),
        condition=condition_of(sigma, source, fields),
        tests=examples(own.get("tests"), fields, source),
        service=str(sigma.logsource.service or ""),
    )


def correlation_rule_of(loaded: Mapping[str, Any], source: str, vocabulary: Vocabulary) -> Rule:
    """One Sigma correlation document, read, as a rule; the rules it refers to are not looked up yet.

    Raises:
        RuleError: The document is not one we can judge by.
    """
    sigma = sigma_of(loaded, source)
    own = own_block(sigma, _CORRELATION_OWN, source, "the key")
    fields = vocabulary.by_over["call"]
    return replace(
        _rule(sigma, own, source),
        over="correlation",
        tests=examples(own.get("tests"), fields, source, of_calls=True),
        correlation=correlation_of(sigma, source, fields),
    )


def _rule(sigma: SigmaRuleBase, own: Mapping[str, Any], source: str, key: str | None = None) -> Rule:
    """What rules of all kinds say of themselves.

    Args:
        key: Its key where it says none.
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
        key=choice(own, "key", [space.name for space in SPACES], key, source),
        suspect=False,
        over="call",
        clear_after_s=seconds(own, "clear_after_s", source),
        instead_of=(),
        blind_spots=text(own, "blind_spots"),
        remediation=text(own, "remediation"),
        condition=p.Some(()),
        tests=(),
        source=source,
        how=texts(own, "how", source),
        looks_at=tuple(map(str, sigma.fields)),
        parameters=texts(own, "parameters", source),
    )


def _sigma(loaded: dict[str, Any], source: str) -> SigmaRule:
    check_modifiers(loaded.get("detection"), source)
    sigma = parsed(
        SigmaRule.from_dict, loaded, source, what="rule", block="detection", otherwise="document", within={},
        known=("level", "status", "identifier", "title", "logsource", "detection", "condition", "tags", "name"),
    )  # fmt: skip
    check_logsource(sigma.logsource, source)
    return sigma
