"""The route and the input of the surrounding request, and the check whether a statement contains it as code.

The input is bounded, kept in memory while the request is served, and released at its end, even if a task that outlives
the request still has its context. It never leaves the process: only the route and the sign ``request-input`` are
reported.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar, Token
from itertools import islice
from operator import itemgetter
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from backwatch.collector import names
from backwatch.collector.runtime.context_variables import reset_variable
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.statements import spec
from backwatch.collector.statements.dialects import dialect_of
from backwatch.collector.statements.thinning import scan_thinned

SIGN: Final = "request-input"
MIN_LENGTH: Final = 6
MAX_LENGTH: Final = 4_096
"""Characters of a value; of a longer one its beginning is searched for."""
MAX_VALUES: Final = 200
MAX_ROUTE: Final = 200
MAX_QUERY: Final = 65_536
"""Characters of a query string, and bytes of a JSON text that the app parses itself; the rest is not read."""
_MAX_NODES: Final = 5_000
"""Nodes of a JSON value that are visited."""
_MAX_SEARCH_COST: Final = 1 << 20
"""Characters of a statement times values that are searched for in it: all values in 5 KB."""
_MIN_VALUES: Final = 16
_MAX_OCCURRENCES: Final = 16
"""Occurrences of one value in a statement that are checked."""
_MAX_CHECKS: Final = 512
"""Occurrences of all values that are checked for lists: twice or more for each. A statement with more is code."""
_LOOK_BACK_TOKENS: Final = 16
"""Tokens before a list that are read."""
_WORD_CHARACTERS: Final = 16
"""More than the longest word that is compared has."""
_ONE_WORD: Final = re.compile(r"\w*+")
_ITEM: Final = frozenset((spec.WORD, spec.QUOTED, spec.NUMBER, spec.PARAM))
_BETWEEN_ITEMS: Final = frozenset(",.+-*")
_CLAUSE_WORDS: Final = spec.split_words("""
    SELECT FROM WHERE AND OR XOR NOT LIKE ILIKE RLIKE REGEXP GLOB IN IS BETWEEN CASE WHEN HAVING GROUP ORDER LIMIT
    OFFSET UNION INTERSECT EXCEPT MINUS EXISTS ANY INTO PROCEDURE WITH VALUES DIV MOD ISNULL NOTNULL COLLATE ESCAPE
""")
_BEFORE_LIST: Final = spec.split_words("""
    SELECT DISTINCT ALL BY IN LIMIT OFFSET FROM JOIN USING INTO VALUES RETURNING TABLE UPDATE WITH
