"""Names and values in what a driver was passed or returns: rows, documents, texts of JSON.

Only exact built-in types are read, a few levels deep. Iterators and other objects of the app are never touched.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote_plus

MAX_CELLS: Final = 256
"""Values that are read in one call."""
MAX_ROWS: Final = 8
"""Rows or members that are read of one list."""
MAX_DEPTH: Final = 5
OPENERS: Final = ("{", "[", b"{", b"[")
"""Beginnings of a JSON text."""
MAX_JSON: Final = 8_192
"""Characters of a JSON text that are read."""
_FIELD: Final = re.compile(r"(?:\A|(?<=&))([\w.\[\]-]{1,100})=([^&\s]{0,400})")
_PAIR: Final = re.compile(
    r'"([^"\\]{1,100})"\s{0,4}:\s{0,4}(?:"((?:[^"\\]|\\.){0,400})"|(\d{1,20})(?=\s{0,4}[,}\]\n]))?'
)
_MEMBER: Final = re.compile(r'(?<=[\[,])\s{0,4}"((?:[^"\\]|\\.){1,400})"(?!\s{0,4}:)')

Cell = tuple[str, Any]
"""Name of a column or field, and value; ``None``: only the name counts."""


def cells_of_row(columns: Sequence[str], row: Any) -> Iterator[Cell]:
    """Yield the cells of a row that is exactly a tuple or list; of a dict by its keys."""
    if row.__class__ is dict:
        yield from cells_of(row)
    elif row.__class__ is tuple or row.__class__ is list:
        for at, value in enumerate(row[: len(columns) or MAX_CELLS]):
            yield from cells_of(value, columns[at] if columns else str(at), 1)


def cells_of(value: Any, name: str = "", depth: int = 0) -> Iterator[Cell]:
    """Yield the cells of a value: the fields of a dict, the members of a list or tuple, the pairs of a JSON text."""
    kind = value.__class__
    if depth > MAX_DEPTH:
        return
    if kind is str or kind is bytes:
        head = value[:1]
        if head in OPENERS:
            text = value[:MAX_JSON] if kind is str else value[:MAX_JSON].decode("utf-8", "ignore")
            yield from cells_of_json(text)
        else:
            yield name, value
    elif kind is int:
        yield name, value
    elif kind is dict:
        for key, member in islice(value.items(), MAX_CELLS):
            field = key[:100].decode("utf-8", "ignore") if key.__class__ is bytes else key
            if field.__class__ is str:
                path = f"{name}.{field}" if name else field
                yield path, None
                yield from cells_of(member, path, depth + 1)
    elif kind is list or kind is tuple:
        for member in value[:MAX_ROWS]:
            yield from cells_of(member, name, depth + 1)


def cells_of_body(body: Any) -> Iterator[Cell]:
    """Yield the cells of a request's body: a JSON text or the fields of a form.

    >>> list(cells_of_body(b"email=a%40b.org&page=2"))
    [('email', None), ('email', 'a@b.org'), ('page', None), ('page', '2')]
    """
    fields = _FIELD.findall(body.decode("utf-8", "ignore") if body.__class__ is bytes else body)
    if not fields or body[:1] in OPENERS:
        yield from cells_of(body)
    for name, value in fields[:MAX_CELLS] if body[:1] not in OPENERS else ():
        yield name, None
        yield name, unquote_plus(value)


def cells_of_json(text: str) -> Iterator[Cell]:
    """Yield names and values of a JSON text, as far as it is there.

    >>> list(cells_of_json('{"email": "a@b.org", "sizes": [1, 2], "cut": "abc'))
    [('email', None), ('email', 'a@b.org'), ('sizes', None), ('cut', None)]
    """
    for pair in _PAIR.finditer(text):
        yield pair[1], None
        if pair[2] or pair[3]:
            yield pair[1], pair[2] or pair[3]
    for member in _MEMBER.finditer(text):
        yield "", member[1]
