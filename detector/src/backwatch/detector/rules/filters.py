"""Sigma filters: what a rule is not to be held against in this installation, why, and until when.

A filter's condition is joined to the rule's by *and*, as Sigma says: ``condition: not selection`` leaves out what is
selected. Ours must say a reason and a day on which it ends; event time counts, so a replay narrows as the day did.
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
"""Event time, nanoseconds since the epoch: what a filter's end is held against."""
LONGEST_REASON: Final = 500
_OWN: Final = ("reason", "expires")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_LAST_YEAR: Final = 2200
"""Nanoseconds of later years would not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What narrows rules for a while.

    Attributes:
        expires: The last day, UTC, on which it narrows.
        rules: Names or ids of the rules it narrows; ``None``: any over calls.
        service: It narrows only rules whose log source names this service; empty: whichever.
        detection: Its selections and condition, as pySigma parsed them.
        source: Document it came from, for error messages.
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
        """The first nanosecond at which it does not narrow any more."""
        after = datetime(self.expires.year, self.expires.month, self.expires.day, tzinfo=UTC) + timedelta(days=1)
        return int(after.timestamp()) * 10**9


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A filter on one rule: what must hold besides."""

    filter: Filter
    term: p.Term


def build_filter(loaded: Mapping[str, Any], source: str) -> Filter:
    """A Sigma filter document.

    Raises:
        RuleError: It is not one that we can narrow by.
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
    rules = None if isinstance(named, str) else tuple(one.reference for one in named)
    for one in rules or ():
        if not isinstance(one, str):  # pyright: ignore[reportUnnecessaryIsInstance]  pySigma takes whatever stands there
            raise RuleError(source, "filter.rules", f"must be names of rules, got {one!r}")
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
    """The rule's condition, and each filter's until that filter's end.

    Written as one alternative per end, so that many filters multiply no alternatives.
    """
    if not narrowings:
        return condition
    ordered = sorted(narrowings, key=lambda one: one.filter.end_ns)
    found: list[p.Term] = [p.AllOf((condition, *(one.term for one in ordered)))]
    for at, one in enumerate(ordered, 1):
        ended = p.FieldTest(TIME, p.number_test("gte", one.filter.end_ns), "gte", one.filter.end_ns)
        found.append(p.AllOf((condition, ended, *(later.term for later in ordered[at:]))))
    return p.AnyOf(tuple(found))


def _reason(own: Mapping[str, Any], source: str) -> str:
    value = own.get("reason")
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_REASON:
        raise RuleError(
            source, "backwatch.reason", f"must say why, in 1 to {LONGEST_REASON} characters; got {_shown(value)}"
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
            f"must be the last day, as 2027-01-31, before {_LAST_YEAR}; got {_shown(value)}",
        )
    return value


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:80]
