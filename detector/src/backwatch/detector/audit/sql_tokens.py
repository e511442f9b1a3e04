"""Tokens of a redacted SQL text: names with their quoting undone, words, and punctuation. Linear, and never fails."""

import re
from dataclasses import dataclass
from typing import Final, Literal

MAX_TOKENS: Final = 20_000
MAX_DEPTH: Final = 100
"""Parentheses within parentheses that are distinguished."""
CUT: Final = "…"
"""The mark of the collector where a text was cut."""

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*|/\*(?!!).*?(?:\*/|\Z))
    | (?P<string>[EeNnBbXx]?'(?:[^']|'')*(?:'|\Z))
    | (?P<quoted>"(?:[^"]|"")*(?:"|\Z)|`(?:[^`]|``)*(?:`|\Z))
    | (?P<parameter>\?|\$\d+|%\(\w+\)s|%s|:\w+|@\w+)
    | (?P<number>\d[\w.]*)
    | (?P<word>[^\W\d][\w$\#]*)
    | (?P<mark>::|<=|>=|<>|!=|:=|\|\||.)
    """,
    re.VERBOSE | re.DOTALL,
)

Kind = Literal["string", "quoted", "parameter", "number", "word", "mark"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        text: A name without its quotes; a word as it was written; a mark.
        word: A word in upper case; empty for everything else, so that a quoted name is never a keyword.
    """

    kind: Kind
    text: str
    word: str = ""

    @property
    def is_name(self) -> bool:
        """Whether it may name an object."""
        return self.kind in ("word", "quoted")


def tokenize(text: str, *, mysql: bool) -> list[Token]:
    r"""Return the tokens of ``text``, at most ``MAX_TOKENS``.

    >>> [token.text for token in tokenize('SELECT "a""b".c FROM t -- x', mysql=False)]
    ['SELECT', 'a"b', '.', 'c', 'FROM', 't']
    """
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind, raw = match.lastgroup, match[0]
        if kind == "space":
            continue
        if len(found) >= MAX_TOKENS:
            found.append(Token("mark", CUT))
            break
        if kind == "quoted":
            quote = raw[0]
            inner = raw[1:-1] if len(raw) > 1 and raw.endswith(quote) else raw[1:]
            if quote == '"' and mysql:
                found.append(Token("string", inner))
            else:
                found.append(Token("quoted", inner.replace(quote * 2, quote)))
        elif kind == "word":
            found.append(Token("word", raw, raw.upper()))
        else:
            found.append(Token(kind, raw))  # pyright: ignore[reportArgumentType]  a group of the expression
    return found


Items = list["Token | Group"]


@dataclass(frozen=True, slots=True)
class Group:
    """What stands between two parentheses."""

    items: Items

    @property
    def word(self) -> str:
        """The first word, if a query begins with it."""
        return self.items[0].word if self.items else ""


def group(tokens: list[Token]) -> list[Items]:
    """Return the statements between semicolons, with parentheses as groups. A missing parenthesis is supplied.

    >>> [len(statement) for statement in group(tokenize("SELECT (a, (b)); SELECT c)", mysql=False))]
    [2, 2]
    """
    statements: list[Items] = [[]]
    stack: list[Items] = []
    current = statements[0]
    for token in tokens:
        mark = token.text if token.kind == "mark" else ""
        if mark == "(" and len(stack) < MAX_DEPTH:
            inner: Items = []
            current.append(Group(inner))
            stack.append(current)
            current = inner
        elif mark == ")":
            current = stack.pop() if stack else current
        elif mark == ";" and not stack:
            current = []
            statements.append(current)
        elif mark != "(":
            current.append(token)
    return [statement for statement in statements if statement]
