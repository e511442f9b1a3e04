"""Injection signs of a raw statement: words of the closed list ``names.SIGNS``, computed from its tokens.

A sign is no verdict: rules combine it with novelty at a call site. So a sign must be rare in genuine SQL, above all
that of object mappers, and each has one meaning. Signs rely on this: an injection has to end a literal, condition or
statement of the app, and leaves behind text that no programmer writes on purpose.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from backwatch.collector.names import SIGNS
from backwatch.collector.statements import sign_rules as rules
from backwatch.collector.statements import spec
from backwatch.collector.statements.shapes import LITERALS, Shape
from backwatch.collector.statements.sign_comments import ODD_CASE, comment_signs, odd_blanks
from backwatch.collector.statements.sign_words import (
    CHARACTERS,
    CODES,
    CONNECTIVES,
    FAILING,
    KEYWORDS,
    PARTS,
    SIGN_OF_CALL,
    SIGN_OF_WORD,
)
from backwatch.collector.statements.tokens import Token

WEAK_SIGNS: Final = frozenset({"catalogue", "encoded-string", "version-probe", "odd-spacing", "cut"})
"""Signs that tools, drivers and migrations have, too: they count together with novelty or other signs."""
STRONG_SIGNS: Final = frozenset(SIGNS) - WEAK_SIGNS
"""Signs that genuine statements rarely have: 10 of 19 879 in public sets, 9 of them a database's own tests."""

_ORDER: Final = {sign: number for number, sign in enumerate(SIGNS)}
_MOST_UNIONS: Final = 8
"""UNIONs that are examined: each may read a long list."""
_HANDSHAKE_WORDS: Final = 14
"""A statement of at most so many words that reads a version and no table is what drivers send when they connect."""
_TALKING: Final = (
    frozenset({"'", "0", ";", "=", "<", ">", "/*!", "|", "&", "IF", "IIF", "WHEN", "UNION", "FROM", "TO", "LOAD",
               "ATTACH", "PROGRAM", "SONAME"})
    | CONNECTIVES | SIGN_OF_CALL.keys() | SIGN_OF_WORD.keys() | FAILING | CHARACTERS | CODES | PARTS | KEYWORDS
)  # fmt: skip
"""Words that may have a sign; all others are skipped."""


def signs_of(text: str, dialect: str, tokens: Sequence[Token], *, cut: bool = False) -> tuple[str, ...]:
    """Return the signs of ``text``, in the order of ``names.SIGNS``. Linear.

    Args:
        text: The raw text, as it was scanned.
        dialect: One of ``spec.DIALECTS``.
        tokens: Its tokens.
        cut: Whether the text was longer than what is scanned or sent.
    """
    shape, found = Shape(text, dialect, tokens), set[str]()
    if cut:
        found.add("cut")
    words = shape.words
    unions = 0
    for at, word in enumerate(words):
        if word in _TALKING:
            if word in LITERALS:
                _literal(shape, at, found)
            elif not word[0].isalpha() and word[0] != "@":
                _symbol(shape, at, found)
            elif word == "UNION":
                unions += 1
                if unions <= _MOST_UNIONS and rules.union(shape, at):
                    found.add("union-appended")
            else:
                _word(shape, at, found)
    if shape.comments:
        comment_signs(shape, found)
    if odd_blanks(shape):
        found.add("odd-spacing")
    handshake = found == {"version-probe"} or (found == {"version-probe", "catalogue"} and "FROM" not in words)
    if handshake and len(shape.tokens) < _HANDSHAKE_WORDS and "WHERE" not in words:
        return ()
    return tuple(sorted(found, key=_ORDER.__getitem__))


def signs_mask(signs: str | Iterable[str]) -> int:
    """Return a bit mask with bit ``i`` for ``names.SIGNS[i]``, from a tuple or the comma-separated attribute.

    >>> signs_mask("comment-tail,stacked")
    9
    """
    listed = signs.split(",") if isinstance(signs, str) else signs
    return sum({1 << _ORDER[sign] for sign in listed if sign in _ORDER})


