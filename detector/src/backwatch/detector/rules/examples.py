"""Parse the examples of a rule, ``tests`` in its ``backwatch`` block: facts, and whether the rule fires on them.

An example of a correlation has calls in place of facts, each with its time and its repetitions.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.fields import Field

MAX_EXAMPLES: Final = 100
"""Examples of one rule."""
MAX_CALLS: Final = 10_000
"""Calls of one example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleCall:
    """A call of an example, possibly repeated.

    Attributes:
        at_s: Time of the first call, in seconds.
        every_s: Seconds between repetitions.
        repeat: Number of calls.
    """

    at_s: float
    every_s: float
    repeat: int
    facts: Mapping[str, p.Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example of a rule.

    Attributes:
        fires: Whether the rule is expected to fire.
        facts: Field to value, with derived facts, so that no history is needed.
        calls: Calls of a correlation's example, which has no facts.
    """

    name: str
    fires: bool
    facts: Mapping[str, p.Value] = field(default_factory=dict[str, p.Value])
    calls: tuple[ExampleCall, ...] = ()


def parse_examples(
    value: Any, fields: Mapping[str, Field], source: str, *, of_calls: bool = False
) -> tuple[Example, ...]:
    """Parse ``tests``.

    Args:
        of_calls: The rule is a correlation.

    Raises:
        RuleError: The value is not a list of examples, or one names a field that such a rule cannot read.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or len(cast("list[Any]", value)) > MAX_EXAMPLES:
        raise RuleError(source, "backwatch.tests", f"must be a list of at most {MAX_EXAMPLES} examples")
    return tuple(
        _example(item, f"backwatch.tests[{at}]", fields, source, of_calls=of_calls)
        for at, item in enumerate(cast("list[Any]", value))
    )


def _example(value: Any, where: str, fields: Mapping[str, Field], source: str, *, of_calls: bool) -> Example:
    content = "calls" if of_calls else "facts"
    keys = sorted(map(str, cast("dict[Any, Any]", value))) if isinstance(value, dict) else []
    if keys != sorted(("fires", "name", content)):
        raise RuleError(source, where, f"must have name, fires and {content}, and nothing else")
    found = cast("dict[str, Any]", value)
    name, fires = found["name"], found["fires"]
    if not isinstance(name, str) or not isinstance(fires, bool):
        raise RuleError(source, where, f"must have a text as name, true or false as fires, fields as {content}")
    if not of_calls:
        return Example(name=name, fires=fires, facts=_facts(found["facts"], where, fields, source))
    return Example(name=name, fires=fires, calls=tuple(_calls(found["calls"], where, fields, source)))


def _calls(value: Any, where: str, fields: Mapping[str, Field], source: str) -> Iterator[ExampleCall]:
    count = 0
    if not isinstance(value, list):
        raise RuleError(source, where, "must have a list of calls")
    for call in cast("list[Any]", value):
        found = cast("dict[str, Any]", call) if isinstance(call, dict) else {}
        if not {"at", "facts"} <= set(found) <= {"at", "facts", "every", "repeat"}:
            raise RuleError(source, where, "a call must have at and facts, and may have every and repeat")
        at_s, every_s, repeat = found["at"], found.get("every", 0), found.get("repeat", 1)
        if not all(map(_is_seconds, (at_s, every_s))):
            raise RuleError(source, where, "at and every must be seconds, from 0 to a year")
        if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
            raise RuleError(source, where, f"repeat must be a whole number from 1, got {repeat!r}")
        count += repeat
        if count > MAX_CALLS:
            raise RuleError(source, where, f"must make at most {MAX_CALLS} calls")
        facts = _facts(found["facts"], where, fields, source)
        yield ExampleCall(at_s=float(at_s), every_s=float(every_s), repeat=repeat, facts=facts)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 366 * 86_400


def _facts(found: Any, where: str, fields: Mapping[str, Field], source: str) -> Mapping[str, p.Value]:
    if not isinstance(found, dict):
        raise RuleError(source, where, "must have fields as facts")
    for name, value in cast("dict[Any, Any]", found).items():
        if name not in fields:
            raise RuleError(source, where, f"{name!r} is no field that such a rule can read")
        if not isinstance(value, (str, int, float, bool)) or (isinstance(value, float) and not math.isfinite(value)):
            raise RuleError(source, where, f"{name} must be a text, a number, true or false; got {value!r}")
        if fields[name].kind in ("number", "flag") and isinstance(value, str):
            raise RuleError(source, where, f"{name} is a {fields[name].kind}; got {value!r}")
        if isinstance(value, int) and abs(value) >= 1 << 62:
            raise RuleError(source, where, f"{name} is too large a number")
    return cast("Mapping[str, p.Value]", found)
