"""The surrounding request's own input, and whether it stands in a statement beyond one literal.

Kept in memory while the request is served, bounded, and let go of with its end even where a task that outlives it still
has its context. Nothing of it leaves the process: all that is ever told is the sign ``request-input``.
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
SHORTEST: Final = 6
LONGEST: Final = 4_096
"""Characters of a value; of a longer one its beginning is looked for."""
MOST_VALUES: Final = 200
MOST_QUERY: Final = 65_536
"""Characters of a query string, and bytes of a JSON text that the app parses itself; more is not looked at."""
_MOST_SEEN: Final = 5_000
"""Nodes of a JSON value that are visited."""
_MOST_SEARCHED: Final = 1 << 20
"""Characters of a statement times values that are looked for in it: all of them in 5 KB."""
_FEWEST_VALUES: Final = 16
_MOST_PLACES: Final = 16
"""Places of one value in a statement that are looked at."""
_ONE_WORD: Final = re.compile(r"\w*+")
_SIGNS: Final = ("-", "+")
_START: Final = itemgetter(1)


class RequestInput:
    """What came in with one request, as far as the app has read it.

    Args:
        query: The query string, as it was sent.
    """

    __slots__ = ("_kept", "_query", "_unread", "_values")

    def __init__(self, query: str | bytes) -> None:
        self._query = query
        self._unread: list[object] = []
        self._kept = 0
        """How many of those have been looked into."""
        self._values: dict[str, None] = {}

    def add(self, read: object) -> None:
        """Adds a form or a JSON value that the app has just read."""
        if len(self._unread) < MOST_VALUES:
            self._unread.append(read)

    def clear(self) -> None:
        """Lets go of everything: the request is served."""
        self._query = ""
        self._unread.clear()
        self._kept = 0
        self._values.clear()

    def values(self) -> Iterable[str]:
        """Texts that could be more than a word where they are put into a statement.

        Several threads of one request may ask at once: nothing is struck off before it is kept, or one of them would
        find nothing while another still reads. To read it twice does no harm.
        """
        if query := self._query:
            text = query.decode("latin-1") if isinstance(query, bytes) else query
            self._keep([value for _, value in parse_qsl(text[:MOST_QUERY], errors="replace")])
            self._query = ""
        done = self._kept
        for at, read in enumerate(self._unread[done:], done):
            try:
                self._keep(read.parsed() if isinstance(read, _Json) else read)
            finally:
                self._kept = at + 1
        return tuple(self._values)

    def _keep(self, read: object) -> None:
        pending, seen = [read], 0
        while pending and seen < _MOST_SEEN and len(self._values) < MOST_VALUES:
            one = pending.pop()
            seen += 1
            if isinstance(one, str):
                value = one[:LONGEST].strip()
                if len(value) >= SHORTEST and not _ONE_WORD.fullmatch(value):
                    self._values[value] = None
            else:
                pending.extend(_inside(one))


def _inside(one: Any) -> Iterable[object]:
    """The values of a form, an object or an array; at most ``_MOST_SEEN``."""
    if hasattr(one, "multi_items"):  # Starlette's forms
        found = [value for _, value in one.multi_items()]
    elif hasattr(one, "lists"):  # Werkzeug's and Django's
        found = [value for _, values in one.lists() for value in values]
    elif isinstance(one, dict):
        found = list(one.values())
    elif isinstance(one, (list, tuple)):
        found = list(one)
    else:
        return ()
    return found[:_MOST_SEEN]


_current: ContextVar[RequestInput | None] = ContextVar("backwatch_given", default=None)
current: Final = _current.get
"""The input of the request that is being served; ``None`` where there is none."""


@never_breaks_the_host
def begin(
    query_of: Callable[[Any], str | bytes], request: Any
) -> tuple[RequestInput, Token[RequestInput | None]] | None:
    """A request begins here; ``None`` where it is inside of one that has begun already."""
    if _current.get() is not None:
        return None
    given = RequestInput(query_of(request))
    return given, _current.set(given)


@never_breaks_the_host
def end(begun: tuple[RequestInput, Token[RequestInput | None]] | None) -> None:
    """It ends."""
    if begun is not None:
        begun[0].clear()
        reset_variable(_current, begun[1])


@never_breaks_the_host
def add(read: object) -> None:
    """The app has read this of its request."""
    given = _current.get()
    if given is not None:
        given.add(read)


@never_breaks_the_host
def add_attribute(request: object, name: str) -> None:
    """The app has read what this attribute of its request holds now."""
    given = _current.get()
    if given is not None:
        given.add(vars(request).get(name))


@never_breaks_the_host
def add_json(raw: bytes) -> None:
    """The app has read this text of its request, which says that it is JSON; it is parsed if a statement is made."""
    given = _current.get()
    if given is not None and len(raw) <= MOST_QUERY:
        given.add(_Json(raw))


class _Json:
    """A JSON text that is not parsed yet."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def parsed(self) -> object:
        """Its value; ``None`` where it is none, or nested too deeply."""
        import json

        try:
            return json.loads(self.raw)
        except (ValueError, RecursionError):
            return None


@never_breaks_the_host
def add_input_sign(given: RequestInput, sql: object, system: str, signs: str) -> str:
    """``signs``, and ``request-input`` where the request's input became part of the statement's code."""
    values = given.values()
    if not values:
        return signs
    text = sql if isinstance(sql, str) else bytes(sql).decode("utf-8", "replace") if _binary(sql) else ""  # pyright: ignore[reportArgumentType]  bytes, as seen
    text = text[: spec.SCAN_BYTES]
    there = [value for value in islice(values, _most_values(text)) if value in text]
    if not there or not _is_code(text, there, system):
        return signs
    told = {SIGN, *signs.split(",")}
    return ",".join(sign for sign in names.SIGNS if sign in told)


def _most_values(text: str) -> int:
    """How many values are looked for: what they cost is their number times the text's length, on the app's thread."""
    return max(_FEWEST_VALUES, _MOST_SEARCHED // max(len(text), 1))


def _binary(sql: object) -> bool:
    return isinstance(sql, bytes | bytearray | memoryview) and len(sql) <= 4 * spec.SCAN_BYTES


def _is_code(text: str, values: Iterable[str], system: str) -> bool:
    """Whether any of these values stands in ``text`` beyond one token."""
    dialect = dialect_of(system)
    shown, found, _ = scan_thinned(text, dialect)
    return any(_beyond_one(shown, value, found) for value in values)


def _beyond_one(text: str, value: str, found: list[tuple[int, int, int]]) -> bool:
    at = text.find(value)
    for _ in range(_MOST_PLACES):
        if at < 0:
            break
        last = at + len(value)
        signed = value[0] in _SIGNS and _kind_around(found, at + 1, last) == spec.NUMBER
        if not signed and not _kind_around(found, at, last):
            return True
        at = text.find(value, at + 1)
    return False


def _kind_around(found: list[tuple[int, int, int]], start: int, end: int) -> int:
    """The kind of the token that holds ``start`` to ``end``; 0 where none does."""
    at = bisect_right(found, start, key=_START) - 1
    return found[at][0] if at >= 0 and found[at][2] >= end else 0