def _literal(shape: Shape, at: int, found: set[str]) -> None:
    kind, start, end = shape.tokens[at]
    if kind == spec.UNENDED or rules.is_mangled(shape, at):
        found.add("unbalanced-quote")
    if kind == spec.STRING:
        if shape.text[start] in "xX" and end - start >= 11 and rules.printable(shape.text[start + 2 : end - 1]):
            found.add("encoded-string")
    elif kind == spec.NUMBER and end - start > 3 and rules.encoded_number(shape, at):
        found.add("encoded-string")
    if rules.run_on(shape, at):
        found.add("stacked")


def _symbol(shape: Shape, at: int, found: set[str]) -> None:
    word = shape.words[at]
    if word == ";":
        if shape.words[at - 1] != ";" and rules.is_stacked_statement(shape, at):
            found.add("stacked")
    elif word == "/*!":
        found.add("executable-comment")
    elif word in ("|", "&"):
        if shape.words[at - 1] != word:
            return
        if (word == "&" or shape.dialect == "mysql") and rules.tautology(shape, at):
            found.add("tautology")
        if rules.asks(shape, at):
            found.add("conditional")
    elif rules.is_chained_condition(shape, at):
        found.add("tautology")


def _word(shape: Shape, at: int, found: set[str]) -> None:
    words = shape.words
    word, following = words[at], words[at + 1]
    sign = SIGN_OF_WORD.get(word)
    if sign and (word != "ANALYSE" or words[at - 1] == "PROCEDURE") and (word != "MYSQL" or _of_mysql(words, at)):
        found.add(sign)
    if word in CONNECTIVES:
        if rules.tautology(shape, at):
            found.add("tautology")
        if rules.asks(shape, at):
            found.add("conditional")
    elif following == "(":
        _call(shape, at, found)
    elif following == "'" or word == "LOAD" or word == "ATTACH":
        _file(shape, at, found)
    if word == "WHEN" and rules.constant(shape, at):
        found.add("conditional")
    if word in KEYWORDS and ODD_CASE.search(shape.raw(at)):
        found.add("odd-spacing")


def _of_mysql(words: list[str], at: int) -> bool:
    return words[at + 1] == "." and words[at + 2] in ("USER", "DB", "TABLES_PRIV", "COLUMNS_PRIV", "GLOBAL_PRIV", '"')


def _file(shape: Shape, at: int, found: set[str]) -> None:
    words = shape.words
    word, following = words[at], words[at + 1]
    if (
        (word in ("FROM", "TO") and words[shape.verb] in ("COPY", "BULK"))
        or (word == "LOAD" and following in ("DATA", "XML"))
        or (word == "ATTACH" and "'" in words[at + 1 : at + 3])
    ):
        found.add("file-access")
    elif word in ("PROGRAM", "SONAME"):
        found.add("program")


def _call(shape: Shape, at: int, found: set[str]) -> None:
    word = shape.words[at]
    sign = SIGN_OF_CALL.get(word)
    if sign and _meant(shape, at, sign):
        found.add(sign)
    if word in FAILING and rules.fails(shape, at):
        found.add("error-based")
    elif (word in ("IF", "IIF") and rules.constant(shape, at + 1)) or (
        (word in CODES or word in PARTS) and rules.letters(shape, at)
    ):
        found.add("conditional")
    elif word in CHARACTERS and rules.encoded_call(shape, at):
        found.add("encoded-string")


def _meant(shape: Shape, at: int, sign: str) -> bool:
    """Return whether a function is called as in an attack; many functions have legitimate uses."""
    words = shape.words
    word, first = words[at], words[at + 2]
    if word == "RANDOMBLOB":
        return first == "0" and len(shape.raw(at + 2)) >= 6
    if sign == "version-probe":
        return first == ")"
    if word in ("EXTRACTVALUE", "UPDATEXML"):
        return first in LITERALS
    if word in ("JSON_KEYS", "XMLTYPE"):
        return first in ("(", "CHR")
    if word == "BENCHMARK":
        return first in ("0", "(", "-")
    if word in ("ELT", "MAKE_SET"):
        return first == "(" or bool(shape.literal(at + 2))
    return True
