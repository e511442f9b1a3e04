"""Chooses the text that is a call's statement, and writes its canonical form.

Backwatch's collector reports it (``backwatch.statement``) or sends SQL. In third-party spans it is the query's text,
else method, host and path template, else operation and destination, else service and method, else the span's name.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.decoding import schema
from backwatch.detector.decoding.derive import authority
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.fingerprint import canonical_into

NONE, VERBATIM, SQL, HTTP, JOINED = range(5)
"""Modes: nothing, the text as it is, SQL to be made canonical, method and URL, two texts joined by a blank."""

NO_SQL, DOCUMENT_SHAPE = -1, -2
"""Dialects of what is no SQL; the second: the shape of a document, a filter or the like."""
LONGEST: Final = 8_192
"""Bytes of a verbatim text that count."""

CONNECT: Final = np.frombuffer(b"connect", np.uint8).copy()

_TEXT = schema.TEXT_INDEX
_STATEMENT, _QUERY, _NAME = _TEXT[names.STATEMENT], _TEXT[names.QUERY_TEXT], _TEXT[names.SPAN_NAME]
_METHOD, _URL = _TEXT[names.HTTP_METHOD], _TEXT[names.URL_FULL]
_DESTINATION, _MESSAGING = _TEXT[names.MESSAGING_DESTINATION], _TEXT[names.MESSAGING_OPERATION]
_SERVICE, _RPC = _TEXT[names.RPC_SERVICE], _TEXT[names.RPC_METHOD]


@kernel
def _is_connect(buffer: NDArray[np.uint8], offset: int, length: int) -> bool:
    """Return whether the call opens a session. It is a call without a statement, and never a new one."""
    if length != CONNECT.shape[0]:
        return False
    for i in range(length):
        if buffer[offset + i] != CONNECT[i]:
            return False
    return True


@kernel
def choose(
    buffer: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    lengths: NDArray[np.int64],
    dialect: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Choose mode, dialect and the one or two columns of each call's statement; a dialect below 0: no SQL."""
    for i in range(lengths.shape[0]):
        first, second, mode = _NAME, -1, VERBATIM
        if lengths[i, _STATEMENT] > 0:
            first = _STATEMENT
        elif lengths[i, _QUERY] > 0:
            first = _QUERY
            mode = SQL if dialect[i] >= 0 else VERBATIM
        elif lengths[i, _URL] > 0:
            first, second, mode = _METHOD, _URL, HTTP
        elif lengths[i, _DESTINATION] > 0:
            first, second, mode = _MESSAGING, _DESTINATION, JOINED
        elif lengths[i, _RPC] > 0:
            first, second, mode = _SERVICE, _RPC, JOINED
        elif lengths[i, _NAME] <= 0:
            mode = NONE
        if mode == VERBATIM and _is_connect(buffer, offsets[i, first], lengths[i, first]):
            mode = NONE
        out[i, 0] = mode
        out[i, 1] = dialect[i]
        out[i, 2] = first
        out[i, 3] = second


@kernel
def _copied(buffer: NDArray[np.uint8], offset: int, length: int, scratch: NDArray[np.uint8], at: int, room: int) -> int:
    count = min(length, room)
    for i in range(count):
        scratch[at + i] = buffer[offset + i]
    return at + max(count, 0)


@kernel
def _path(buffer: NDArray[np.uint8], start: int, end: int, scratch: NDArray[np.uint8], at: int) -> int:
    """Write a path without its query; segments that hold a digit, or are long, become ``?``."""
    p = start
    while p < end and at < LONGEST:
        c = buffer[p]
        if c == 63 or c == 35:  # ? and #
            break
        if c == 47:
            scratch[at] = 47
            at += 1
            p += 1
            continue
        stop, digits = p, False
        while stop < end and buffer[stop] != 47 and buffer[stop] != 63 and buffer[stop] != 35:
            digits = digits or 48 <= buffer[stop] <= 57
            stop += 1
        version = stop - p <= 3 and buffer[p] == 118  # v1, v2
        if (digits and not version) or stop - p > 40:
            scratch[at] = 63
            at += 1
        else:
            at = _copied(buffer, p, stop - p, scratch, at, 64)
        p = stop
    return at


@kernel
def canonical(
    buffer: NDArray[np.uint8],
    chosen: NDArray[np.int64],
    offsets: NDArray[Any],
    lengths: NDArray[Any],
    scratch: NDArray[np.uint8],
    tokens: NDArray[np.int64],
) -> int:
    """Write one call's canonical text into ``scratch``; return its length."""
    mode, first, second = chosen[0], chosen[2], chosen[3]
    if mode == NONE:
        return 0
    offset, length = int(offsets[first]), int(lengths[first])
    if mode == SQL:
        return canonical_into(buffer, offset, offset + length, chosen[1], scratch, tokens)
    at = _copied(buffer, offset, length, scratch, 0, LONGEST)
    if mode == VERBATIM:
        return at
    scratch[at] = 32
    at += 1
    offset, length = int(offsets[second]), int(lengths[second])
    if mode == JOINED:
        return _copied(buffer, offset, length, scratch, at, LONGEST)
    host, stop, _ = authority(buffer, offset, offset + length)
    if host < 0:
        host = stop = offset
    at = _copied(buffer, host, stop - host, scratch, at, 512)
    return _path(buffer, stop, offset + length, scratch, at)
