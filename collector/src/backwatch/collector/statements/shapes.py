"""The shape of a statement: its tokens without comments, as the sign rules read them."""

from collections.abc import Sequence
from typing import Final

from backwatch.collector.statements import spec
from backwatch.collector.statements.tokens import Token
from backwatch.collector.statements.writer import to_upper

LITERAL_WORDS: Final = frozenset({"NULL", "TRUE", "FALSE"})
_PREFIX: Final = frozenset("(-+~!") | {"NOT", "BINARY"}
_ARITHMETIC: Final = frozenset("+-*/%^&|") | {"DIV", "MOD", "XOR"}
_COMPARING: Final = frozenset("=<>!~")
_COMPARING_WORDS: Final = frozenset(
    {"LIKE", "ILIKE", "RLIKE", "REGEXP", "GLOB", "IS", "IN", "BETWEEN", "SIMILAR", "SOUNDS"}
)
_SIGN_OF_KIND: Final = {
    spec.EXEC_OPEN: "/*!",
    spec.STRING: "'",
    spec.UNENDED: "'",
    spec.CURLY: "'",
    spec.NUMBER: "0",
    spec.PARAM: "?",
    spec.QUOTED: '"',
}
LITERALS: Final = frozenset({"'", "0"}) | LITERAL_WORDS


class Shape:
    """The tokens of one text, with comments separated.

    Attributes:
        words: Upper-case words, unchanged operators, ``'`` for a string, ``0`` for a number, ``?`` for a parameter,
            ``"`` for a quoted name; empty texts at the end.
        tokens: The tokens behind ``words``.
        comments: Each comment with the number of the word that follows it.
        verb: Index of the first word.
    """

    __slots__ = ("_ends", "comments", "dialect", "text", "tokens", "verb", "words")

    def __init__(self, text: str, dialect: str, tokens: Sequence[Token]) -> None:
        self.text, self.dialect = text, dialect
        self.tokens: list[Token] = []
        self.words: list[str] = []
        self.comments: list[tuple[int, Token]] = []
        self._ends: dict[int, int] = {}  # cached ends of literals
        words, kept = self.words, self.tokens
        for token in tokens:
            kind, start, end = token
            if kind == spec.WORD:
                words.append(to_upper(text[start:end]))
            elif kind == spec.COMMENT:
                self.comments.append((len(words), token))
                continue
            else:
                words.append(_SIGN_OF_KIND.get(kind) or text[start:end])
            kept.append(token)
        words += [""] * 8
        self.verb = 0
        while words[self.verb] in ("(", "/*!"):
            self.verb += 1

    def raw(self, at: int) -> str:
        """Return the text of the token at ``at``."""
        _, start, end = self.tokens[at]
        return self.text[start:end]

    def literal(self, at: int) -> int:
        """Return the end of the operand of literals that starts at ``at``; 0: there is none."""
        known = self._ends.get(at)
        if known is not None:
            return known
        words, opened = self.words, 0
        while words[at] in _PREFIX:
            opened += words[at] == "("
            at += 1
        if words[at] not in LITERALS:
            return 0
        # A caller may ask for each part of a long sum, and all end at the same place: they are read only once.
        parts = None if opened else [at]
        at += 1
        while True:
            while opened and words[at] == ")":
                opened -= 1
                at += 1
            after = at + 1
            if words[at] not in _ARITHMETIC:
                break
            while words[after] in "+-~!|&" and words[after]:
                after += 1
            if words[after] not in LITERALS:
                break
            if parts is not None:
                parts.append(after)
            at = after + 1
        if parts is not None:
            self._ends.update(dict.fromkeys(parts, at))
        return at

    def find_comparison(self, at: int) -> int:
        """Return the end of the comparison operator that starts at ``at``; 0: there is none."""
        words, start = self.words, at
        while words[at] in _COMPARING and at - start < 3:
            at += 1
        if at == start:
            at += words[at] == "NOT"
            if words[at] not in _COMPARING_WORDS:
                return 0
            at += 1
            at += words[at] == "NOT"
        return at

    def path(self, at: int) -> int:
        """Return the end of the (qualified) name that starts at ``at``; 0: there is none, or it is a call."""
        words = self.words
        while True:
            kind = self.tokens[at][0] if at < len(self.tokens) else spec.END
            if kind not in (spec.WORD, spec.QUOTED) or words[at] in LITERALS:
                return 0
            if words[at + 1] != ".":
                return 0 if words[at + 1] == "(" else at + 1
            at += 2
