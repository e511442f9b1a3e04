"""A plain statement with its plain literals emptied: a short cut to its canonical text.

Lexing a statement costs two microseconds, and where literals stand in the text no two are alike. Most are plain: no
comment, no
quoted name, no escape. Of these the skeleton (whole numbers as ``0``, strings as ``''``) is written in a quarter of
the time, and
a cache keyed by it knows the fingerprint. It is right because canonical(skeleton(x)) = canonical(x) in every dialect (a
property test proves it): two texts with one skeleton have one canonical text. Other texts are tokenized.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel

MAX_PLAIN_BYTES: Final = 4_096
"""Bytes of a text that may take the short cut."""

_OTHER, _PLAIN, _DIGIT, _EDGE, _QUOTE, _DASH, _SLASH = range(7)


def _classes() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.?:%;":
        table[ord(letter)] = _PLAIN
    for letter in "0123456789":
        table[ord(letter)] = _DIGIT
    for letter in " \t\n(),=<>+*":
        table[ord(letter)] = _EDGE
    table[ord("'")], table[ord("-")], table[ord("/")] = _QUOTE, _DASH, _SLASH
    return table


CLASSES: Final = _classes()


@kernel
def skeleton(
    buffer: NDArray[np.uint8], start: int, end: int, classes: NDArray[np.uint8], out: NDArray[np.uint8]
) -> int:
    """Write the skeleton of ``buffer[start:end]`` to ``out``; return its length, or -1 if the text is not plain."""
    start, end = max(start, 0), min(end, buffer.shape[0])
    if end - start > MAX_PLAIN_BYTES or end - start > out.shape[0] - 2:
        return -1
    at, i, before = 0, start, np.uint8(_EDGE)
    while i < end:
        c = buffer[i]
        kind = classes[c]
        if kind == _OTHER:
            return -1
        if kind == _DIGIT and before == _EDGE:
            stop = i + 1
            while stop < end and classes[buffer[stop]] == _DIGIT:
                stop += 1
            after = classes[buffer[stop]] if stop < end else np.uint8(_EDGE)
            if after == _EDGE or after == _DASH:
                out[at] = 48
                at += 1
            else:  # a fraction, an exponent, a name: kept in full, which is only finer
                while i < stop:
                    out[at] = buffer[i]
                    at += 1
                    i += 1
            i = stop
            before = np.uint8(_DIGIT)
            continue
        if kind == _QUOTE:
            if before != _EDGE:  # letters before a quote belong to the string
                return -1
            i += 1
            while i < end and buffer[i] != 39:
                if buffer[i] == 92:
                    return -1
                i += 1
            if i >= end or (i + 1 < end and buffer[i + 1] == 39):
                return -1
            out[at] = 39
            out[at + 1] = 39
            at += 2
            before = np.uint8(_PLAIN)
            i += 1
            continue
        if kind == _DASH or kind == _SLASH:
            if i + 1 < end and (buffer[i + 1] == 45 or buffer[i + 1] == 42):
                return -1
            before = np.uint8(_EDGE) if kind == _DASH else np.uint8(_PLAIN)
        else:
            before = kind
        if kind == _EDGE and c == 42 and i + 1 < end and buffer[i + 1] == 47:
            return -1
        out[at] = c
        at += 1
        i += 1
    return at
