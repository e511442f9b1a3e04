"""Tests of a field's value, and terms that join tests.

Text is compared case-insensitively unless ``cased`` is set, as Sigma defines. Patterns run on google-re2, whose time is
linear in any text, never on ``re``.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import re2

from backwatch.detector.derived.numeric_address import address_in

Value = str | int | float | bool | None
Operator = Literal["lt", "lte", "gt", "gte", "eq", "exists"]
OPERATORS: Final[tuple[Operator, ...]] = ("lt", "lte", "gt", "gte", "eq", "exists")


@dataclass(frozen=True, slots=True)
class FieldTest:
    """A test of one field's value; an absent field is ``None``.

    Attributes:
        passes: Returns whether a value passes.
        operator, number: The same comparison as data, where the field is a number.
    """

    field: str
    passes: Callable[[Value], bool]
    operator: Operator | None = None
    number: float = 0.0


@dataclass(frozen=True, slots=True)
class Pattern:
    """A test of text that google-re2 can evaluate together with others.

    Attributes:
        passes: The test by itself.
        regex: A pattern that is found in exactly the texts that pass.
        lowered: The pattern applies to lower-cased text.
    """

    passes: Callable[[Value], bool]
    regex: str
    lowered: bool

    def __call__(self, value: Value) -> bool:
        """Return whether the value passes."""
        return self.passes(value)


@dataclass(frozen=True, slots=True)
class Not:
    """Holds where the term does not; an absent field passes."""

    term: "Term"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds where all terms hold."""

    terms: "tuple[Term, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds where at least one term holds."""

    terms: "tuple[Term, ...]"


Term = FieldTest | Not | AllOf | AnyOf


def is_satisfied(term: Term, facts: Mapping[str, Value]) -> bool:
    """Return whether the term holds for these facts, term by term. Tests compare the fast path with it.

    >>> loud = FieldTest("level", text_test("hi*", cased=False))
    >>> is_satisfied(Not(loud), {"level": "HIGH"}), is_satisfied(Not(loud), {})
    (False, True)
    """
    match term:
        case FieldTest(field, passes):
            return passes(facts.get(field))
        case Not(inner):
            return not is_satisfied(inner, facts)
        case AllOf(terms):
            return all(is_satisfied(part, facts) for part in terms)
        case AnyOf(terms):
            return any(is_satisfied(part, facts) for part in terms)


def fields_of(term: Term) -> frozenset[str]:
    """Return every field that the term names."""
    match term:
        case FieldTest(field):
            return frozenset((field,))
        case Not(inner):
            return fields_of(inner)
        case AllOf(terms) | AnyOf(terms):
            return frozenset[str]().union(*(fields_of(part) for part in terms))


def compare(operator: Operator, left: float | None, right: float) -> bool:
    """Compare two numbers; an absent value passes no comparison.

    >>> compare("gte", 3, 3), compare("lt", None, 3), compare("exists", 0, 0)
    (True, False, True)
    """
    if left is None or left != left:
        return False
    match operator:
        case "lt":
            return left < right
        case "lte":
            return left <= right
        case "gt":
            return left > right
        case "gte":
            return left >= right
        case "eq":
            return left == right
        case "exists":
            return True


def _number(value: Value) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return None if value is None else float(value)


def number_test(operator: Operator, number: float) -> Callable[[Value], bool]:
    """Return a test of numbers, and of text that is a number."""
    return lambda value: compare(operator, _number(value), number)


def is_present(value: Value) -> bool:
    """Return whether the value is present."""
    return value is not None and value == value


def text_test(pattern: str, *, cased: bool) -> Pattern:
    r"""Return a test of text with wildcards: ``*`` is any run of characters, ``?`` any one, ``\`` escapes the next.

    >>> text_test("10.*", cased=False)("10.0.0.1"), text_test(r"a\*", cased=False)("A*")
    (True, True)
    >>> text_test("a?", cased=True)("Ab")
    False
    """
    parts = _parts(pattern if cased else pattern.lower())
    if parts is None:
        return pattern_test(_as_regex(pattern), flags="s" if cased else "is", whole=True)
    before, plain, after = parts

    def passes(value: Value) -> bool:
        if value is None:
            return False
        text = str(value) if cased else str(value).lower()
        if before and after:
            return plain in text
        if before:
            return text.endswith(plain)
        return text.startswith(plain) if after else text == plain

    regex = ("" if before else r"\A") + re2.escape(plain) + ("" if after else r"\z")
    return Pattern(passes, regex, lowered=not cased)


def pattern_test(pattern: str, *, flags: str = "", whole: bool = False) -> Pattern:
    """Return a test for text in which the pattern is found (``whole``: which it matches from end to end).

    Raises:
        ValueError: google-re2 rejects the pattern.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        regex = f"(?{flags}:{pattern})" if flags else pattern
        compiled = re2.compile(regex, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"google-re2 rejects the pattern {pattern!r}: {why}") from None
    find = compiled.fullmatch if whole else compiled.search
    return Pattern(
        lambda value: value is not None and find(str(value)) is not None,
        rf"\A(?:{regex})\z" if whole else regex,
        lowered=False,
    )


def network_test(network: str) -> Callable[[Value], bool]:
    """Return a test for numeric addresses in a network; an IPv4-mapped IPv6 address counts as IPv4.

    >>> local = network_test("127.0.0.0/8")
    >>> local("127.0.0.1"), local("::ffff:127.0.0.1"), local("localhost"), local(None)
    (True, True, False, False)
    """
    inside = ipaddress.ip_network(network)

    def passes(value: Value) -> bool:
        address = address_in(value) if isinstance(value, str) else None
        return address is not None and address in inside

    return passes


def any_word_test(passes: Callable[[Value], bool]) -> Callable[[Value], bool]:
    """Return a test for comma-separated lists in which one word passes."""
    return lambda value: isinstance(value, str) and any(passes(word.strip()) for word in value.split(","))


def _parts(pattern: str) -> tuple[bool, str, bool] | None:
    """Return wildcard before, plain text, wildcard after; ``None`` where there are other wildcards."""
    tokens = list(_tokens(pattern))
    before = bool(tokens) and tokens[0] == ("*", True)
    if before:
        tokens = tokens[1:]
    after = bool(tokens) and tokens[-1] == ("*", True)
    if after:
        tokens = tokens[:-1]
    if any(special for _, special in tokens):
        return None
    return before, "".join(character for character, _ in tokens), after


def _as_regex(pattern: str) -> str:
    return "".join(
        {"*": ".*", "?": "."}[character] if special else re2.escape(character)
        for character, special in _tokens(pattern)
    )


def _tokens(pattern: str) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    plain = False
    for character in pattern:
        if plain:
            if character not in "*?\\":
                found.append(("\\", False))
            found.append((character, False))
            plain = False
        elif character == "\\":
            plain = True
        else:
            found.append((character, character in "*?"))
    if plain:
        found.append(("\\", False))
    return found
