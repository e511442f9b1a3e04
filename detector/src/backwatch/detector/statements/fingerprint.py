"""Canonical text, keyed hash and fingerprint of statements, over the batch's own buffer.

The canonical bytes are those of ``statements/canonical.py`` for every text and dialect (proved by a property test), at
about a microsecond for a usual statement. The fingerprint's id is BLAKE2b-128 of them; inside the process they are
addressed by SipHash under the installation's key, for an unkeyed hash can be met on purpose.
"""

import hashlib
from typing import Final

import numpy as np

from backwatch.collector.statements import spec
from backwatch.collector.statements.dialects import dialect_of
from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.kernels.memory import address_of, load8, load64
from backwatch.detector.statements.letters import Bytes
from backwatch.detector.statements.tokenizer_state import (
    BYTES,
    C_WORD,
    COUNT,
    CUT_DEPTH,
    FIRST,
    ROW_FIRST,
    ROW_LAST,
    SPACED,
    STATE,
    TokenCells,
    put,
)
from backwatch.detector.statements.writing import write_all

DIALECTS: Final = spec.NUMBER_OF
"""Dialect → the number that kernels take."""

SCAN_BYTES, SCAN_HEAD_BYTES = spec.SCAN_BYTES, spec.SCAN_HEAD_BYTES
SENT_BYTES, SENT_HEAD_BYTES, SENT_TAIL_BYTES = spec.SENT_BYTES, spec.SENT_HEAD_BYTES, spec.SENT_TAIL_BYTES
_MARK = np.frombuffer(f" {spec.MARK} ".encode(), np.uint8).copy()
_COPY = SCAN_BYTES + 8
SCRATCH_BYTES: Final = 3 * SCAN_BYTES + 1_024
"""What no text can fill: as long again as what is scanned, blanks between single characters, a copy of a cut text."""
MARKS: Final = SCAN_BYTES + 1_024
"""One per token, and the writer's state."""


def dialect_number(system: str) -> int:
    """The kernels' number of the dialect that ``db.system.name`` speaks."""
    return DIALECTS[dialect_of(system)]


def new_scratch() -> tuple[Bytes, TokenCells]:
    """Scratch buffer and marks for :func:`canonical_into`; one pair per thread."""
    return np.zeros(SCRATCH_BYTES, np.uint8), np.zeros(MARKS, np.int64)


@kernel
def _bounded(buffer: Bytes, start: int, end: int, scratch: Bytes) -> int:
    """Copy head, mark and tail of a text that is too long into the end of ``scratch``; return the number of bytes."""
    head, tail = start + SCAN_HEAD_BYTES, end - (SCAN_BYTES - SCAN_HEAD_BYTES)
    while head > start and buffer[head] & 0xC0 == 0x80:
        head -= 1
    while tail < end and buffer[tail] & 0xC0 == 0x80:
        tail += 1
    at = scratch.shape[0] - _COPY
    for i in range(start, head):
        scratch[at] = buffer[i]
        at += 1
    for i in range(_MARK.shape[0]):
        scratch[at] = _MARK[i]
        at += 1
    for i in range(tail, end):
        scratch[at] = buffer[i]
        at += 1
    return at - (scratch.shape[0] - _COPY)


@kernel
def _sent(out: Bytes, tokens: TokenCells, count: int, size: int) -> int:
    """Cut the middle out of a text that is too long to be sent, between tokens; return the new length."""
    if size <= SENT_BYTES:
        return size
    head = 0
    while (tokens[head + 1] >> 20) <= SENT_HEAD_BYTES:
        head += 1
    tail = count
    while size - (tokens[tail - 1] >> 20) <= SENT_TAIL_BYTES:
        tail -= 1
    source = tokens[tail] >> 20
    at = tokens[head] >> 20
    if SPACED[tokens[head - 1] & 15, C_WORD]:
        out[at] = 32
        at += 1
    for i in range(1, _MARK.shape[0] - 1):
        out[at] = _MARK[i]
        at += 1
    if SPACED[C_WORD, tokens[tail] & 15]:
        out[at] = 32
        at += 1
    if out[source] == 32:
        source += 1
    for i in range(source, size):
        out[at] = out[i]
        at += 1
    return at


