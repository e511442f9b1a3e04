"""Examples that stand in a rule's own block under ``tests``: facts, and whether the rule is raised on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from backwatch.detector.engine import predicates as p
from backwatch.detector.engine.conditions import RuleError
from backwatch.detector.engine.fields import Field

MOST: Final = 100
"""Examples that one rule may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example.

    Attributes:
        fires: Whether the rule is raised.
        facts: Field to value; what detectors compute is given as they would, so that no history is needed.
    """

    name: str
    fires: bool
    facts: Mapping[str, p.Value]


def examples(told: Any, fields: Mapping[str, Field], source: str) -> tuple[Example, ...]:
    """What ``tests`` says.

    Raises:
        RuleError: It is no list of examples, or one names a field that such a rule cannot read.
    """
    if told is None:
        return ()
    if not isinstance(told, list) or len(cast("list[Any]", told)) > MOST:
        raise RuleError(source, "backwatch.tests", f"must be a list of at most {MOST} examples")
    return tuple(_example(one, f"backwatch.tests[{at}]", fields, source) for at, one in enumerate(told))


def _example(told: Any, where: str, fields: Mapping[str, Field], source: str) -> Example:
    if not isinstance(told, dict) or sorted(map(str, cast("dict[Any, Any]", told))) != ["facts", "fires", "name"]:
        raise RuleError(source, where, "must have name, fires and facts, and nothing else")
    found = cast("dict[str, Any]", told)
    name, fires, facts = found["name"], found["fires"], found["facts"]
    if not isinstance(name, str) or not isinstance(fires, bool) or not isinstance(facts, dict):
        raise RuleError(source, where, "must have a text as name, true or false as fires, fields as facts")
    for field, value in cast("dict[Any, Any]", facts).items():
        if field not in fields:
            raise RuleError(source, where, f"{field!r} is no field that such a rule can read")
        if not isinstance(value, (str, int, float, bool)):
            raise RuleError(source, where, f"{field} must be a text, a number, true or false; got {value!r}")
        if fields[field].kind in ("number", "flag") and isinstance(value, str):
            raise RuleError(source, where, f"{field} is a {fields[field].kind}; got {value!r}")
    return Example(name=name, fires=fires, facts=cast("dict[str, p.Value]", facts))
