"""What a Sigma correlation document says: which rules, counted how, apart by what, within which time.

Only what can be answered while calls come is taken: that a number was reached. Whether it stayed below, or was met
exactly, is known only when the time is over, and is refused.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from sigma.correlations import (
    SigmaCorrelationCondition,
    SigmaCorrelationConditionOperator,
    SigmaCorrelationRule,
    SigmaCorrelationType,
)

from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.fields import Field
from backwatch.detector.rules.pysigma import parse_document

Kind = Literal["event_count", "value_sum", "temporal"]

COUNT: Final = "backwatch.correlation.count"
SUM: Final = "backwatch.correlation.sum"
RULES: Final = "backwatch.correlation.rules"
TIMESPAN: Final = "backwatch.correlation.timespan_s"
GROUP_BY: Final = "backwatch.correlation.group_by"
REACHED: Final[Mapping[Kind, str]] = {"event_count": COUNT, "value_sum": SUM, "temporal": RULES}
"""Where an alert's evidence says how far it came."""
MEANINGS: Final[Mapping[str, str]] = {
    COUNT: "Calls that were counted within the timespan, at least.",
    SUM: "The sum over the timespan.",
    RULES: "How many of the rules fired within the timespan.",
    TIMESPAN: "Seconds within which they were counted.",
    GROUP_BY: "The facts by which they were counted apart; their values stand under their own names.",
}

