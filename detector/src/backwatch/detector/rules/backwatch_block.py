"""Reads the ``backwatch`` block, in which a document says what Sigma has no word for; each refusal names the field."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from sigma.rule import SigmaRuleBase

from backwatch.detector.rules.conditions import RuleError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""What a rule may be called."""


def parse_block(sigma: SigmaRuleBase, known: Sequence[str], source: str, says: str) -> Mapping[str, Any]:
    """The block.

    Args:
        known: Names that it may hold.
        says: What it must at least say.

    Raises:
        RuleError: It is missing, or holds a name that is not known.
    """
    own: Any = (sigma.custom_attributes or {}).get("backwatch")
    if not isinstance(own, dict):
        raise RuleError(source, "backwatch", f"is missing: it says at least {says}")
    found = cast("dict[str, Any]", own)
    for name in found:
        if name not in known:
            raise RuleError(source, f"backwatch.{name}", f"is unknown; known are {', '.join(known)}")
    return found


def parse_choice(own: Mapping[str, Any], name: str, among: Sequence[str], default: str | None, source: str) -> str:
    """One word of a list."""
    value = own.get(name, default)
    if not isinstance(value, str) or value not in among:
        raise RuleError(source, f"backwatch.{name}", f"must be one of {', '.join(among)}; got {value!r}")
    return value


def parse_flag(own: Mapping[str, Any], name: str, source: str) -> bool:
    """True or false, which is the default."""
    value = own.get(name, False)
    if not isinstance(value, bool):
        raise RuleError(source, f"backwatch.{name}", f"must be true or false, got {value!r}")
    return value


def parse_rule_names(own: Mapping[str, Any], name: str, over: str, source: str) -> tuple[str, ...]:
    """The rules under ``instead_of``."""
    value = own.get("instead_of", [])
    if not isinstance(value, list):
        raise RuleError(source, "backwatch.instead_of", f"must be a list of rules' names, got {value!r}")
    found = cast("list[Any]", value)
    for one in found:
        if not isinstance(one, str) or not NAME.fullmatch(one) or one == name:
            raise RuleError(source, "backwatch.instead_of", f"must be names of other rules, got {one!r}")
    if found and over != "call":
        raise RuleError(source, "backwatch.instead_of", "is for rules over calls")
    return tuple(found)


def parse_seconds(own: Mapping[str, Any], name: str, source: str) -> int | None:
    """Whole seconds, at least 10; ``None`` where it is not said."""
    value = own.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 10 <= value <= 10**9:
        raise RuleError(source, f"backwatch.{name}", f"must be whole seconds, at least 10; got {value!r}")
    return value


def parse_text(own: Mapping[str, Any], name: str) -> str:
    """A text, or whatever else stands there as one."""
    return str(own.get(name, "")).strip()


def parse_texts(own: Mapping[str, Any], name: str, source: str) -> tuple[str, ...]:
    """A list of texts."""
    value = own.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in cast("list[Any]", value)):
        raise RuleError(source, f"backwatch.{name}", f"must be a list of texts, got {value!r}")
    return tuple(" ".join(one.split()) for one in cast("list[str]", value))
