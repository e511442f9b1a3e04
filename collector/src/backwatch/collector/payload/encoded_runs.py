"""Serialised data in texts: long runs of base64 or hexadecimal digits, at the beginning or inside a document.

Every run is judged by its first characters, so that identifiers, tokens and images cost no more than a look.
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Final

from backwatch.collector.payload.budget import WINDOW_BYTES, ValueBudget
from backwatch.collector.payload.containers import Part

MIN_RUN: Final = 24
"""Characters of the shortest run; the shortest pickle that runs a command has 28 in base64."""
MAX_RUNS: Final = 1_000
_HEAD: Final = 12
"""Characters that are decoded to judge a run: nine bytes."""
_SUSPICIOUS: Final = b"!@$|\\\n\0"
_CLASSES: Final = bytes(
    0x21 if code > 0x7F or code in _SUSPICIOUS
    else 0x41 if chr(code).isalnum() or code in b"+/-_"
    else 0x20
    for code in range(256)
)  # fmt: skip
"""Classes of bytes: ``A`` for those of a run, ``!`` for those that no usual short text has, blanks for the others."""
_RUN_CLASSES: Final = _CLASSES.replace(b"!", b" ")
_RUN: Final = b"A" * MIN_RUN
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_BREAKS: Final = re.compile(rb"[A-Za-z0-9+/_-]+(?:(?:\r?\n|\\r\\n|\\n)[A-Za-z0-9+/_-]+)*")
"""A run that is broken into lines, as MIME does it, in a text or in a JSON string."""
_BREAK: Final = re.compile(rb"\r?\n|\\r\\n|\\n")
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_HEX_STARTS: Final = frozenset(
    spelled.encode()
    for pair in ("80", "ac", "1f", "78", "42", "fd", "50", "04", "00", "93", "63", "28", "4f", "61", "8c")
    for spelled in {pair, pair.upper()}
)
"""First two digits of formats in hexadecimal digits."""
_HEX_MARKS: Final = frozenset((b"0x", *(b"x" + start[:1] for start in _HEX_STARTS)))
"""Marks before hexadecimal digits, with the first of these: ``\\x`` in PostgreSQL, ``0x`` in MySQL."""
_DIGESTS: Final = (40, 64)
"""Lengths of hexadecimal digests that stand directly before base64."""
_HEX_RUN: Final = re.compile(rb"[0-9a-fA-F]*")
_SHORTEST_SIGNED: Final = _DIGESTS[0] + MIN_RUN
_DOCUMENTS: Final = frozenset(
    binascii.b2a_base64(start, newline=False)
    for start in (b'{"@', b'{"$', b'{"_', b'{"p', b'["c', b'["o', b'["j', b'["s')
)
"""Beginnings in base64 of JSON documents that may name a type; not those of tokens, which name an algorithm."""
_OLD_PICKLES: Final = (b"c", b"(", b"\x8c")
"""First bytes of pickles of protocols 0 and 1 that import something."""


class RunSearch:
    """A search for runs that may hold one of some formats.

    Args:
        starts: First two bytes of the formats.
    """

    __slots__ = ("_heads", "_starts")

    def __init__(self, starts: frozenset[bytes]) -> None:
        old = {first + bytes((second,)) for first in _OLD_PICKLES for second in range(0, 128, 16)}
        digests = {bytes((first, second)) for first in _HEX for second in b"0a"}
        once = _heads_of(starts | old | digests)
        self._starts = starts | once
        self._heads = once | _heads_of(once) | _HEX_STARTS | _HEX_MARKS

    def is_usual_text(self, text: bytes) -> bool:
        r"""Return whether a text has usual characters only, and no run that may hold a format.

        >>> search = RunSearch(frozenset((b"\x80\x04",)))
        >>> search.is_usual_text(b"a word, an id 3f2c1e5a"), search.is_usual_text(b'"Y29zCnN5c3RlbQooUydpZCcKdFIu"')
        (True, False)
        """
        classes = text.translate(_CLASSES)
        if b"!" in classes:
            return False
        at = classes.find(_RUN)
        while at >= 0:
            end = classes.find(b" ", at + MIN_RUN)
            end = len(text) if end < 0 else end
            first = text[at : at + 4]
            if (end - at >= _SHORTEST_SIGNED or first[:2] in self._heads or first in _DOCUMENTS) and self._begins(
                text, at, end
            ):
                return False
            at = classes.find(_RUN, end)
        return True

    def find(self, head: bytes, budget: ValueBudget, *, cut: bool) -> Iterator[tuple[str, Part]]:
        """Yield the decoded data of such runs, each with ``hex`` or ``base64``.

        Args:
            budget: Subtracts the characters that are decoded.
            cut: True if the text is longer than ``head``.
        """
        classes = head.translate(_RUN_CLASSES)
        end = 0
        for _ in range(MAX_RUNS):
            at = classes.find(_RUN, end)
            if at < 0 or budget.read <= 0:
                return
            end = classes.find(b" ", at + MIN_RUN)
            end = len(head) if end < 0 else end
            for encoding, begin in self._begins(head, at, end):
                if encoding == "hex":
                    yield encoding, _decode_hex(head[begin:end], budget, cut=cut and end == len(head))
                else:
                    yield encoding, _decode_base64(head, begin, budget, cut=cut)

    def _begins(self, head: bytes, at: int, end: int) -> list[tuple[str, int]]:
        """Return how the data of a run may be encoded, and where it begins: behind a digest perhaps."""
        begins: list[tuple[str, int]] = []
        first = head[at : at + 2]
        if first in self._heads or head[at : at + 4] in _DOCUMENTS:
            digits = at + 2 if first == b"0x" else at + 1 if first in _HEX_MARKS else at
            if head[digits : digits + 2] in _HEX_STARTS and _HEX.issuperset(head[digits : digits + 2 * _HEAD]):
                begins.append(("hex", digits))
            if self._is_start(head, at, end):
                begins.append(("base64", at))
        if end - at >= _SHORTEST_SIGNED and _HEX.issuperset(head[at : at + _DIGESTS[0]]):
            begins += [
                ("base64", at + size)
                for size in _DIGESTS
                if _HEX.issuperset(head[at : at + size]) and self._is_start(head, at + size, end)
            ]
        return begins

    def _is_start(self, head: bytes, at: int, end: int) -> bool:
        first = head[at : at + _HEAD]
        if end - at < _HEAD:
            return False
        decoded = binascii.a2b_base64(first.translate(_URL_SAFE))
        if decoded[:2] in self._starts or first[:4] in _DOCUMENTS or _HEX.issuperset(decoded):
            return True
        return decoded[:1] in _OLD_PICKLES and decoded[2:4].isascii()


def _heads_of(starts: Iterable[bytes]) -> frozenset[bytes]:
    """Return the first two characters in base64 of data that begins so."""
    heads = [binascii.b2a_base64(start + b"\0", newline=False)[:2] for start in starts]
    return frozenset((*heads, *(head.translate(_TO_URL_SAFE) for head in heads)))


def _most(budget: ValueBudget) -> int:
    return max(4, min(WINDOW_BYTES, budget.read))


def _decode_hex(digits: bytes, budget: ValueBudget, *, cut: bool) -> Part:
    run = _HEX_RUN.match(digits, 0, _most(budget))
    size = len(run[0]) & ~1 if run else 0
    budget.read -= size
    return Part(binascii.unhexlify(digits[:size]), cut or size + 1 < len(digits))


def _decode_base64(head: bytes, begin: int, budget: ValueBudget, *, cut: bool) -> Part:
    most = _most(budget)
    run = _BREAKS.match(head, begin, begin + most)
    digits = run[0] if run else b""
    cut = len(digits) >= most or (cut and begin + len(digits) >= len(head))
    digits = _BREAK.sub(b"", digits).translate(_URL_SAFE)
    budget.read -= len(digits)
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    try:
        return Part(binascii.a2b_base64(digits + b"=" * (-len(digits) % 4)), cut)
    except binascii.Error:
        return Part(b"", cut=False)
