"""Build terms from the detection and the condition of a rule, as pySigma parsed them."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR
from sigma.exceptions import SigmaError
from sigma.rule import SigmaDetections, SigmaRule
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SpecialChars,
)

from backwatch.collector import names
from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.fields import Field

_COMPARISONS: Final[Mapping[CompareOperators, p.Operator]] = {
    CompareOperators.LT: "lt", CompareOperators.LTE: "lte", CompareOperators.GT: "gt", CompareOperators.GTE: "gte",
}  # fmt: skip


class RuleError(ValueError):
    """A document that cannot be used. The message is one line with the document and the field.

    Attributes:
        where: The field, or another part of the document.
        problem: Description of the fault, on one line.
    """

    def __init__(self, source: str, where: str, problem: str) -> None:
        self.where, self.problem = where, " ".join(problem.split())
        super().__init__(f"{source}: {where}: {self.problem}")


def build_condition(sigma: SigmaRule, source: str, fields: Mapping[str, Field]) -> p.Term:
    """Build the term that must hold for the rule to fire.

    Raises:
        RuleError: The rule names an unknown field, or compares one in an unsupported way.
    """
    term = build_term(sigma.detection, source, fields)
    service = sigma.logsource.service
    if service:
        term = p.AllOf(
            (p.AnyOf(tuple(p.FieldTest(name, p.text_test(service, cased=False)) for name in names.SYSTEMS)), term)
        )
    return term


def build_term(detections: SigmaDetections, source: str, fields: Mapping[str, Field]) -> p.Term:
    """Build the term of selections and their condition.

    Raises:
        RuleError: As :func:`build_condition`.
    """
    terms: list[p.Term] = []
    for condition in detections.parsed_condition:
        try:
            parsed = condition.parse()
        except SigmaError as error:
            raise RuleError(source, "condition", str(error)) from None
        except RecursionError:
            raise RuleError(source, "condition", "is nested too deeply") from None
        except (TypeError, AttributeError, KeyError, ValueError, IndexError) as error:
            # pySigma assumes the shapes that its schema promises, and checks only some of them.
            raise RuleError(source, "condition", f"is none: {error}") from None
        terms.append(_term(parsed, source, fields))
    return terms[0] if len(terms) == 1 else p.AnyOf(tuple(terms))


def _term(parsed: object, source: str, fields: Mapping[str, Field]) -> p.Term:
    match parsed:
        case ConditionAND():
            return p.AllOf(tuple(_term(part, source, fields) for part in parsed.args))
        case ConditionOR():
            return p.AnyOf(tuple(_term(part, source, fields) for part in parsed.args))
        case ConditionNOT():
            return p.Not(_term(parsed.args[0], source, fields))
        case ConditionFieldEqualsValueExpression():
            return _comparison(parsed.field, parsed.value, source, fields)
        case _:
            raise RuleError(source, "condition", "a value without a field cannot be searched for")


def _comparison(name: str, value: object, source: str, fields: Mapping[str, Field]) -> p.Term:
    field = fields.get(name)
    if field is None:
        raise RuleError(source, name, "is no field that such a rule can read")
    try:
        if isinstance(value, SigmaNull):
            return p.Not(_presence_test(name))
        if isinstance(value, SigmaExists):
            return _presence_test(name) if value.exists else p.Not(_presence_test(name))
        if field.kind in ("number", "flag") and field.domain == "number":
            return _numeric(name, value)
        passes = _test_of(value)
        if field.kind == "words":
            passes = p.any_word_test(_sign_test(value) if name == names.QUERY_SIGNS else passes)
        return p.FieldTest(name, passes)
    except ValueError as error:
        raise RuleError(source, name, str(error)) from None


def _presence_test(name: str) -> p.FieldTest:
    return p.FieldTest(name, p.is_present, "exists")


def _numeric(name: str, value: object) -> p.FieldTest:
    operator: p.Operator = "eq"
    if isinstance(value, SigmaCompareExpression):
        operator, number = _operator(value), float(value.number.number)
    elif isinstance(value, SigmaBool):
        number = float(value.boolean)
    elif isinstance(value, SigmaNumber):
        number = float(value.number)
    else:
        raise ValueError(f"is a number and cannot be compared with {str(value)!r}")  # noqa: TRY004  of the rule's text
    return p.FieldTest(name, p.number_test(operator, number), operator, number)


def _operator(value: SigmaCompareExpression) -> p.Operator:
    if value.op not in _COMPARISONS:
        raise ValueError("cannot be compared so")
    return _COMPARISONS[value.op]


def _test_of(value: object) -> Callable[[p.Value], bool]:
    match value:
        case SigmaCasedString():
            return p.text_test(_wildcards(value), cased=True)
        case SigmaString():
            return p.text_test(_wildcards(value), cased=False)
        case SigmaBool():
            return p.number_test("eq", float(value.boolean))
        case SigmaNumber():
            return p.number_test("eq", float(value.number))
        case SigmaRegularExpression():
            return p.pattern_test(
                str(value.regexp), flags="".join(sorted(flag.name[0].lower() for flag in value.flags))
            )
        case SigmaCIDRExpression():
            return p.network_test(value.cidr)
        case SigmaCompareExpression():
            return p.number_test(_operator(value), float(value.number.number))
        case _:
            raise ValueError(f"cannot be compared with {type(value).__name__}")


def _sign_test(value: object) -> Callable[[p.Value], bool]:
    """Match a whole word of the closed vocabulary, even with ``contains``: ``cut`` is not in ``executable-comment``."""
    word = str(value).strip("*") if isinstance(value, SigmaString) else ""
    if word not in names.SIGNS:
        raise ValueError(f"{str(value)!r} is not a sign; known are {', '.join(names.SIGNS)}")
    return p.text_test(word, cased=False)


def _wildcards(value: SigmaString) -> str:
    parts: list[str] = []
    for part in value.s:
        if isinstance(part, str):
            parts.append(re.sub(r"([\\*?])", r"\\\1", part))
        elif part is SpecialChars.WILDCARD_MULTI:
            parts.append("*")
        elif part is SpecialChars.WILDCARD_SINGLE:
            parts.append("?")
        else:
            raise ValueError("placeholders are not supported")
    return "".join(parts)
