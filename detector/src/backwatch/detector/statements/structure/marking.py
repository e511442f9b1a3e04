"""Marks in a statement's canonical text where it differs from the nearest known one: for people, not for speed."""

from typing import Final

import numpy as np

from backwatch.detector.statements.structure.encoding import HEAD, MAX_TOKENS, TABLES, token_at
from backwatch.detector.statements.structure.vocabulary import DOT, FIRST_NAME

MARK_BEGIN: Final = "«"
MARK_END: Final = "»"
MAX_AROUND: Final = 120
"""Characters that are shown before the difference and behind it."""
MAX_DIFFERENCE: Final = 400
"""Characters that are shown of the difference."""
LEFT_OUT: Final = " … "
MAX_BYTES: Final = 16_384
"""Bytes of a statement that are read; a difference beyond them is not marked."""


def _extents(text: bytes) -> list[tuple[int, int]]:
    """Return begin and end of each token, in bytes, as ``encoding.encode`` counts tokens."""
    classes, singles, hashes, words = TABLES
    data = np.frombuffer(text or b" ", np.uint8)
    found: list[tuple[int, int, int]] = []
    at = 0
    while at < data.shape[0]:
        if data[at] <= 32:
            at += 1
            continue
        begin = at
        code, _, at = token_at(data, at, data.shape[0], classes, singles, hashes, words)
        qualified = code >= FIRST_NAME and 1 < len(found) <= MAX_TOKENS and found[-1][0] == DOT
        if qualified and found[-2][0] >= FIRST_NAME:
            begin = found[-2][1]
            del found[-2:]
        found.append((code, begin, at))
    return [(begin, end) for _, begin, end in found]


def mark_difference(canonical: bytes, span: int) -> str:
    """Return the text with what differs between « and », cut around it; empty where it has no place.

    Args:
        canonical: Canonical text, redacted.
        span: The first token that differs, times 65,536, and the one behind the last.
    """
    text = canonical[:MAX_BYTES]
    extents = _extents(text)
    first, end = divmod(span, 65_536)
    if len(extents) > MAX_TOKENS:  # the middle of a long statement is not compared
        gap = len(extents) - MAX_TOKENS
        first, end = (place if place <= HEAD else place + gap for place in (first, end))
    if not 0 <= first < end <= len(extents) or len(canonical) > MAX_BYTES:
        return ""
    begin, stop = extents[first][0], extents[end - 1][1]
    before, marked, behind = (part.decode("utf-8", "replace") for part in (text[:begin], text[begin:stop], text[stop:]))
    if len(before) > MAX_AROUND:
        before = LEFT_OUT.lstrip() + before[-MAX_AROUND:]
    if len(marked) > MAX_DIFFERENCE:
        marked = marked[: MAX_DIFFERENCE // 2] + LEFT_OUT + marked[-MAX_DIFFERENCE // 2 :]
    if len(behind) > MAX_AROUND:
        behind = behind[:MAX_AROUND] + LEFT_OUT.rstrip()
    return f"{before}{MARK_BEGIN}{marked}{MARK_END}{behind}"
