"""Parse the ``backwatch`` block of a document, which holds what Sigma has no field for. Errors name the field."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from sigma.rule import SigmaRuleBase

from backwatch.detector.rules.conditions import RuleError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""Pattern of a rule's name."""


def parse_block(sigma: SigmaRuleBase, known: Sequence[str], source: str, required: str) -> Mapping[str, Any]:
    """Return the block.

    Args:
        known: Names that it may hold.
        required: Its required content, for the error message.

    Raises:
        RuleError: The block is missing, or holds an unknown name.
    """
    own: Any = (sigma.custom_attributes or {}).get("backwatch")
    if not isinstance(own, dict):
        raise RuleError(source, "backwatch", f"is missing: it must have at least {required}")
    found = cast("dict[str, Any]", own)
    for name in found:
        if name not in known:
            raise RuleError(source, f"backwatch.{name}", f"is unknown; known are {', '.join(known)}")
    return found


def parse_choice(own: Mapping[str, Any], name: str, among: Sequence[str], default: str | None, source: str) -> str:
    """Return one word of a closed list."""
    value = own.get(name, default)
    if not isinstance(value, str) or value not in among:
        raise RuleError(source, f"backwatch.{name}", f"must be one of {', '.join(among)}; got {value!r}")
    return value


def parse_flag(own: Mapping[str, Any], name: str, source: str) -> bool:
    """Return true or false; the default is false."""
    value = own.get(name, False)
    if not isinstance(value, bool):
        raise RuleError(source, f"backwatch.{name}", f"must be true or false, got {value!r}")
    return value


def parse_rule_names(own: Mapping[str, Any], name: str, over: str, source: str) -> tuple[str, ...]:
    """Return the rule names under ``instead_of``."""
    value = own.get("instead_of", [])
    if not isinstance(value, list):
        raise RuleError(source, "backwatch.instead_of", f"must be a list of rules' names, got {value!r}")
    found = cast("list[Any]", value)
    for other in found:
        if not isinstance(other, str) or not NAME.fullmatch(other) or other == name:
            raise RuleError(source, "backwatch.instead_of", f"must be names of other rules, got {other!r}")
    if found and over != "call":
        raise RuleError(source, "backwatch.instead_of", "is for rules over calls")
    return tuple(found)


def parse_escalates(own: Mapping[str, Any], name: str, over: str, source: str) -> str:
    """Return the rule name under ``escalates``; empty where the field is absent."""
    value = own.get("escalates", "")
    if not isinstance(value, str) or (value and not NAME.fullmatch(value)) or (value and value == name):
        raise RuleError(source, "backwatch.escalates", f"must be the name of another rule, got {value!r}")
    if value and over != "call":
        raise RuleError(source, "backwatch.escalates", "is for rules over calls")
    return value


def parse_seconds(own: Mapping[str, Any], name: str, source: str) -> int | None:
    """Return whole seconds, at least 10; ``None`` where the field is absent."""
    value = own.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 10 <= value <= 10**9:
        raise RuleError(source, f"backwatch.{name}", f"must be whole seconds, at least 10; got {value!r}")
    return value


def parse_text(own: Mapping[str, Any], name: str) -> str:
    """Return a value as text; empty where the field is absent."""
    return str(own.get(name, "")).strip()


def parse_texts(own: Mapping[str, Any], name: str, source: str) -> tuple[str, ...]:
    """Return a list of texts."""
    value = own.get(name, [])
    if not isinstance(value, list) or not all(
        isinstance(item, str) and item.strip() for item in cast("list[Any]", value)
    ):
        raise RuleError(source, f"backwatch.{name}", f"must be a list of texts, got {value!r}")
    return tuple(" ".join(item.split()) for item in cast("list[str]", value))
