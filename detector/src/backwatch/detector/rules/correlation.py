"""A parsed Sigma correlation: referenced rules, count type, group-by fields, time span.

Only conditions that can be decided while calls arrive are supported: a number was reached. A condition that a number
stays below a limit, or equals it, can be decided only at the end of the time span, and is refused.
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
"""The fact in an alert's evidence that holds the count or the sum."""
MEANINGS: Final[Mapping[str, str]] = {
    COUNT: "Minimum number of calls counted within the timespan.",
    SUM: "The sum over the timespan.",
    RULES: "Number of the rules that fired within the timespan.",
    TIMESPAN: "Length of the timespan, in seconds.",
    GROUP_BY: "Facts that separate the counts; their values are in the evidence under their own names.",
}

MAX_CALLS: Final = 1_000
"""Maximum of ``event_count``: as many times are kept for each group."""
MAX_RULES: Final = 32
MAX_FIELDS: Final = 8
MAX_TIMESPAN_S: Final = 31 * 86_400
_KEYS: Final = ("type", "rules", "group-by", "timespan", "condition", "aliases", "generate")
_KINDS: Final[Mapping[SigmaCorrelationType, Kind]] = {
    SigmaCorrelationType.EVENT_COUNT: "event_count",
    SigmaCorrelationType.VALUE_SUM: "value_sum",
    SigmaCorrelationType.TEMPORAL: "temporal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """A combination of firings that raises an alert.

    The name of its table depends on ``repr``: renaming a field would lose the counts of running installations.

    Attributes:
        rules: The referenced rules, by name once resolved.
        group_by: Fields or aliases whose values separate the counts; the app always does.
        aliases: Alias to rule to field.
        timespan_ns: Firings further apart do not count together.
        least: Threshold: calls, the sum, or number of rules.
        beyond: The sum must exceed the threshold.
        field: The summed field; empty where none is.
        generate: The referenced rules raise their own alerts, too.
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
        """Return the fields that separate the counts of this rule's firings."""
        return tuple(self.aliases[name][rule] if name in self.aliases else name for name in self.group_by)


def evidence_fields(correlation: Correlation) -> tuple[str, ...]:
    """Return the names of a correlation's own facts in the evidence of its alerts."""
    return (REACHED[correlation.kind], TIMESPAN, *((GROUP_BY,) if correlation.group_by else ()))


def describe_correlation(correlation: Correlation) -> str:
    """Describe in one sentence when a correlation fires."""
    rules = (
        f"{', '.join(correlation.rules[:-1])} {{}} {correlation.rules[-1]}"
        if correlation.rules[1:]
        else correlation.rules[0]
    )
    least = f"{correlation.least:g}"
    if correlation.kind == "event_count":
        what = f"At least {least} calls on which {rules.format('or')} fires"
    elif correlation.kind == "value_sum":
        more = "More than" if correlation.beyond else "At least"
        what = f"{more} {least} as the sum of {correlation.field} over the calls on which {rules.format('or')} fires"
    elif correlation.least == len(correlation.rules):
        what = f"Calls on which {rules.format('and')} fire"
    else:
        what = f"Calls on which at least {least} fire of {rules.format('and')}"
    group_by = ", ".join(("app", *correlation.group_by))
    return f"{what}, within {correlation.timespan_ns // 10**9} s, counted apart by {group_by}."


def parse_sigma_correlation(loaded: Mapping[str, Any], source: str) -> SigmaCorrelationRule:
    """Parse a correlation document with pySigma.

    Raises:
        RuleError: It is not a valid correlation.
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
    """Check what pySigma ignores or reports less clearly."""
    for key in block:
        if key not in _KEYS:
            raise RuleError(source, f"correlation.{key}", f"is unknown; known are {', '.join(_KEYS)}")
    kind, condition = block.get("type"), block.get("condition")
    if kind not in _KINDS.values():
        raise RuleError(source, "correlation.type", f"{kind!r} is not supported; {', '.join(_KINDS.values())} are")
    if isinstance(condition, dict) and any(
        isinstance(value, bool) for value in cast("dict[str, Any]", condition).values()
    ):
        raise RuleError(source, "correlation.condition", "must compare with a number")


def build_correlation(sigma: SigmaCorrelationRule, source: str, fields: Mapping[str, Field]) -> Correlation:
    """Build the correlation. Its rules are references as written, not resolved yet.

    Args:
        fields: The fields that rules over calls can read.

    Raises:
        RuleError: It cannot be evaluated over a stream.
    """
    kind = _KINDS[sigma.type]
    rules = _references([rule.reference for rule in sigma.rules or ()], source)
    aliases = _aliases(sigma, rules, source, fields)
    least, beyond, field = _read_threshold(sigma, kind, len(rules), source, fields)
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
    for reference in found:
        if not isinstance(reference, str) or not reference:
            raise RuleError(source, "correlation.rules", f"must be names of rules, got {reference!r}")
    if not found or len(found) > MAX_RULES or len(set(found)) != len(found):
        raise RuleError(source, "correlation.rules", f"must be 1 to {MAX_RULES} rules, each named once")
    return tuple(found)


def _timespan_ns(sigma: SigmaCorrelationRule, source: str) -> int:
    if sigma.timespan.seconds > MAX_TIMESPAN_S:
        raise RuleError(source, "correlation.timespan", f"must be at most {MAX_TIMESPAN_S // 86_400} days")
    return sigma.timespan.seconds * 10**9


def _read_threshold(
    sigma: SigmaCorrelationRule, kind: Kind, rules: int, source: str, fields: Mapping[str, Field]
) -> tuple[float, bool, str]:
    condition, where = sigma.condition, "correlation.condition"
    if not isinstance(condition, SigmaCorrelationCondition):
        raise RuleError(source, where, "as text is not supported; use gte: with the number of rules that must fire")
    operator, number = condition.op, condition.count
    if operator not in (SigmaCorrelationConditionOperator.GTE, SigmaCorrelationConditionOperator.GT):
        raise RuleError(
            source, where, f"{operator.name.lower()} is known only at the end of the timespan; use gte or gt"
        )
    beyond = operator is SigmaCorrelationConditionOperator.GT
    if kind == "value_sum":
        field = condition.fieldref
        if not isinstance(field, str) or field not in fields:
            raise RuleError(source, f"{where}.field", f"{field!r} is no field that a rule over calls can read")
        if fields[field].kind != "number":
            raise RuleError(source, f"{where}.field", f"{field!r} is no number, and cannot be summed")
        if number <= 0:
            raise RuleError(source, where, f"must be more than 0, got {number}")
        return float(number), beyond, field
    if condition.fieldref is not None:
        raise RuleError(source, f"{where}.field", f"is for value_sum; {kind} reads none")
    least = math.floor(number) + 1 if beyond else math.ceil(number)
    most = MAX_CALLS if kind == "event_count" else rules
    if not 1 <= least <= most:
        raise RuleError(source, where, f"must be 1 to {most}, got {least}")
    return float(least), False, ""


def _group_by(
    found: Sequence[str], aliases: Mapping[str, Any], source: str, fields: Mapping[str, Field]
) -> tuple[str, ...]:
    for name in found:
        if name not in aliases and name not in fields:
            raise RuleError(source, "correlation.group-by", f"{name!r} is no field that a rule over calls can read")
    if len(found) > MAX_FIELDS or len(set(found)) != len(found):
        raise RuleError(source, "correlation.group-by", f"must be at most {MAX_FIELDS} fields, each named once")
    return tuple(found)


def _aliases(
    sigma: SigmaCorrelationRule, rules: Sequence[str], source: str, fields: Mapping[str, Field]
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for alias in sigma.aliases:
        mapping = {reference.reference: field for reference, field in alias.mapping.items()}
        if set(mapping) != set(rules):
            raise RuleError(source, "correlation.aliases", f"{alias.alias!r} must have a field for each of the rules")
        for field in mapping.values():
            if not isinstance(field, str) or field not in fields:  # pyright: ignore[reportUnnecessaryIsInstance]  pySigma accepts any value
                raise RuleError(source, "correlation.aliases", f"{field!r} is no field that a rule over calls can read")
        if alias.alias in fields:
            raise RuleError(source, "correlation.aliases", f"{alias.alias!r} is a field already")
        found[alias.alias] = mapping
    return found
