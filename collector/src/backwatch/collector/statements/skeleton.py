"""What a statement shares with those that differ from it only in plain literals, at the speed of one ``findall``.

An app that writes values into its statements makes a new text with each call, but few skeletons. Only what certainly
is a literal in the dialect, and of which no sign asks more than that it is one, is left out: plain strings and plain
decimal numbers. Whatever else a text holds belongs to its skeleton as it stands, and from the first character that
could open something else (a comment, ``$tag$``, a backslash …) all the rest does. So in doubt two texts have two
skeletons, never one; ``scan(join_pieces(split_pieces(text)))`` is ``scan(text)``.
"""

import re
from functools import cache
from typing import Final

LONGEST: Final = 8_192
"""Characters; a longer text is not worth it, and none so short is cut before it is scanned."""
_END: Final = "\0"
"""Behind the text: it ends the last piece, and no other piece can hold it."""

_COMPARING: Final = r"(?i:NOT|LIKE|ILIKE|RLIKE|REGEXP|GLOB|IS|IN|BETWEEN|SIMILAR|SOUNDS)\b"
_WORD: Final = r"[\w.$#@]"
# Signs tell ``1=1`` from ``7=7``: 0, 1 and 2 are left out only where nothing compares them.
_SMALL: Final = rf"(?![0-2](?![0-9.])(?![\x01-\x20\x7f]*+(?:[,);]|\x00\Z|(?!{_COMPARING})[A-Za-z_])))"
_DIGITS: Final = r"[0-9]++(?:\.[0-9]++)?+"
_NUMBER: Final = rf"(?<!['\"]){_SMALL}{_DIGITS}(?!{_WORD})"
_PLAIN: Final = "[^']*+(?:''[^']*+)*+'"
_UNESCAPED: Final = r"[^'\\]*+(?:''[^'\\]*+)*+'"
# ``N'…'`` is as good as ``'…'``; after another letter the quote may be an escaped, hexadecimal or ``q'[`` string's.
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
_OWN: Final = {  # what a dialect's runs may hold besides, and its quoted names
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
    """What stands before, between and after the literals that are left out. Linear.

    >>> split_pieces("SELECT a FROM t WHERE b = 'ann' LIMIT 70", "sqlite")
    ["SELECT a FROM t WHERE b = '", ' LIMIT ', '\\x00', '']
    """
    return _pattern(dialect).findall(text + _END)


def join_pieces(found: list[str], dialect: str) -> str:
    """A statement with these pieces; it has none of the literals of the one that they were found in.

    >>> join_pieces(["SELECT a FROM t WHERE b = '", ' LIMIT ', '\\x00', ''], "sqlite")
    "SELECT a FROM t WHERE b = '' LIMIT 9"
    """
    strings = ("'", '"') if dialect == "mysql" else ("'",)
    filled = [piece + (piece[-1] if piece.endswith(strings) else "9") for piece in found[:-2]]
    return "".join(filled) + found[-2][:-1]