""") | {"["}
"""What a list follows that an app offers, perhaps after brackets, a comma or names."""
_BEFORE_VALUE: Final = frozenset("=<>!~;")
"""What a value or a statement follows."""
_ARROWS: Final = ("->", ">>")
"""Ends of operators that read a key of a JSON column: they do not compare."""
_NUMBERS: Final = re.compile(r"[-+]?[0-9.]{1,32}+(?:, ?[-+]?[0-9.]{1,32}+){1,8}+")
"""Coordinates, for example. Bounded, because each list is compared."""
_BEFORE_QUERY: Final = frozenset(("EXPLAIN", "ANALYZE", "VERBOSE", "QUERY", "PLAN", "FROM"))
"""Words before the query of a database console: it is explained, or another query selects from it."""
_SIGNS: Final = ("-", "+")
_START: Final = itemgetter(1)


class RequestInput:
    """The input of one request, as far as the app has read it.

    Args:
        query: The query string, as it was sent.
        request: The framework's request.
        route_of: Returns the route of the request as the app declares it; empty before the framework has found it.
    """

    __slots__ = ("_kept", "_query", "_request", "_route_of", "_unread", "_values", "route")

    def __init__(
        self, query: str | bytes, request: object = None, route_of: Callable[[Any], object] | None = None
    ) -> None:
        self._query = query
        self._request = request
        self._route_of = route_of
        self.route = ""
        """The route, once :meth:`find_route` has found it."""
        self._unread: list[object] = []
        self._kept = 0
        """Number of those that have been processed."""
        self._values: dict[str, None] = {}

    def add(self, read: object) -> None:
        """Add a form or a JSON value that the app has just read."""
        if len(self._unread) < MAX_VALUES:
            self._unread.append(read)

    def find_route(self) -> str:
        """Return the route of the request; empty if the framework has not found it yet."""
        route_of, request = self._route_of, self._request  # another thread may end the request now
        if route_of is not None and request is not None and isinstance(route := route_of(request), str) and route:
            self.route, self._route_of, self._request = route[:MAX_ROUTE], None, None
        return self.route

    def clear(self) -> None:
        """Release everything: the request is served."""
        self._query = ""
        self._request = self._route_of = None
        self._unread.clear()
        self._kept = 0
        self._values.clear()

    def values(self) -> Iterable[str]:
        """Return the texts that could be more than one word of a statement.

        Several threads of one request may call this at once. An item is removed only after it is kept, or one thread
        would miss it while another still reads it. Reading it twice is harmless.
        """
        if query := self._query:
            text = query.decode("latin-1") if isinstance(query, bytes) else query
            self._keep([value for _, value in parse_qsl(text[:MAX_QUERY], errors="replace")])
            self._query = ""
        done = self._kept
        for at, read in enumerate(self._unread[done:], done):
            try:
                self._keep(read.to_object() if type(read) is _Json else read)
            finally:
                self._kept = at + 1
        return tuple(self._values)

    def _keep(self, read: object) -> None:
        pending, seen = [read], 0
        while pending and seen < _MAX_NODES and len(self._values) < MAX_VALUES:
            node = pending.pop()
            seen += 1
            if issubclass(type(node), str):
                value = cast("str", node)[:MAX_LENGTH].strip()
                if len(value) >= MIN_LENGTH and not _ONE_WORD.fullmatch(value):
                    self._values[value] = None
            else:
                pending.extend(_children(node))


def _children(node: Any) -> Iterable[object]:
    """Return the values of a form, an object or an array; at most ``_MAX_NODES``."""
    kind = type(node)  # ``isinstance`` would evaluate a lazy object of the app
    if hasattr(kind, "multi_items"):  # Starlette's forms
        found = [value for _, value in node.multi_items()]
    elif hasattr(kind, "lists"):  # Werkzeug's and Django's
        found = [value for _, values in node.lists() for value in values]
    elif issubclass(kind, dict):
        found = list(node.values())
    elif issubclass(kind, (list, tuple)):
        found = list(node)
    else:
        return ()
    return found[:_MAX_NODES]


_current: ContextVar[RequestInput | None] = ContextVar("backwatch_request_input", default=None)
current: Final = _current.get
"""Returns the input of the request that is being served; ``None``: there is none."""


@never_breaks_the_host
def begin(
    query_of: Callable[[Any], str | bytes], route_of: Callable[[Any], object], request: Any
) -> tuple[RequestInput, Token[RequestInput | None]] | None:
    """Start a request and return a token for :func:`on_request_end`; ``None`` inside another request."""
    if _current.get() is not None:
        return None
    request_input = RequestInput(query_of(request), request, route_of)
    return request_input, _current.set(request_input)


@never_breaks_the_host
def on_request_end(
    _owner: Any, token: tuple[RequestInput, Token[RequestInput | None]], _result: Any, _error: BaseException | None
) -> None:
    """End the request that :func:`begin` started."""
    token[0].clear()
    reset_variable(_current, token[1])


@never_breaks_the_host
def on_value_end(_owner: Any, _token: Any, value: object, error: BaseException | None) -> None:
    """Add a value of the request that the app has read."""
    request_input = _current.get()
    if request_input is not None and error is None:
        request_input.add(value)


@never_breaks_the_host
def add_attribute(request: object, name: str) -> None:
    """Add the value of an attribute of the request, which the app has read."""
    request_input = _current.get()
    if request_input is not None:
        request_input.add(vars(request).get(name))


@never_breaks_the_host
def add_json(raw: bytes) -> None:
    """Add a JSON text of the request that the app has read; it is parsed when a statement is executed."""
    request_input = _current.get()
    if request_input is not None and len(raw) <= MAX_QUERY:
        request_input.add(_Json(raw))


class _Json:
    """A JSON text that is not parsed yet."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def to_object(self) -> object:
        """Return its value; ``None`` if it is invalid or nested too deeply."""
        import json

        try:
            return json.loads(self.raw)
        except (ValueError, RecursionError):
            return None


@never_breaks_the_host
def add_input_sign(request_input: RequestInput, sql: object, system: str, signs: str) -> str:
    """Add ``request-input`` to ``signs`` if the request's input became part of the statement's code."""
    values = request_input.values()
    if not values:
        return signs
    if issubclass(type(sql), str):
        text = cast("str", sql)
    else:
        text = bytes(cast("bytes", sql)).decode("utf-8", "replace") if _binary(sql) else ""
    text = text[: spec.SCAN_BYTES]
    contained = [value for value in islice(values, _max_values(text)) if value in text]
    if not contained or not _is_code(text, contained, system):
        return signs
    found = {SIGN, *signs.split(",")}
    return ",".join(sign for sign in names.SIGNS if sign in found)


