"""Examples that stand in a rule's own block under ``tests``: facts, and whether the rule is raised on them.

An example of a correlation has calls in place of facts: each says when it comes, and how often it comes again.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.fields import Field

MOST: Final = 100
"""Examples that one rule may have."""
MOST_CALLS: Final = 10_000
"""Calls that one example may make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleCall:
    """A call of an example, or the same call over and over.

    Attributes:
        at_s: When it comes, in seconds.
        every_s: How long after that it comes again.
        repeat: How often it comes.
    """

    at_s: float
    every_s: float
    repeat: int
    facts: Mapping[str, p.Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example.

    Attributes:
        fires: Whether the rule is raised.
        facts: Field to value; what detectors compute is given as they would, so that no history is needed.
        calls: Of a correlation, which has no facts of its own.
    """

    name: str
    fires: bool
    facts: Mapping[str, p.Value] = field(default_factory=dict[str, p.Value])
    calls: tuple[ExampleCall, ...] = ()


def parse_examples(
    told: Any, fields: Mapping[str, Field], source: str, *, of_calls: bool = False
) -> tuple[Example, ...]:
    """What ``tests`` says.

    Args:
        of_calls: They are a correlation's.

    Raises:
        RuleError: It is no list of examples, or one names a field that such a rule cannot read.
    """
    if told is None:
        return ()
    if not isinstance(told, list) or len(cast("list[Any]", told)) > MOST:
        raise RuleError(source, "backwatch.tests", f"must be a list of at most {MOST} examples")
    return tuple(
        _example(one, f"backwatch.tests[{at}]", fields, source, of_calls=of_calls) for at, one in enumerate(told)
    )


def _example(told: Any, where: str, fields: Mapping[str, Field], source: str, *, of_calls: bool) -> Example:
    what = "calls" if of_calls else "facts"
    if not isinstance(told, dict) or sorted(map(str, cast("dict[Any, Any]", told))) != sorted(("fires", "name", what)):
        raise RuleError(source, where, f"must have name, fires and {what}, and nothing else")
    found = cast("dict[str, Any]", told)
    name, fires = found["name"], found["fires"]
    if not isinstance(name, str) or not isinstance(fires, bool):
        raise RuleError(source, where, f"must have a text as name, true or false as fires, fields as {what}")
    if not of_calls:
        return Example(name=name, fires=fires, facts=_facts(found["facts"], where, fields, source))
    return Example(name=name, fires=fires, calls=tuple(_calls(found["calls"], where, fields, source)))


def _calls(told: Any, where: str, fields: Mapping[str, Field], source: str) -> Iterator[ExampleCall]:
    count = 0
    if not isinstance(told, list):
        raise RuleError(source, where, "must have a list of calls")
    for one in cast("list[Any]", told):
        found = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        if not {"at", "facts"} <= set(found) <= {"at", "facts", "every", "repeat"}:
            raise RuleError(source, where, "a call must have at and facts, and may have every and repeat")
        at_s, every_s, repeat = found["at"], found.get("every", 0), found.get("repeat", 1)
        if not all(_is_seconds(value) for value in (at_s, every_s)):
            raise RuleError(source, where, "at and every must be seconds, from 0 to a year")
        if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
            raise RuleError(source, where, f"repeat must be a whole number from 1, got {repeat!r}")
        count += repeat
        if count > MOST_CALLS:
            raise RuleError(source, where, f"must make at most {MOST_CALLS} calls")
        facts = _facts(found["facts"], where, fields, source)
        yield ExampleCall(at_s=float(at_s), every_s=float(every_s), repeat=repeat, facts=facts)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 366 * 86_400


def _facts(told: Any, where: str, fields: Mapping[str, Field], source: str) -> Mapping[str, p.Value]:
    if not isinstance(told, dict):
        raise RuleError(source, where, "must have fields as facts")
    for name, value in cast("dict[Any, Any]", told).items():
        if name not in fields:
            raise RuleError(source, where, f"{name!r} is no field that such a rule can read")
        if not isinstance(value, (str, int, float, bool)) or (isinstance(value, float) and not math.isfinite(value)):
            raise RuleError(source, where, f"{name} must be a text, a number, true or false; got {value!r}")
        if fields[name].kind in ("number", "flag") and isinstance(value, str):
            raise RuleError(source, where, f"{name} is a {fields[name].kind}; got {value!r}")
        if isinstance(value, int) and abs(value) >= 1 << 62:
            raise RuleError(source, where, f"{name} is too large a number")
    return cast("Mapping[str, p.Value]", told)
