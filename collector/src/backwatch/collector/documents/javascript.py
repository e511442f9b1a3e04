"""Signs of JavaScript in a filter: ``$where``, ``$function``, and fragments of it.

An app's own code compares fields with values. Injected code has to leave a string, so that values stand side by side;
compares constants, appends statements, hides a rest in a comment, or waits.
"""

import re
from collections.abc import Sequence
from typing import Final

from backwatch.collector.documents.fields import CREDENTIAL, classify_field

MAX_CODE: Final = 8_192
MAX_TOKENS: Final = 2_048

_TOKEN: Final = re.compile(
    r"""(?P<space>\s++)
    | (?P<comment>//[^\n]*+ | /\*(?:[^*]|\*(?!/))*+(?:\*/)?+)
    | (?P<string>"(?:[^"\\\n]|\\.)*+" | '(?:[^'\\\n]|\\.)*+' | `(?:[^`\\]|\\.)*+`)
    | (?P<open>["'`])
    | (?P<number>[0-9][\w.]*+)
    | (?P<name>[A-Za-z_$][\w$]*+)
    | (?P<operator>===|!==|==|!=|>=|<=|=>|&&|\|\||\+\+|--|.)""",
    re.VERBOSE | re.DOTALL,
)
_PATTERN: Final = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*+\])++/[a-z]{0,6}")
_COMPARISONS: Final = frozenset(("==", "===", "!=", "!==", ">", "<", ">=", "<="))
_BOUNDARIES: Final = frozenset(("", "||", "&&", "(", ")", ";", "return", "!", "{", "}", ",", "?", "line"))
_KEYWORDS: Final = frozenset((
    "return", "in", "of", "typeof", "new", "var", "let", "const", "function", "else", "case", "do", "instanceof",
    "void", "delete", "throw", "if", "for", "while", "async", "await", "try", "finally", "default", "yield", "class",
))  # fmt: skip
_BODIES: Final = frozenset(
    ("function", "var", "let", "const", "if", "for", "return", "{", "(", "async", "try", "switch")
)
"""First words of code of several statements, as programmers write it."""
_CALLS: Final = {
    "sleep": "time-delay", "emit": "program", "load": "program", "run": "program", "runProgram": "program",
    "require": "program", "eval": "program", "mapReduce": "program", "tojson": "conditional",
    "listFiles": "file-access", "cat": "file-access", "hostname": "version-probe", "version": "version-probe",
}  # fmt: skip
_PROBES: Final = frozenset((
    "match", "test", "startsWith", "charAt", "charCodeAt", "substring", "substr", "slice", "indexOf", "length",
    "search",
))  # fmt: skip
_CONSTANTS: Final = frozenset(("true", "false", "null", "undefined", "NaN"))

Part = tuple[str, str]
"""Kind and text of a token."""


def signs_of_code(code: str, *, fragment: bool = False) -> set[str]:
    r"""Return the signs of an expression or function.

    Args:
        fragment: The code may begin within a string or in the middle of an expression.

    >>> sorted(signs_of_code("this.owner == 'ann' && this.total > 3")), sorted(signs_of_code("this.a == this.b;"))
    ([], [])
    >>> sorted(signs_of_code("this.owner == '' || '1'=='1'")), sorted(signs_of_code("this.owner == 'x';sleep(5000);''"))
    (['tautology'], ['stacked', 'time-delay'])
    >>> sorted(signs_of_code("this.owner == '' && this.password.match(/.*/)//'"))
    ['comment-tail', 'conditional']
    >>> sorted(signs_of_code("function() { if (this.a > 1) { return true; } return this.b == 2; }"))
    []
    """
    if fragment:
        code = code.lstrip().removeprefix("'").removeprefix('"')
    parts, found = _read(code[:MAX_CODE])
    if fragment:
        found.discard("unbalanced-quote")
    words = [text if kind in ("name", "operator") else kind for kind, text in parts]
    body = bool(words) and words[0] in _BODIES
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in _CALLS and following == "(" and (word != "version" or words[at - 1 : at] == ["."]):
            found.add(_CALLS[word])
        elif (word in _COMPARISONS and _is_constant_comparison(parts, words, at)) or (
            word == "||" and _is_constant_alternative(parts, words, at)
        ):
            found.add("tautology")
        elif word == "constructor" and following in (".", "[", "("):
            found.add("program")
        elif word in ("while", "do") and "Date" in words:
            found.add("time-delay")
        elif word == ";" and not body and (at or fragment) and following not in ("", "}"):
            found.add("stacked")
            if following == "return" and words[at + 2 : at + 3] in (["true"], ["("], ["number"]):
                found.add("tautology")
        elif (word in _PROBES and words[at - 1 : at] == ["."] and _is_secret(words[max(at - 3, 0) : at - 1])) or (
            word == "Object" and words[at + 1 : at + 3] == [".", "keys"]
        ):
            found.add("conditional")
        if not fragment and at and _are_adjacent(parts[at - 1], parts[at], words[at - 1], word):
            found.add("unbalanced-quote")
    if not fragment and len(code) <= MAX_CODE and not _are_balanced(words):
        found.add("unbalanced-quote")
    if not body and (code.find("\0") >= 0 or code.rstrip("'\"` ").endswith("%00")):
        found.add("comment-tail")
    return found