def _max_values(text: str) -> int:
    """Return how many values to search for: the cost is their number times the text's length, on the app's thread."""
    return max(_MIN_VALUES, _MAX_SEARCH_COST // max(len(text), 1))


def _binary(sql: object) -> bool:
    return issubclass(type(sql), bytes | bytearray | memoryview) and len(cast("bytes", sql)) <= 4 * spec.SCAN_BYTES


def _is_code(text: str, values: Iterable[str], system: str) -> bool:
    """Return whether any of these values is code of ``text``: more than one token, no list and no whole query."""
    code = _Code(*scan_thinned(text, dialect_of(system))[:2])
    return any(code.has(value) for value in values)


class _Code:
    """A statement's text and tokens. The work of all checks together is bounded: it is done on the app's thread."""

    __slots__ = ("_checks", "_found", "_list_ends", "_text")

    def __init__(self, text: str, found: list[tuple[int, int, int]]) -> None:
        self._text = text
        self._found = found
        self._list_ends: list[int] = []
        self._checks = 0

    def has(self, value: str) -> bool:
        """Return whether a value is code at any place."""
        at = self._text.find(value)
        for _ in range(_MAX_OCCURRENCES):
            if at < 0:
                break
            last = at + len(value)
            signed = value[0] in _SIGNS and self._kind_around(at + 1, last) == spec.NUMBER
            if not signed and not self._kind_around(at, last) and not self._is_offered(value, at, last):
                return True
            at = self._text.find(value, at + 1)
        return False

    def _kind_around(self, start: int, end: int) -> int:
        """Return the kind of the token that contains ``start`` to ``end``; 0: there is none."""
        at = bisect_right(self._found, start, key=_START) - 1
        return self._found[at][0] if at >= 0 and self._found[at][2] >= end else 0

    def _is_offered(self, value: str, start: int, end: int) -> bool:
        """Return whether an app lets its users send this: a list of names or numbers, a sort order, a whole query."""
        self._checks += 1
        first = bisect_right(self._found, start, key=_START) - 1
        if self._checks > _MAX_CHECKS or first < 0 or self._found[first][1] != start:
            return False
        if self._begins_query(first):
            return True
        last = bisect_left(self._found, end, key=_START) - 1
        if self._found[last][2] > end or last >= self._find_list_end(first):
            return False
        return self._is_list_place(first, numbers=_NUMBERS.fullmatch(value) is not None)

    def _find_list_end(self, first: int) -> int:
        """Return the first token from ``first`` on that no list contains."""
        if not self._list_ends:
            self._list_ends = [0] * len(self._found)
            list_end = len(self._found)
            for at in range(len(self._found) - 1, -1, -1):
                kind, start, end = self._found[at]
                token = self._text[start:end]
                listed = token.upper() not in _CLAUSE_WORDS if kind in _ITEM else token in _BETWEEN_ITEMS
                if not listed and kind != spec.END:
                    list_end = at
                self._list_ends[at] = list_end
        return self._list_ends[first]

    def _words_before(self, first: int) -> Iterator[str]:
        """Return the tokens before one, the nearest first."""
        for at in range(first - 1, max(first - 1 - _LOOK_BACK_TOKENS, -1), -1):
            kind, start, end = self._found[at]
            if kind != spec.COMMENT and self._text[start - 1 : start + 1] not in _ARROWS:
                yield self._text[start : min(end, start + _WORD_CHARACTERS)].upper()

    def _begins_query(self, first: int) -> bool:
        """Return whether a query of a database console begins here: the whole one, or what another selects from."""
        opened = False
        for word in self._words_before(first):
            if word == "FROM":
                _, start, end = self._found[first]
                return opened and self._text[start:end].upper() in ("SELECT", "WITH")
            opened = word == "("
            if not opened and word not in _BEFORE_QUERY:
                return False
        return True

    def _is_list_place(self, first: int, *, numbers: bool) -> bool:
        """Return whether a list may stand here; in a function's brackets, one of numbers may everywhere."""
        depth, after_comma = 0, False
        for word in self._words_before(first):
            if word == ")":
                depth += 1
            elif word == "(" and not depth:
                after_comma = False
                if numbers:
                    return True
            elif word == "(":
                depth -= 1
            elif depth:
                continue
            elif word in _BEFORE_LIST:
                return True
            elif word == ",":
                after_comma = True
            elif not after_comma and (word in _CLAUSE_WORDS or word in _BEFORE_VALUE):
                return False
        return True
