"""A tolerant parser of documents in statement texts: JSON, Python's ``repr``, the MongoDB shell.

Instrumentations write a command as any of these, and cut it. The parser returns what it has read until the text breaks
off. One pass over tokens, with bounded depth; nothing of the text is evaluated.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

MAX_TEXT: Final = 32_768
"""Characters that are read."""
MAX_TOKENS: Final = 8_192
MAX_DEPTH: Final = 24


class _Opaque:
    """A value of a type of its own: an object id, a date."""

    def __repr__(self) -> str:
        return "OPAQUE"


OPAQUE: Final = _Opaque()


class PatternText(str):
    """The source of a regular expression."""

    __slots__ = ()


_TOKEN: Final = re.compile(
    r"""(?P<string>[bBuUrR]{0,2}(?:"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+'))
    | (?P<open>[bBuUrR]{0,2}["'])
    | (?P<number>[-+]?[0-9.][0-9A-Za-z_.+-]*+)
    | (?P<word>[A-Za-z_$][\w$.-]*+)
    | (?P<mark>[{}\[\]():,])
    | (?P<space>\s++)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_PATTERN: Final = re.compile(r"/((?:[^/\\\n]|\\.)++)/[a-z]{0,6}")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "b": "\b", "f": "\f"}
_NULLS: Final = frozenset(("null", "None", "undefined", "Null", "NULL", "nil"))
_PAIRS: Final = frozenset(("SON", "OrderedDict", "RawBSONDocument", "dict", "Document", "bson.D"))
_PATTERNS: Final = frozenset(("Regex", "re.compile", "RegExp", "BSONRegExp", "primitive.Regex"))
_NUMBERS: Final = frozenset(("NumberInt", "NumberLong", "Int64", "Long", "Int32", "Double", "NumberDecimal"))


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A value that was read of a text.

    Attributes:
        value: dict, list, str, number, bool, None, ``OPAQUE`` or ``PatternText``; what was read if the text broke off.
        end: Where the parser stopped.
        broken: Whether the text is no document up to there.
    """

    value: Any
    end: int
    broken: bool


class _BrokenOffError(Exception):
    """The text ended, or is no document."""


def parse_document(text: str, start: int = 0) -> ParsedText:
    r"""Return the value that begins at ``start``.

    >>> parse_document('{"a": {"$ne": null}, "b": [1, true]}').value
    {'a': {'$ne': None}, 'b': [1, True]}
    >>> parse_document("{'_id': ObjectId('65f0'), 'a': re.compile('^x'), b: /y/i}").value
    {'_id': OPAQUE, 'a': '^x', 'b': 'y'}
    >>> parse_document('{"a": "x", "b": {"$gt": "').value
    {'a': 'x', 'b': {'$gt': ''}}
    """
    parser = _Parser(text[:MAX_TEXT], start)
    value, broken = parser.parse()
    return ParsedText(value, parser.at, broken)


class _Parser:
    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.at = start
        self.left = MAX_TOKENS

    def parse(self) -> tuple[Any, bool]:
        root: list[Any] = []
        try:
            self._value(root.append, 0)
        except _BrokenOffError:
            return (root[0] if root else None), True
        return root[0], False

    def _next(self) -> tuple[str, str]:
        """Return kind and text of the next token that is no blank."""
        while True:
            self.left -= 1
            found = _TOKEN.match(self.text, self.at)
            if found is None or self.left < 0:
                raise _BrokenOffError
            self.at = found.end()
            kind = found.lastgroup or "other"
            if kind != "space":
                return kind, found.group()

    def _peek(self) -> str:
        at, left = self.at, self.left
        try:
            return self._next()[1]
        except _BrokenOffError:
            return ""
        finally:
            self.at, self.left = at, left

    def _value(self, put: Any, depth: int) -> None:
        """Read a value and hand it on; a document or list before its content is read, so that parts of it survive."""
        kind, text = self._next()
        if depth > MAX_DEPTH:
            raise _BrokenOffError
        if kind == "string":
            put(_unquote(text))
        elif kind == "number":
            put(_number(text))
        elif kind == "word":
            self._word(text, put, depth)
        elif text == "{":
            document: dict[str, Any] = {}
            put(document)
            self._members(document, depth)
        elif text in ("[", "("):
            members: list[Any] = []
            put(members)
            self._list(members, "]" if text == "[" else ")", depth)
        elif text == "/" and (pattern := _PATTERN.match(self.text, self.at - 1)):
            self.at = pattern.end()
            put(PatternText(pattern[1]))
        elif text == "?":
            put("?")
        else:
            if kind == "open":
                put("")
            raise _BrokenOffError

    def _members(self, document: dict[str, Any], depth: int) -> None:
        while True:
            kind, text = self._next()
            if text == "}":
                return
            if text == ",":
                continue
            if kind not in ("string", "word", "number", "other"):
                raise _BrokenOffError
            key = _unquote(text) if kind == "string" else text
            if self._next()[1] not in (":", "="):
                raise _BrokenOffError
            self._value(lambda value, key=key: document.__setitem__(key, value), depth + 1)

    def _list(self, members: list[Any], closing: str, depth: int) -> None:
        while True:
            following = self._peek()
            if following in (closing, ","):
                self._next()
                if following == closing:
                    return
                continue
            self._value(members.append, depth + 1)

    def _word(self, word: str, put: Any, depth: int) -> None:
        if word == "new":
            self._value(put, depth + 1)
            return
        if self._peek() != "(":
            put({"true": True, "True": True, "false": False, "False": False}.get(word, _of_word(word)))
            return
        self._next()
        arguments: list[Any] = []
        self._list(arguments, ")", depth)
        first = arguments[0] if arguments else None
        if word.rpartition(".")[2] in _PAIRS or word in _PAIRS:
            put(_document_of(first))
        elif word in _PATTERNS:
            put(PatternText(first) if isinstance(first, str) else OPAQUE)
        else:
            put(first if word in _NUMBERS else OPAQUE)


def _of_word(word: str) -> Any:
    if word in _NULLS:
        return None
    return float(word) if word in ("NaN", "Infinity") else OPAQUE


def _document_of(pairs: Any) -> dict[str, Any]:
    if isinstance(pairs, dict):
        return pairs  # pyright: ignore[reportUnknownVariableType]
    found: dict[str, Any] = {}
    for pair in pairs if isinstance(pairs, list) else ():  # pyright: ignore[reportUnknownVariableType]
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):  # pyright: ignore[reportUnknownArgumentType]
            found[pair[0]] = pair[1]
    return found


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return OPAQUE


def _unquote(text: str) -> str:
    start = text.index('"') if text[-1] == '"' else text.index("'")
    body = text[start + 1 : -1]
    return _ESCAPE.sub(_unescape, body) if "\\" in body else body


def _unescape(found: "re.Match[str]") -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else _ESCAPED.get(found[3], found[3])
