"""Tokens of a statement, by regular expressions for each dialect: for sanitised text, and to compare structures."""

import re
from typing import NamedTuple

from bench.campaigns.dialect import Name

_NUMBER = r"(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
_WORD = r"(?P<word>[^\W\d][\w$]*)"
_BLOCK = r"/\*.*?(?:\*/|\Z)"
_DIALECTS = {
    "postgres": (
        rf"(?P<comment>--[^\n]*|{_BLOCK})",
        r"(?P<string>(?:[eE]'(?:[^'\\]|\\.|'')*'|(?:[bBnNxX]|[uU]&)?'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$))",
        r'(?P<name>"(?:[^"]|"")*")',
    ),
    "mysql": (
        r"(?P<comment>--(?=\s|\Z)[^\n]*|\#[^\n]*|/\*(?!M?!).*?(?:\*/|\Z))",
        r"""(?P<string>(?:[bBnNxX])?'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")""",
        r"(?P<name>`[^`]*`)",
    ),
    "sqlite": (
        rf"(?P<comment>--[^\n]*|{_BLOCK})",
        r"(?P<string>[xX]?'(?:[^']|'')*')",
        r'(?P<name>"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\])',
    ),
}
_LEXERS = {
    dialect: re.compile(
        rf"(?P<space>\s+)|{comment}|{string}|{name}|(?P<mark>%s|\?|\$\d+)|{_NUMBER}|{_WORD}|(?P<other>.)",
        re.DOTALL,
    )
    for dialect, (comment, string, name) in _DIALECTS.items()
}
_BEFORE_SIGN = [[token] for token in ("(", ",", "=", "<", ">", "AND", "LIMIT", "OFFSET")]
_LIST = re.compile(r"(\bIN\s*\()\s*\?(?:\s*,\s*\?)+\s*\)", re.IGNORECASE)


class Token(NamedTuple):
    """A token: its kind (space, comment, string, name, mark, number, word, other) and its text."""

    kind: str
    text: str


def tokens(text: str, dialect: Name) -> list[Token]:
    """Return all tokens, white space and comments too."""
    found = _LEXERS[dialect].finditer(text)
    return [Token("string" if match.lastgroup == "tag" else str(match.lastgroup), match[0]) for match in found]


def sanitise(text: str, dialect: Name) -> str:
    """Return the text with ``?`` for each literal, and lists of them collapsed, as instrumentation sanitises it."""
    parts = ("?" if token.kind in {"string", "number"} else token.text for token in tokens(text, dialect))
    return _LIST.sub(r"\1?)", "".join(parts))


def structure(text: str, dialect: Name) -> tuple[str, ...]:
    """Return what is left of a statement without its values: equal structures differ in literals only."""
    found: list[str] = []
    for token in tokens(text, dialect):
        if token.kind == "space":
            continue
        if token.kind in {"string", "number"}:
            if found[-1:] == ["-"] and found[-2:-1] in _BEFORE_SIGN:
                found.pop()  # the sign of a number
            found.append("?")
        else:
            found.append("comment" if token.kind == "comment" else token.text.upper())
        if found[-3:] == ["?", ",", "?"] and _in_list(found):
            del found[-2:]
    return tuple(found)


def _in_list(found: list[str]) -> bool:
    return found[-5:-3] == ["IN", "("]
