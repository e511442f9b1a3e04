"""The rules that make a statement's tokens its canonical or redacted text; the detector's ``calls/writing.py`` follows.

Literals become ``?``; lists of literals after IN, VALUES and the like become one, rows that
repeat are dropped; a sign before a number goes with it. In statements about accounts what follows PASSWORD, IDENTIFIED
and similar words is always cut, because it may be an unquoted secret; so are the words that ``SET`` assigns to a
setting, and ``EXECUTE`` to a plan. A double-quoted text in the place of a value is written ``"?"``: hidden, and yet not
the same as a string, for it may be a column (``WHERE id = "id"``). With a blank in it that is so wherever no name is
due, unless double quotes can only hold names.
"""

import re
from typing import Final

from backwatch.collector.statements import spec
from backwatch.collector.statements.spec import (
    C_COMMA,
    C_DOT,
    C_LEFT,
    C_LEFT_SQUARE,
    C_OP,
    C_QUOTED,
    C_RIGHT,
    C_RIGHT_SQUARE,
    C_SEMICOLON,
    C_VALUE,
    C_WORD,
)
from backwatch.collector.statements.tokens import Token, letters

_UPPER: Final = {code: code - 32 for code in range(97, 123)}
_BEFORE_SIGN: Final = {C_OP, C_LEFT, C_COMMA, C_SEMICOLON, C_LEFT_SQUARE}
_BEFORE_VALUE: Final = frozenset("=<>|")
_SIGNS: Final = ("-", "+")
_SPACED_WORD: Final = tuple(row[C_WORD] for row in spec.SPACED)
_HIDDEN: Final = 1
"""``aux`` of a ``C_QUOTED`` that is ``"?"`` and counts as a value in lists."""
_DOTTED: Final = {name: re.compile(f"[{letters(d)[0]}]*+\\.(?![0-9])") for name, d in spec.DIALECTS.items()}
_CALLED: Final = {name: re.compile(rf"[{letters(d)[0]}]*+\(") for name, d in spec.DIALECTS.items()}
_ASSIGNED: Final = {name: re.compile(f"[{letters(d)[0]}]*+=") for name, d in spec.DIALECTS.items()}
_VALUE_STATES: Final = (spec.SET_VALUE, spec.RUN_VALUES)
_ODD: Final = re.compile("[" + "".join(re.escape(chr(code)) for code in sorted(spec.ODD_IN_NAME - {34})) + "]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def to_upper(word: str) -> str:
    """Upper-case ASCII letters only: databases fold these, and the number of bytes stays the same."""
    return word.upper() if word.isascii() else word.translate(_UPPER)


def _unwritable(token: str) -> bool:
    """Return whether a name is always hidden."""
    long = len(token) > spec.TOKEN_BYTES // 4 and len(token.encode()) > spec.TOKEN_BYTES
    return long or _CONTROL.search(token) is not None


class Writer:
    """A writer of tokens; it keeps each with its class and the state that the rules need (``aux``).

    ``aux`` is the meanings of a word, the character of an operator, or ``_HIDDEN``.
    """

    __slots__ = (
        "_admin", "_cut", "_cut_depth", "_dialect", "_first", "_keyed", "_over", "_row", "_stack", "_text",
        "aux", "classes", "out",
    )  # fmt: skip

    def __init__(self, text: str, dialect: str) -> None:
        self.out: list[str] = []
        self.classes: list[int] = []
        self.aux: list[int | str] = []
        self._text, self._dialect = text, dialect
        self._stack: list[tuple[int, bool]] = []  # index of each open bracket, and whether it contains a list
        self._over = 0  # open brackets beyond the maximum nesting
        self._row: tuple[int, int] = (-1, -1)  # the last closed list
        self._admin = self._keyed = False
        self._first = True  # no word yet in this statement
        self._cut = 0  # one of ``spec.CUT_BOUNDED`` to ``ALTERED``
        self._cut_depth = 0  # open brackets in the hidden part, or names before it

    def write(self, found: list[Token]) -> None:
        """Write all of ``found``, tokens of this writer's text."""
        text, out, classes, aux = self._text, self.out, self.classes, self.aux
        for kind, start, end in found:
            if kind == spec.COMMENT:
                continue
            token = text[start:end]
            if self._cut:
                if not self._still_cut(kind, token, end):
                    self._write(kind, token, end)
            elif kind == spec.WORD and end - start < 64 and to_upper(token) not in spec.KEYWORDS:
                out.append(" " + token if _SPACED_WORD[classes[-1] if classes else C_LEFT] else token)
                classes.append(C_WORD)
                aux.append(0)
                self._first = False
            elif kind == spec.OP and token == ",":  # noqa: S105  a token of SQL
                out.append(token)
                classes.append(C_COMMA)
                aux.append(token)
            else:
                self._write(kind, token, end)

    def _write(self, kind: int, token: str, end: int) -> None:
        if kind == spec.WORD:
            self._word(token)
        elif kind == spec.OP:
            self._operator(token)
        elif kind == spec.QUOTED:
            self._write_quoted(token, end)
        elif kind == spec.CURLY:
            self._add(token[0] + "?" + token[-1], C_QUOTED, 2)
        elif kind == spec.EXEC_OPEN:
            self._add("/*!", C_OP, "/*!")
        elif kind == spec.EXEC_CLOSE:
            self._add("*/", C_OP, "*/")
        else:
            self._value()

    def _add(self, token: str, kind: int, aux: int | str) -> None:
        if self.out:
            before = self.classes[-1]
            if spec.SPACED[before][kind] and not (kind == C_OP == before and f"{self.aux[-1]}{aux}" in spec.GLUED):
                token = " " + token
        self.out.append(token)
        self.classes.append(kind)
        self.aux.append(aux)

    def _drop(self, start: int) -> None:
        del self.out[start:], self.classes[start:], self.aux[start:]

    def _meanings(self, back: int = 1) -> int:
        """Return the meanings of the word ``back`` tokens before; 0 if it is no word."""
        if len(self.out) < back or self.classes[-back] != C_WORD:
            return 0
        aux = self.aux[-back]
        return aux if isinstance(aux, int) else 0

    def _value(self) -> None:
        classes = self.classes
        while classes and classes[-1] == C_OP and self.aux[-1] in _SIGNS:
            if len(classes) > 1 and classes[-2] not in _BEFORE_SIGN and not self._meanings(2) & spec.SIGNED:
                break
            self._drop(len(classes) - 1)
        self._first = False
        self._add("?", C_VALUE, 0)

    def _word(self, word: str) -> None:
        if len(word) > spec.TOKEN_BYTES // 4 and len(word.encode()) > spec.TOKEN_BYTES:
            return self._value()
        flags = spec.KEYWORDS.get(to_upper(word), 0)
        first, self._first = self._first, False
        self._add(word, C_WORD, flags)
        if not flags:
            return None
        if flags & spec.RESET:
            self._admin = self._keyed = False
            self._stack.clear()
            self._row, self._over = (-1, -1), 0
            return None
        if flags & spec.SETS and (first or self._cut == spec.ALTERED):
            self._cut, self._cut_depth = spec.SET_NAME, 0
        elif first and flags & (spec.RUNS | spec.ALTERS):
            self._cut, self._cut_depth = spec.RUN_NAME if flags & spec.RUNS else spec.ALTERED, 0
        if flags & spec.ADMIN or (first and flags & spec.ADMIN_FIRST):
            self._admin = True
            self._keyed = self._keyed or bool(flags & spec.KEYED)
        if self._admin:
            if flags & spec.SECRET_REST and (first or not flags & spec.ADMIN_FIRST):
                self._cut = spec.CUT_WHOLE
            elif flags & spec.SECRET or (self._keyed and flags & spec.SECRET_KEY):
                self._cut, self._cut_depth = spec.CUT_BOUNDED, 0
        return None

    def _still_cut(self, kind: int, word: str, end: int) -> bool:
        """Return whether this token is hidden; the first hidden one leaves a ``?``."""
        if self._cut > spec.CUT_WHOLE:
            if self._cut in _VALUE_STATES:
                return self._hides_token(kind, word, end)
            self._wait(kind, word)
            return False
        bounded = self._cut == spec.CUT_BOUNDED
        if kind == spec.OP:
            if word == ";" or (bounded and not self._cut_depth and word in (",", ")")):
                self._cut = 0
                return False
            self._cut_depth += (word == "(") - (word == ")")
        elif kind == spec.WORD and len(word) < 16:
            flags = spec.KEYWORDS.get(to_upper(word), 0)
            if flags & spec.RESET or (bounded and not self._cut_depth and flags & spec.BOUNDARY):
                self._cut = 0
                return False
        if self.classes[-1] != C_VALUE:
            self._add("?", C_VALUE, 0)
        return True

    def _wait(self, kind: int, token: str) -> None:
        """Return whether this token still precedes a setting's value or the arguments of an executed procedure."""
        cut = self._cut
        if kind == spec.WORD and spec.KEYWORDS.get(to_upper(token), 0) & (spec.RESET | spec.VERB):
            self._cut = 0
        elif cut == spec.ALTERED:
            if kind == spec.OP and token == ";":  # noqa: S105
                self._cut = 0
        elif kind in (spec.WORD, spec.QUOTED):
            assigned = kind == spec.WORD and spec.KEYWORDS.get(to_upper(token), 0) & spec.ASSIGNS
            if cut == spec.SET_NAME and assigned and self._cut_depth:
                self._cut = spec.SET_VALUE
                return
            self._cut_depth += self.classes[-1] != C_DOT
            if self._cut_depth > spec.SETTING_NAMES or _unwritable(token):
                self._cut = 0
        elif kind == spec.OP and self._cut_depth:
            if token == "=" and cut == spec.SET_NAME:  # noqa: S105
                self._cut = spec.SET_VALUE
            elif token == "(" and cut == spec.RUN_NAME:  # noqa: S105
                self._cut, self._cut_depth = spec.RUN_VALUES, 1
            elif token not in (".", ":"):
                self._cut = 0
        elif kind not in (spec.EXEC_OPEN, spec.EXEC_CLOSE):
            self._cut = 0

    def _hides_token(self, kind: int, token: str, end: int) -> bool:
        """Return whether this token was written as part of a value: words and names are hidden, except functions."""
        if kind == spec.OP:
            if token == ";":  # noqa: S105
                self._cut = 0
            elif self._cut == spec.RUN_VALUES:
                self._cut_depth += (token == "(") - (token == ")")  # noqa: S105
                if not self._cut_depth:
                    self._cut = 0
            return False
        if kind == spec.QUOTED:
            if token[0] == '"':
                self._add('"?"', C_QUOTED, _HIDDEN)
            else:
                self._value()
            return True
        if kind != spec.WORD:
            return False
        flags = spec.KEYWORDS.get(to_upper(token), 0)
        if flags & (spec.RESET | spec.VERB):
            self._cut = 0
            return False
        if flags & (spec.LITERAL | spec.FIXED) or self._names_something(token, end):
            self._add(token, C_WORD, flags)
        elif self.classes[-1] != C_VALUE:
            self._value()
        return True

    def _names_something(self, word: str, end: int) -> bool:
        """Return whether a word among values is a function or the next setting."""
        if _unwritable(word):
            return False
        if _CALLED[self._dialect].match(self._text, end):
            return True
        before = self.classes[-1]
        # Without a blank it may be the end of a key in base64.
        due = before == C_COMMA or (before == C_VALUE and self._text[end - len(word) - 1] == " ")
        return due and _ASSIGNED[self._dialect].match(self._text, end) is not None

    def _write_quoted(self, token: str, end: int) -> None:
        if _unwritable(token):
            return self._value()
        self._first = False
        if token[0] == '"' and self._is_hidden(token) and not self._has_dot_after(token, end):
            return self._add('"?"', C_QUOTED, _HIDDEN)
        return self._add(token, C_QUOTED, 0)

    def _is_hidden(self, token: str) -> bool:
        if _ODD.search(token) or self._value_is_due():
            return True
        if " " not in token or self._dialect not in spec.DOUBTFUL:
            return False
        return not (self.out and (self.classes[-1] == C_DOT or self._meanings() & spec.NAME_AFTER))

    def _has_dot_after(self, token: str, end: int) -> bool:
        return not _ODD.search(token) and _DOTTED[self._dialect].match(self._text, end) is not None

    def _value_is_due(self) -> bool:
        if not self.out:
            return False
        before, aux = self.classes[-1], self.aux[-1]
        if before == C_OP:
            return aux in _BEFORE_VALUE
        if before == C_WORD:
            return bool(self._meanings() & spec.VALUE_AFTER)
        if before not in (C_LEFT, C_COMMA, C_LEFT_SQUARE) or not self._stack or self._over or not self._stack[-1][1]:
            return False
        return before != C_COMMA or self._is_value(len(self.out) - 2) or self.classes[-2] == C_RIGHT

    def _is_value(self, at: int) -> bool:
        kind, aux = self.classes[at], self.aux[at]
        return (
            kind == C_VALUE
            or (kind == C_QUOTED and aux == _HIDDEN)
            or (kind == C_WORD and isinstance(aux, int) and bool(aux & spec.LITERAL))
        )

    def _operator(self, op: str) -> None:
        kind = spec.C_CAST if op == "::" else spec.CLASS_OF_OP.get(op, C_OP)
        if kind in (C_LEFT, C_LEFT_SQUARE):
            listed = self._opens_a_list(kind)
            self._add(op, kind, 0)
            if len(self._stack) >= spec.NESTING:
                self._over += 1
            else:
                self._stack.append((len(self.out) - 1, listed))
            return
        if kind == C_SEMICOLON:
            self._admin = self._keyed = False
            self._first = True
        elif kind == C_OP:
            self._first = False
        if kind in (C_RIGHT, C_RIGHT_SQUARE):
            self._close(op, kind)
        else:
            self._add(op, kind, op)

    def _opens_a_list(self, kind: int) -> bool:
        if not self.out or self._over:
            return False
        if kind == C_LEFT_SQUARE:
            return bool(self._meanings() & spec.ARRAY)
        before, last = self.classes[-1], len(self.out) - 1
        if before == C_COMMA:
            return self._row[1] == last - 1 > 0
        in_list = bool(self._stack) and self._stack[-1] == (last, True)
        return (before == C_LEFT and in_list) or bool(self._meanings() & spec.LIST)

    def _close(self, op: str, kind: int) -> None:
        opener = C_LEFT if kind == C_RIGHT else C_LEFT_SQUARE
        if self._over:
            self._over -= 1
            return self._add(op, kind, 0)
        if not self._stack or self.classes[self._stack[-1][0]] != opener:
            return self._add(op, kind, 0)
        start, listed = self._stack.pop()
        if not listed:
            return self._add(op, kind, 0)
        inside = range(start + 1, len(self.out))
        if self._lists_values(inside):
            hidden = any(self.classes[at] == C_QUOTED for at in inside)
            self._drop(start + 1)
            self._add('"?"' if hidden else "?", C_QUOTED if hidden else C_VALUE, _HIDDEN if hidden else 0)
        self._add(op, kind, 0)
        first, last = self._row
        if start >= 2 and self.classes[start - 1] == C_COMMA and last == start - 2 and self._same(first, last, start):
            self._drop(start - 1)
        else:
            self._row = (start, len(self.out) - 1)
        return None

    def _lists_values(self, inside: range) -> bool:
        """Return whether a bracket holds values with one comma between each two: others are no list to a database."""
        return len(inside) % 2 == 1 and all(
            self.classes[at] == C_COMMA if (at - inside.start) % 2 else self._is_value(at) for at in inside
        )

    def _same(self, first: int, last: int, start: int) -> bool:
        """Return whether the list written from ``start`` on repeats the one from ``first`` to ``last``."""
        if last - first != len(self.out) - 1 - start:
            return False
        return all(
            self.classes[first + at] == self.classes[start + at]
            and self._fold_word(first + at) == self._fold_word(start + at)
            for at in range(1, last - first)
        )

    def _fold_word(self, at: int) -> str:
        return to_upper(self.out[at]) if self.classes[at] == C_WORD else self.out[at]

    def text(self, *, folded: bool) -> tuple[str, bool]:
        """Return the written text, in upper case if ``folded``, and whether its middle was cut."""
        parts = [self._fold_word(at) for at in range(len(self.out))] if folded else self.out
        whole = "".join(parts)
        if len(whole) <= spec.SENT_BYTES // 4 or len(whole.encode()) <= spec.SENT_BYTES:
            return whole, False
        sizes = [len(part.encode()) for part in parts]
        head = taken = 0
        while taken + sizes[head] <= spec.SENT_HEAD_BYTES:
            taken += sizes[head]
            head += 1
        tail, taken = len(parts), 0
        while taken + sizes[tail - 1] <= spec.SENT_TAIL_BYTES:
            tail -= 1
            taken += sizes[tail]
        before = " " if spec.SPACED[self.classes[head - 1]][C_WORD] else ""
        after = " " if spec.SPACED[C_WORD][self.classes[tail]] else ""
        rest = "".join(parts[tail:]).lstrip(" ")
        return f"{''.join(parts[:head])}{before}{spec.MARK}{after}{rest}", True
