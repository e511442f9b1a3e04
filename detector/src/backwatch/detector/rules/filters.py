"""Sigma filters: exceptions to rules in one installation, with a reason and an expiry date.

A filter's condition is joined to the rule's by *and*, as Sigma defines it: ``condition: not selection`` excludes the
selection. A filter needs a reason and an expiry date. Event time counts, so that a replay filters as the original run
did.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sigma.filters import SigmaFilter, SigmaGlobalFilter

from backwatch.detector.rules import predicates as p
from backwatch.detector.rules.backwatch_block import parse_block
from backwatch.detector.rules.conditions import RuleError
from backwatch.detector.rules.modifiers import check_modifiers
from backwatch.detector.rules.pysigma import check_logsource, parse_document

TIME: Final = "time_ns"
"""Event time, nanoseconds since the epoch: compared with a filter's end."""
MAX_REASON_CHARACTERS: Final = 500
_OWN: Final = ("reason", "expires")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_LAST_YEAR: Final = 2200
"""Nanoseconds of later years do not fit into 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A parsed Sigma filter.

    Attributes:
        expires: The last day, UTC, on which it applies.
        rules: Names or ids of the rules that it applies to; ``None``: all over calls.
        service: It applies only to rules whose log source names this service; empty: to all.
        detection: Its selections and condition, as pySigma parsed them.
        source: Name of its document, for error messages.
    """

    title: str
    reason: str
    expires: date
    rules: tuple[str, ...] | None
    service: str
    detection: SigmaGlobalFilter
    source: str

    @property
    def end_ns(self) -> int:
        """Return the first nanosecond after its expiry."""
        after = datetime(self.expires.year, self.expires.month, self.expires.day, tzinfo=UTC) + timedelta(days=1)
        return int(after.timestamp()) * 10**9


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A filter on one rule: an additional term that must hold."""

    filter: Filter
    term: p.Term


def build_filter(loaded: Mapping[str, Any], source: str) -> Filter:
    """Build a filter from a Sigma filter document.

    Raises:
        RuleError: The document is not a supported filter.
    """
    check_modifiers(loaded.get("filter"), source)
    sigma = parse_document(
        SigmaFilter.from_dict, loaded, source, what="filter", block="filter", otherwise="filter",
        within={"filtercondition": "filter.condition", "filterrulereference": "filter.rules"},
        known=("title", "identifier", "logsource", "description", "detection"),
    )  # fmt: skip
    check_logsource(sigma.logsource, source)
    own = parse_block(sigma, _OWN, source, "the reason and when it expires")
    named = sigma.filter.rules
    rules = None if isinstance(named, str) else tuple(rule.reference for rule in named)
    for reference in rules or ():
        if not isinstance(reference, str):  # pyright: ignore[reportUnnecessaryIsInstance]  pySigma accepts any value
            raise RuleError(source, "filter.rules", f"must be names of rules, got {reference!r}")
    return Filter(
        title=" ".join(sigma.title.split()),
        reason=_reason(own, source),
        expires=_expires(own, source),
        rules=rules,
        service=str(sigma.logsource.service or ""),
        detection=sigma.filter,
        source=source,
    )


def narrow_condition(condition: p.Term, narrowings: Sequence[Narrowing]) -> p.Term:
    """Return the rule's condition, joined with each filter's until that filter expires.

    There is one alternative per expiry, so that many filters do not multiply alternatives.
    """
    if not narrowings:
        return condition
    ordered = sorted(narrowings, key=lambda narrowing: narrowing.filter.end_ns)
    found: list[p.Term] = [p.AllOf((condition, *(narrowing.term for narrowing in ordered)))]
    for at, narrowing in enumerate(ordered, 1):
        end_ns = narrowing.filter.end_ns
        ended = p.FieldTest(TIME, p.number_test("gte", end_ns), "gte", end_ns)
        found.append(p.AllOf((condition, ended, *(later.term for later in ordered[at:]))))
    return p.AnyOf(tuple(found))


def _reason(own: Mapping[str, Any], source: str) -> str:
    value = own.get("reason")
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_REASON_CHARACTERS:
        raise RuleError(
            source, "backwatch.reason", f"must have 1 to {MAX_REASON_CHARACTERS} characters; got {_format(value)}"
        )
    return " ".join(value.split())


def _expires(own: Mapping[str, Any], source: str) -> date:
    value: Any = own.get("expires")
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            value = own["expires"]
    if isinstance(value, datetime) or not isinstance(value, date) or value.year >= _LAST_YEAR:
        raise RuleError(
            source,
            "backwatch.expires",
            f"must be the last day, as 2027-01-31, before {_LAST_YEAR}; got {_format(value)}",
        )
    return value


def _format(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:80]
