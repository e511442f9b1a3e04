"""Sigma 2.1 documents as rules.

pySigma parses; nothing here validates over the network. What a rule may say of its own stands in its ``backwatch``
block. Every refusal is one line that names the document and the field.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import yaml
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from backwatch.detector.engine import predicates as p
from backwatch.detector.engine.conditions import RuleError, condition_of
from backwatch.detector.engine.examples import Example, examples
from backwatch.detector.engine.fields import Vocabulary
from backwatch.detector.engine.keys import SPACES

__all__ = ["Level", "Over", "Rule", "RuleError", "parse"]

Level = Literal["informational", "low", "medium", "high", "critical"]
Over = Literal["call", "window", "due", "loss"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_OWN: Final = (
    "key", "suspect", "over", "clear_after_s", "instead_of", "how", "blind_spots", "remediation", "parameters", "tests",
)  # fmt: skip
_OVER: Final = ("call", "window", "due", "loss")
_MODIFIERS: Final = frozenset({
    "contains", "startswith", "endswith", "all", "exists", "cased", "neq", "re", "i", "m", "s", "ignorecase",
    "multiline", "dotall", "cidr", "lt", "lte", "gt", "gte",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A verdict: what must be true, how bad it is, and what a person should know and do.

    Attributes:
        name: Its identity: the file's name, or its detector's id.
        level: informational, low, medium, high or critical.
        key: Key space that tells one alert of this rule from the next.
        suspect: Nothing learns from a call on which it fires by what the collector told.
        over: What it is held against: a call, a closed window, a deadline (``due``) or a loss.
        clear_after_s: Event time after which it clears; ``None``: the engine's default.
        instead_of: Rules that raise nothing on a call on which this one fires: one cause, one alert.
        how: How it is done to an app, one way after the other.
        looks_at: Fields of an alert to look at first: what Sigma calls ``fields``.
        blind_spots: What it cannot see.
        remediation: What a developer can do.
        parameters: Names of lists of drivers' parameters that go with it.
        condition: What must hold.
        tests: Examples that stand in the document.
        source: Document it came from, for error messages.
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

    @property
    def fields(self) -> frozenset[str]:
        """Every field it reads."""
        return p.fields_of(self.condition)


def parse(text: str, source: str, vocabulary: Vocabulary) -> Rule:
    """One Sigma document as a rule.

    Args:
        source: What to call the document in an error: its file's name, or its detector's.

    Raises:
        RuleError: The document is not one we can judge by.
    """
    sigma = _sigma(text, source)
    own = _own_block(sigma, source)
    name = sigma.name or ""
    if not _NAME.fullmatch(name):
        raise RuleError(source, "name", f"must be lower-case words joined by hyphens, got {name!r}")
    if sigma.level is None:
        raise RuleError(source, "level", "is missing")
    over = _choice(own, "over", _OVER, "call", source)
    fields = vocabulary.by_over[over]
    return Rule(
        name=name,
        id=str(sigma.id or ""),
        title=sigma.title,
        level=cast("Level", sigma.level.name.lower()),
        tags=tuple(str(tag) for tag in sigma.tags),
        description=sigma.description or "",
        falsepositives=tuple(sigma.falsepositives),
        references=tuple(sigma.references),
        key=_choice(own, "key", [space.name for space in SPACES], None if over != "loss" else "resource", source),
        suspect=_flag(own, "suspect", source),
        over=cast("Over", over),
        clear_after_s=_seconds(own, source),
        instead_of=_names(own, name, over, source),
        blind_spots=str(own.get("blind_spots", "")).strip(),
        remediation=str(own.get("remediation", "")).strip(),
        condition=condition_of(sigma, source, fields),
        tests=examples(own.get("tests"), fields, source),
        source=source,
        how=_texts(own, "how", source),
        looks_at=tuple(map(str, sigma.fields)),
        parameters=_texts(own, "parameters", source),
    )


def _sigma(text: str, source: str) -> SigmaRule:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RuleError(source, "document", f"is not one YAML document: {error}") from None
    if not isinstance(document, dict):
        raise RuleError(source, "document", "is not a mapping of fields")
    loaded = cast("dict[str, Any]", document)
    _check_modifiers(loaded.get("detection"), source)
    try:
        return SigmaRule.from_dict(loaded)
    except SigmaError as error:
        raise RuleError(source, _where(error), str(error)) from None
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        # pySigma assumes the shapes that its schema promises, and checks only some of them.
        raise RuleError(source, "document", f"is not a Sigma rule: {error}") from None


def _where(error: SigmaError) -> str:
    """The field that a pySigma error is about, as its class names tell it: ``SigmaLevelError`` is about ``level``."""
    word = type(error).__name__.removeprefix("Sigma").removesuffix("Error").lower()
    known = ("level", "status", "identifier", "title", "logsource", "detection", "condition", "tags", "name")
    return next((one for one in known if word.startswith(one)), "detection")


def _check_modifiers(detection: Any, source: str) -> None:
    if isinstance(detection, dict):
        for key, value in cast("dict[object, Any]", detection).items():
            field, *modifiers = str(key).split("|")
            for modifier in modifiers:
                if modifier not in _MODIFIERS:
                    raise RuleError(source, field, f"the modifier {modifier!r} is not supported")
            if "re" in modifiers:
                _check_patterns(field, value, source)
            _check_modifiers(value, source)
    elif isinstance(detection, list):
        for value in cast("list[Any]", detection):
            _check_modifiers(value, source)


def _check_patterns(field: str, value: Any, source: str) -> None:
    """Before pySigma compiles them: its errors name no field, and the library prints lines of its own."""
    for pattern in cast("list[Any]", value) if isinstance(value, list) else [value]:
        try:
            p.is_pattern(str(pattern))
        except ValueError as error:
            raise RuleError(source, field, str(error)) from None


def _own_block(sigma: SigmaRule, source: str) -> Mapping[str, Any]:
    source_of_logs = sigma.logsource
    if (source_of_logs.product, source_of_logs.category) != ("opentelemetry", "backing_service_call"):
        raise RuleError(source, "logsource", "must say product: opentelemetry, category: backing_service_call")
    own: Any = (sigma.custom_attributes or {}).get("backwatch")
    if not isinstance(own, dict):
        raise RuleError(source, "backwatch", "is missing: it says at least the key")
    found = cast("dict[str, Any]", own)
    for name in found:
        if name not in _OWN:
            raise RuleError(source, f"backwatch.{name}", f"is unknown; known are {', '.join(_OWN)}")
    return found


def _choice(own: Mapping[str, Any], name: str, among: Sequence[str], default: str | None, source: str) -> str:
    value = own.get(name, default)
    if value not in among:
        raise RuleError(source, f"backwatch.{name}", f"must be one of {', '.join(among)}; got {value!r}")
    return str(value)


def _flag(own: Mapping[str, Any], name: str, source: str) -> bool:
    value = own.get(name, False)
    if not isinstance(value, bool):
        raise RuleError(source, f"backwatch.{name}", f"must be true or false, got {value!r}")
    return value


def _texts(own: Mapping[str, Any], name: str, source: str) -> tuple[str, ...]:
    value = own.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in cast("list[Any]", value)):
        raise RuleError(source, f"backwatch.{name}", f"must be a list of texts, got {value!r}")
    return tuple(" ".join(one.split()) for one in cast("list[str]", value))


def _names(own: Mapping[str, Any], name: str, over: str, source: str) -> tuple[str, ...]:
    value = own.get("instead_of", [])
    if not isinstance(value, list):
        raise RuleError(source, "backwatch.instead_of", f"must be a list of rules' names, got {value!r}")
    found = cast("list[Any]", value)
    for one in found:
        if not isinstance(one, str) or not _NAME.fullmatch(one) or one == name:
            raise RuleError(source, "backwatch.instead_of", f"must be names of other rules, got {one!r}")
    if found and over != "call":
        raise RuleError(source, "backwatch.instead_of", "is for rules over calls")
    return tuple(found)


def _seconds(own: Mapping[str, Any], source: str) -> int | None:
    value = own.get("clear_after_s")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 10:
        raise RuleError(source, "backwatch.clear_after_s", f"must be whole seconds, at least 10; got {value!r}")
    return value
