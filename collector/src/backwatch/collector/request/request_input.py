"""The route and the input of the surrounding request, and the check whether a statement contains it as code.

The input is bounded, kept in memory while the request is served, and released at its end, even if a task that outlives
the request still has its context. It never leaves the process: only the route and the sign ``request-input`` are
reported.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from itertools import islice
from operator import itemgetter
from typing import Any, Final
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
_ONE_WORD: Final = re.compile(r"\w*+")
_ITEM: Final = frozenset((spec.WORD, spec.QUOTED, spec.NUMBER, spec.PARAM))
_BETWEEN_ITEMS: Final = frozenset(",.+-*")
_CLAUSE_WORDS: Final = spec.split_words("""
    SELECT FROM WHERE AND OR XOR NOT LIKE ILIKE RLIKE REGEXP GLOB IN IS BETWEEN CASE WHEN HAVING GROUP ORDER LIMIT
    OFFSET UNION INTERSECT EXCEPT MINUS EXISTS ANY INTO PROCEDURE WITH VALUES DIV MOD
""")
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
                self._keep(read.to_object() if isinstance(read, _Json) else read)
            finally:
                self._kept = at + 1
        return tuple(self._values)

    def _keep(self, read: object) -> None:
        pending, seen = [read], 0
        while pending and seen < _MAX_NODES and len(self._values) < MAX_VALUES:
            node = pending.pop()
            seen += 1
            if isinstance(node, str):
                value = node[:MAX_LENGTH].strip()
                if len(value) >= MIN_LENGTH and not _ONE_WORD.fullmatch(value):
                    self._values[value] = None
            else:
                pending.extend(_children(node))


def _children(node: Any) -> Iterable[object]:
    """Return the values of a form, an object or an array; at most ``_MAX_NODES``."""
    if hasattr(node, "multi_items"):  # Starlette's forms
        found = [value for _, value in node.multi_items()]
    elif hasattr(node, "lists"):  # Werkzeug's and Django's
        found = [value for _, values in node.lists() for value in values]
    elif isinstance(node, dict):
        found = list(node.values())
    elif isinstance(node, (list, tuple)):
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
    text = sql if isinstance(sql, str) else bytes(sql).decode("utf-8", "replace") if _binary(sql) else ""  # pyright: ignore[reportArgumentType]  bytes, as seen
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
    return isinstance(sql, bytes | bytearray | memoryview) and len(sql) <= 4 * spec.SCAN_BYTES


def _is_code(text: str, values: Iterable[str], system: str) -> bool:
    """Return whether any of these values is code of ``text``: more than one token, no list and no whole query."""
    dialect = dialect_of(system)
    shown, found, _ = scan_thinned(text, dialect)
    return any(_has_code(shown, value, found) for value in values)


def _has_code(text: str, value: str, found: list[tuple[int, int, int]]) -> bool:
    at = text.find(value)
    for _ in range(_MAX_OCCURRENCES):
        if at < 0:
            break
        last = at + len(value)
        signed = value[0] in _SIGNS and _kind_around(found, at + 1, last) == spec.NUMBER
        if not signed and not _kind_around(found, at, last) and not _is_offered(text, found, at, last):
            return True
        at = text.find(value, at + 1)
    return False


def _is_offered(text: str, found: list[tuple[int, int, int]], start: int, end: int) -> bool:
    """Return whether an app lets its users send this: a list of names or numbers, a sort order, a whole query."""
    first = bisect_right(found, start, key=_START) - 1
    if first < 0 or found[first][1] != start:
        return False
    before = [text[token[1] : token[2]].upper() for token in found[:first] if token[0] != spec.COMMENT]
    opened = False
    while before and (before[-1] == "(" or before[-1] in _BEFORE_QUERY):
        word = before.pop()
        if word == "FROM":
            if opened and text[found[first][1] : found[first][2]].upper() in ("SELECT", "WITH"):
                return True
            before.append(word)
            break
        opened = word == "("
    if not before:
        return True
    at = first
    while at < len(found) and found[at][1] < end and found[at][0] != spec.END:
        kind, token_start, token_end = found[at]
        token = text[token_start:token_end].upper()
        listed = token not in _CLAUSE_WORDS if kind in _ITEM else kind == spec.OP and token in _BETWEEN_ITEMS
        if token_end > end or not listed:
            return False
        at += 1
    return True


def _kind_around(found: list[tuple[int, int, int]], start: int, end: int) -> int:
    """Return the kind of the token that contains ``start`` to ``end``; 0: there is none."""
    at = bisect_right(found, start, key=_START) - 1
    return found[at][0] if at >= 0 and found[at][2] >= end else 0