@kernel
def canonical_into(buffer: Bytes, start: int, end: int, dialect: int, scratch: Bytes, tokens: TokenCells) -> int:
    """Write the canonical bytes of ``buffer[start:end]`` to ``scratch``; return their number.

    It is at most ``spec.SENT_BYTES``.

    Args:
        buffer: Any bytes; nothing outside of ``start`` and ``end`` is ever read.
        start: First byte.
        end: After the last.
        dialect: A number of ``DIALECTS``; others are read as the last one.
        scratch: Where the text goes, from 0 on; with fewer than ``SCRATCH_BYTES`` long texts end early.
        tokens: Work space of ``MARKS`` cells.
    """
    start = max(start, 0)
    end = min(end, buffer.shape[0])
    if start >= end or tokens.shape[0] <= 2 * STATE or scratch.shape[0] < 2 * SENT_BYTES:
        return 0
    if dialect < 0 or dialect > 4:
        dialect = 4
    most = tokens.shape[0] - STATE
    out, cells = address_of(scratch), address_of(tokens)
    state = cells + 8 * most
    for at in range(CUT_DEPTH + 1):
        put(state, at, 0)
    put(state, FIRST, 1)
    put(state, ROW_FIRST, -1)
    put(state, ROW_LAST, -1)
    room = scratch.shape[0]
    if end - start > SCAN_BYTES and room > 2 * SENT_BYTES + _COPY:
        size = _bounded(buffer, start, end, scratch)
        room -= _COPY
        write_all(out + room, 0, size, dialect, out, room, cells, most, state)
    else:
        text = address_of(buffer) + start
        write_all(text, 0, min(end - start, SCAN_BYTES), dialect, out, room, cells, most, state)
    return _sent(scratch, tokens, tokens[most + COUNT], tokens[most + BYTES])


def canonical_bytes(text: bytes, dialect: str) -> bytes:
    """The canonical bytes of one text; for what is not hot."""
    scratch, tokens = new_scratch()
    length = canonical_into(np.frombuffer(text, np.uint8), 0, len(text), DIALECTS[dialect], scratch, tokens)
    return scratch[:length].tobytes()


def fingerprint_id(canonical: bytes) -> str:
    """A statement's id: BLAKE2b-128 of its canonical text, in hexadecimal."""
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


@inline
def _rotate(x: np.uint64, by: int) -> np.uint64:
    return x << np.uint64(by) | x >> np.uint64(64 - by)


@inline
def _round(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v0 += v1
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 += v3
    v3 = _rotate(v3, 16) ^ v2
    v0 += v3
    v3 = _rotate(v3, 21) ^ v0
    v2 += v1
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


@kernel
def siphash(buffer: Bytes, start: int, length: int, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """Return SipHash-1-3 (Aumasson and Bernstein 2012; as in CPython and Rust) of ``length`` bytes from ``start`` on.

    What is outside of the buffer is not read: the text ends there.
    """
    start = max(start, 0)
    length = max(min(length, buffer.shape[0] - start), 0)
    v0 = k0 ^ np.uint64(0x736F6D6570736575)
    v1 = k1 ^ np.uint64(0x646F72616E646F6D)
    v2 = k0 ^ np.uint64(0x6C7967656E657261)
    v3 = k1 ^ np.uint64(0x7465646279746573)
    whole = length >> 3
    at = address_of(buffer) + start
    for w in range(whole):
        m = np.uint64(load64(at + w * 8))
        v3 ^= m
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= m
    m = np.uint64(length & 255) << np.uint64(56)
    read, left = whole * 8, length & 7
    if start + read + 8 <= buffer.shape[0]:
        m |= np.uint64(load64(at + read)) & ((np.uint64(1) << np.uint64(8 * left)) - np.uint64(1))
    else:
        for k in range(left):
            m |= np.uint64(load8(at + read + k)) << np.uint64(8 * k)
    v3 ^= m
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= m
    v2 ^= np.uint64(0xFF)
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


def hash_key(key: bytes) -> tuple[np.uint64, np.uint64]:
    """The two halves of an installation's key, as :func:`siphash` takes them."""
    padded = key[:16].ljust(16, b"\0")
    return np.uint64(int.from_bytes(padded[:8], "little")), np.uint64(int.from_bytes(padded[8:], "little"))
