"""Skeletons: the parts that statements share if they differ only in plain literals, at the speed of one ``findall``.

An app that writes values into its statements makes a new text with each call, but few skeletons. A skeleton omits only
tokens that are certainly literals in the dialect and whose value no sign depends on: plain strings and plain decimal
numbers. The rest of the text belongs to its skeleton unchanged. From the first character that could open another token
(a comment, ``$tag$``, a backslash …), the whole rest belongs to it. So in doubt two texts have two skeletons;
``scan(join_pieces(split_pieces(text)))`` equals ``scan(text)``.
"""

import re
from functools import cache
from typing import Final

LONGEST: Final = 8_192
"""Characters; the cache does not pay for longer texts, and a text of this length is never cut before the scan."""
_END: Final = "\0"
"""A terminator behind the text, which only the last piece can contain."""

_COMPARING: Final = r"(?i:NOT|LIKE|ILIKE|RLIKE|REGEXP|GLOB|IS|IN|BETWEEN|SIMILAR|SOUNDS)\b"
_WORD: Final = r"[\w.$#@]"
# Signs distinguish ``1=1`` from ``7=7``: 0, 1 and 2 are omitted only if nothing compares them.
_SMALL: Final = rf"(?![0-2](?![0-9.])(?![\x01-\x20\x7f]*+(?:[,);]|\x00\Z|(?!{_COMPARING})[A-Za-z_])))"
_DIGITS: Final = r"[0-9]++(?:\.[0-9]++)?+"
_NUMBER: Final = rf"(?<!['\"]){_SMALL}{_DIGITS}(?!{_WORD})"
_PLAIN: Final = "[^']*+(?:''[^']*+)*+'"
_UNESCAPED: Final = r"[^'\\]*+(?:''[^'\\]*+)*+'"
# ``N'…'`` equals ``'…'``; after another letter the quote may open an escaped, hexadecimal or ``q'[`` string.
_BEFORE: Final = {"'": "(?<![A-MO-Za-mo-z0-9_$&#@])", '"': ""}
_RUN: Final = r"A-Za-z_\x01-\x20\x7f(),.;=<>+*!~^&|{}?:@\]"
_KEPT: Final = (
    r"(?<=[A-Za-z0-9_$.:?@#])[0-9]++",  # the digits of a word or a parameter
    rf"[01] ?= ?[01](?!{_WORD})",  # what query builders write for "always" and "never"
    rf"{_DIGITS}(?={_WORD})",
    r"-(?!-)",
    r"/(?!\*)",
    r"%(?!\()",
    r"%\([A-Za-z0-9_]++\)s",
    r"\$[0-9]++",
)
_DOUBLE: Final = r'"[^"\0]*+"'
_BACKTICK: Final = r"`[^`\0]*+`"
_OWN: Final = {  # further characters of a dialect's runs, and its quoted names
    "postgresql": (r"\[#", (_DOUBLE,)),
    "mysql": (r"\[", (_BACKTICK,)),
    "sqlite": ("#", (_DOUBLE, _BACKTICK, r"\[[^\]\0]*+\]")),
    "mssql": ("#", (_DOUBLE, r"\[[^\]\0]*+(?:\]\][^\]\0]*+)*+\]")),
    "other": (r"\[#", (_DOUBLE, _BACKTICK)),
}


@cache
def _pattern(dialect: str) -> re.Pattern[str]:
    run, names = _OWN[dialect]
    quoted = {"'": _UNESCAPED, '"': _UNESCAPED.replace("'", '"')} if dialect == "mysql" else {"'": _PLAIN}
    opened = "|".join(f"{_BEFORE[quote]}{quote}(?={body})" for quote, body in quoted.items())
    closed = "|".join(f"(?<={quote}){body}" for quote, body in quoted.items())
    kept = "|".join((f"[{_RUN}{run}]++", *_KEPT, *names))
    return re.compile(f"((?:{kept})*+(?:{opened}|(?={_NUMBER})|.*+))(?:{closed}|{_DIGITS}|)", re.DOTALL)


def split_pieces(text: str, dialect: str) -> list[str]:
    """Return the parts before, between and after the omitted literals. Linear.

    >>> split_pieces("SELECT a FROM t WHERE b = 'ann' LIMIT 70", "sqlite")
    ["SELECT a FROM t WHERE b = '", ' LIMIT ', '\\x00', '']
    """
    return _pattern(dialect).findall(text + _END)


def join_pieces(found: list[str], dialect: str) -> str:
    """Return a statement with these pieces and placeholder literals.

    >>> join_pieces(["SELECT a FROM t WHERE b = '", ' LIMIT ', '\\x00', ''], "sqlite")
    "SELECT a FROM t WHERE b = '' LIMIT 9"
    """
    strings = ("'", '"') if dialect == "mysql" else ("'",)
    filled = [piece + (piece[-1] if piece.endswith(strings) else "9") for piece in found[:-2]]
    return "".join(filled) + found[-2][:-1]
