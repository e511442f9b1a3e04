"""Check a document for supported Sigma modifiers, before pySigma parses it."""

from typing import Any, Final, cast

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.conditions import RuleError

_MODIFIERS: Final = frozenset({
    "contains", "startswith", "endswith", "all", "exists", "cased", "neq", "re", "i", "m", "s", "ignorecase",
    "multiline", "dotall", "cidr", "lt", "lte", "gt", "gte",
})  # fmt: skip


def check_modifiers(detection: Any, source: str) -> None:
    """Refuse unsupported modifiers and patterns that google-re2 rejects, anywhere in selections.

    Raises:
        RuleError: The document has one.
    """
    if isinstance(detection, dict):
        for key, value in cast("dict[object, Any]", detection).items():
            field, *modifiers = str(key).split("|")
            for modifier in modifiers:
                if modifier not in _MODIFIERS:
                    raise RuleError(source, field, f"the modifier {modifier!r} is not supported")
            if "re" in modifiers:
                _check_patterns(field, value, source)
            check_modifiers(value, source)
    elif isinstance(detection, list):
        for value in cast("list[Any]", detection):
            check_modifiers(value, source)


def _check_patterns(field: str, value: Any, source: str) -> None:
    """Check patterns before pySigma compiles them: its errors name no field, and the library prints its own lines."""
    for pattern in cast("list[Any]", value) if isinstance(value, list) else [value]:
        try:
            p.pattern_test(str(pattern))
        except ValueError as error:
            raise RuleError(source, field, str(error)) from None
