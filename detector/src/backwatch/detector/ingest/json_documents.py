"""Splits a stream of JSON documents: one per line, one in all, or many over many lines.

A line that is a whole document counts as one regardless of the lines before it, so a damaged line costs only itself.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

MAX_DOCUMENT_BYTES: Final = 1 << 28

_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[{}\[\]]', re.DOTALL)
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MARKS: Final = (b'"resourceSpans"', b'"resource_spans"')


def documents(readline: Callable[[int], bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Yield line number and bytes of each document; ``None`` if it does not end or is too long.

    Args:
        readline: Reads to the next line's end, at most so many bytes.
    """
    pending: list[bytes] = []
    depth = size = began = 0
    for number, line in _lines(readline):
        if line is None:
            if pending:
                yield began, None
            yield number, None
            pending, depth, size = [], 0, 0
            continue
        change = _depth(line)
        if pending and change == 0 and _is_document(line):
            yield began, None
            pending, depth, size = [], 0, 0
        if not pending:
            if not line.strip():
                continue
            began = number
        pending.append(line)
        depth, size = depth + change, size + len(line)
        if size > MAX_DOCUMENT_BYTES:
            yield began, None
            pending, depth, size = [], 0, 0
        elif depth <= 0:
            yield began, b"".join(pending)
            pending, depth, size = [], 0, 0
    if pending:
        yield began, None


def _lines(readline: Callable[[int], bytes]) -> Iterator[tuple[int, bytes | None]]:
    number = 0
    while line := readline(MAX_DOCUMENT_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if len(line) <= MAX_DOCUMENT_BYTES:
            yield number, line
            continue
        yield number, None
        while line and not line.endswith(b"\n"):
            line = readline(MAX_DOCUMENT_BYTES)


def _depth(line: bytes) -> int:
    """Return how many more brackets a line opens than it closes, outside of strings."""
    change = 0
    for found in _TOKEN.finditer(line):
        start = line[found.start()]
        if start in b"{[":
            change += 1
        elif start != 34:
            change -= 1
    return change


def _is_document(line: bytes) -> bool:
    stripped = line.strip()
    return stripped.startswith(b"{") and stripped.endswith(b"}") and any(mark in stripped for mark in _MARKS)