MOST_CALLS: Final = 1_000
"""What ``event_count`` can wait for: that many times are kept of each group."""
MOST_RULES: Final = 32
MOST_FIELDS: Final = 8
LONGEST_S: Final = 31 * 86_400
_KEYS: Final = ("type", "rules", "group-by", "timespan", "condition", "aliases", "generate")
_KINDS: Final[Mapping[SigmaCorrelationType, Kind]] = {
    SigmaCorrelationType.EVENT_COUNT: "event_count",
    SigmaCorrelationType.VALUE_SUM: "value_sum",
    SigmaCorrelationType.TEMPORAL: "temporal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Firings of rules that mean something together.

    Attributes:
        rules: The rules it refers to, by name once they were looked up.
        group_by: Fields, or aliases, by whose values firings are counted apart; always by app.
        aliases: Alias to rule to the field that it stands for.
        timespan_ns: Firings further apart do not count together.
        least: What must be reached: calls, the sum, or how many of the rules.
        beyond: The sum must be more than that.
        field: What is summed; empty where nothing is.
        generate: The rules it refers to raise alerts of their own too.
    """

    kind: Kind
    rules: tuple[str, ...]
    group_by: tuple[str, ...]
    aliases: Mapping[str, Mapping[str, str]]
    timespan_ns: int
    least: float
    beyond: bool
    field: str
    generate: bool

    def columns(self, rule: str) -> tuple[str, ...]:
        """The fields by whose values this rule's firings are counted apart."""
        return tuple(self.aliases[name][rule] if name in self.aliases else name for name in self.group_by)


def evidence_fields(one: Correlation) -> tuple[str, ...]:
    """What an alert's evidence says of it besides the last call's facts."""
    return (REACHED[one.kind], TIMESPAN, *((GROUP_BY,) if one.group_by else ()))


def describe_correlation(one: Correlation) -> str:
    """What it waits for."""
    rules = f"{', '.join(one.rules[:-1])} {{}} {one.rules[-1]}" if one.rules[1:] else one.rules[0]
    least = f"{one.least:g}"
    if one.kind == "event_count":
        what = f"At least {least} calls on which {rules.format('or')} fires"
    elif one.kind == "value_sum":
        more = "More than" if one.beyond else "At least"
        what = f"{more} {least} as the sum of {one.field} over the calls on which {rules.format('or')} fires"
    elif one.least == len(one.rules):
        what = f"Calls on which {rules.format('and')} fire"
    else:
        what = f"Calls on which at least {least} fire of {rules.format('and')}"
    return f"{what}, within {one.timespan_ns // 10**9} s, counted apart by {', '.join(('app', *one.group_by))}."


def parse_sigma_correlation(loaded: Mapping[str, Any], source: str) -> SigmaCorrelationRule:
    """A correlation document as pySigma reads it.

    Raises:
        RuleError: It is none.
    """
    block = loaded.get("correlation")
    if isinstance(block, dict):
        _check(cast("dict[str, Any]", block), source)
    return parse_document(
        SigmaCorrelationRule.from_dict, loaded, source, what="correlation", block="correlation",
        otherwise="correlation",
        within={
            "correlationtype": "correlation.type", "correlationcondition": "correlation.condition",
            "timespan": "correlation.timespan",
        },
        known=("level", "status", "identifier", "title", "tags", "name", "description"),
    )  # fmt: skip


def _check(block: Mapping[str, Any], source: str) -> None:
    """What pySigma would pass over, or say less clearly."""
    for key in block:
        if key not in _KEYS:
            raise RuleError(source, f"correlation.{key}", f"is unknown; known are {', '.join(_KEYS)}")
    kind, condition = block.get("type"), block.get("condition")
    if kind not in _KINDS.values():
        raise RuleError(source, "correlation.type", f"{kind!r} is not supported; {', '.join(_KINDS.values())} are")
    if isinstance(condition, dict) and any(isinstance(one, bool) for one in cast("dict[str, Any]", condition).values()):
        raise RuleError(source, "correlation.condition", "must compare with a number")


def build_correlation(sigma: SigmaCorrelationRule, source: str, fields: Mapping[str, Field]) -> Correlation:
    """What it asks for; its rules are as they are written, not looked up yet.

    Args:
        fields: What rules over calls can read.

    Raises:
        RuleError: It is not one that we can hold against a stream.
    """
    kind = _KINDS[sigma.type]
    rules = _references([one.reference for one in sigma.rules or ()], source)
    aliases = _aliases(sigma, rules, source, fields)
    least, beyond, field = _reached(sigma, kind, len(rules), source, fields)
    return Correlation(
        kind=kind,
        rules=rules,
        group_by=_group_by(sigma.group_by or (), aliases, source, fields),
        aliases=aliases,
        timespan_ns=_timespan_ns(sigma, source),
        least=least,
        beyond=beyond,
        field=field,
        generate=bool(sigma.generate),
    )


def _references(found: Sequence[Any], source: str) -> tuple[str, ...]:
    for one in found:
        if not isinstance(one, str) or not one:
            raise RuleError(source, "correlation.rules", f"must be names of rules, got {one!r}")
    if not found or len(found) > MOST_RULES or len(set(found)) != len(found):
        raise RuleError(source, "correlation.rules", f"must be 1 to {MOST_RULES} rules, each named once")
    return tuple(found)


def _timespan_ns(sigma: SigmaCorrelationRule, source: str) -> int:
    if sigma.timespan.seconds > LONGEST_S:
        raise RuleError(source, "correlation.timespan", f"must be at most {LONGEST_S // 86_400} days")
    return sigma.timespan.seconds * 10**9


def _reached(
    sigma: SigmaCorrelationRule, kind: Kind, rules: int, source: str, fields: Mapping[str, Field]
) -> tuple[float, bool, str]:
    condition, where = sigma.condition, "correlation.condition"
    if not isinstance(condition, SigmaCorrelationCondition):
        raise RuleError(source, where, "as text is not supported; gte: says how many of the rules must fire")
    operator, number = condition.op, condition.count
    if operator not in (SigmaCorrelationConditionOperator.GTE, SigmaCorrelationConditionOperator.GT):
        raise RuleError(
            source, where, f"{operator.name.lower()} is known only when the timespan is over; gte and gt can be told of"
        )
    beyond = operator is SigmaCorrelationConditionOperator.GT
    if kind == "value_sum":
        field = condition.fieldref
        if not isinstance(field, str) or field not in fields:
            raise RuleError(source, f"{where}.field", f"{field!r} is no field that a rule over calls can read")
        if fields[field].kind != "number":
            raise RuleError(source, f"{where}.field", f"{field!r} is no number, and cannot be summed")
        if number <= 0:
            raise RuleError(source, where, f"must ask for more than 0, got {number}")
        return float(number), beyond, field
    if condition.fieldref is not None:
        raise RuleError(source, f"{where}.field", f"is for value_sum; {kind} reads none")
    least = math.floor(number) + 1 if beyond else math.ceil(number)
    most = MOST_CALLS if kind == "event_count" else rules
    if not 1 <= least <= most:
        raise RuleError(source, where, f"must ask for 1 to {most}, got {least}")
    return float(least), False, ""


def _group_by(
    found: Sequence[str], aliases: Mapping[str, Any], source: str, fields: Mapping[str, Field]
) -> tuple[str, ...]:
    for one in found:
        if one not in aliases and one not in fields:
            raise RuleError(source, "correlation.group-by", f"{one!r} is no field that a rule over calls can read")
    if len(found) > MOST_FIELDS or len(set(found)) != len(found):
        raise RuleError(source, "correlation.group-by", f"must be at most {MOST_FIELDS} fields, each named once")
    return tuple(found)


def _aliases(
    sigma: SigmaCorrelationRule, rules: Sequence[str], source: str, fields: Mapping[str, Field]
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for one in sigma.aliases:
        mapping = {reference.reference: field for reference, field in one.mapping.items()}
        if set(mapping) != set(rules):
            raise RuleError(source, "correlation.aliases", f"{one.alias!r} must say a field for each of the rules")
        for field in mapping.values():
            if not isinstance(field, str) or field not in fields:  # pyright: ignore[reportUnnecessaryIsInstance]  pySigma takes whatever stands there
                raise RuleError(source, "correlation.aliases", f"{field!r} is no field that a rule over calls can read")
        if one.alias in fields:
            raise RuleError(source, "correlation.aliases", f"{one.alias!r} is a field already")
        found[one.alias] = mapping
    return found