def _read(code: str) -> tuple[list[Part], set[str]]:
    parts: list[Part] = []
    found: set[str] = set()
    at = 0
    while at < len(code) and len(parts) < MAX_TOKENS:
        last = parts[-1] if parts else ("", "")
        is_operand = last[0] in ("string", "number") or (last[0] == "name" and last[1] not in _KEYWORDS)
        pattern = None
        if code[at] == "/" and not (is_operand or last[1] in (")", "]")):
            pattern = _PATTERN.match(code, at)
        token = pattern or _TOKEN.match(code, at)
        if token is None:
            break
        at = token.end()
        kind = "string" if pattern is not None else token.lastgroup or "operator"
        if kind == "comment":
            if at >= len(code) and parts and parts[0][1] not in _BODIES:
                found.add("comment-tail")
        elif kind == "open":
            found.add("unbalanced-quote")
        elif kind != "space":
            parts.append((kind, token.group()))
        elif parts and "\n" in token.group() and parts[-1][1] != "\n":
            parts.append(("line", "\n"))
    return parts, found


def _is_constant(part: Part) -> bool:
    return part[0] in ("string", "number") or part[1] in _CONSTANTS


def _word_at(words: Sequence[str], at: int) -> str:
    return words[at] if 0 <= at < len(words) else ""


def _is_constant_comparison(parts: Sequence[Part], words: Sequence[str], at: int) -> bool:
    if not 0 < at < len(parts) - 1 or not (_is_constant(parts[at - 1]) and _is_constant(parts[at + 1])):
        return False
    return _word_at(words, at - 2) in _BOUNDARIES and _word_at(words, at + 2) in _BOUNDARIES


def _is_constant_alternative(parts: Sequence[Part], words: Sequence[str], at: int) -> bool:
    """Return whether the right side is a constant that is true: the whole condition is, too."""
    if (
        at + 1 >= len(parts)
        or parts[at + 1][1] in ("0", "''", '""')
        or _word_at(words, at + 2) not in ("", ")", ";", "||")
    ):
        return False
    return parts[at + 1][1] == "true" or (
        parts[at + 1][0] in ("number", "string") and at > 2 and words[at - 2] in _COMPARISONS
    )


def _are_adjacent(first: Part, second: Part, before: str, word: str) -> bool:
    """Return whether two operands stand side by side, as where a quote ended a string too early."""
    if second[0] not in ("string", "number", "name") or (second[0] == "name" and word in _KEYWORDS):
        return False
    if first[0] in ("string", "number"):
        return True
    return first[0] == "name" and before not in _KEYWORDS and second[0] in ("string", "number")


def _are_balanced(words: Sequence[str]) -> bool:
    return all(words.count(opening) == words.count(closing) for opening, closing in ("()", "[]", "{}"))


def _is_secret(before: Sequence[str]) -> bool:
    return any(classify_field(word) == CREDENTIAL for word in before)
