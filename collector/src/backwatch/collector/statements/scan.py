"""The one entry for probes and for the router: a raw statement in, what may leave out."""

import hashlib
import secrets
import sys
from dataclasses import dataclass
from typing import Final

from backwatch.collector.statements import spec
from backwatch.collector.statements.signs import signs_of
from backwatch.collector.statements.tokens import bounded, tokens
from backwatch.collector.statements.writer import Writer, upper

CACHE_ENTRIES: Final = 2_048
"""Statements remembered by :func:`scan_cached`: at most 16 MB of redacted text, and usually 0.5."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What may be said of a statement.

    Attributes:
        redacted: The statement without literals and comments, at most ``spec.SENT_BYTES`` long.
        signs: Words of ``names.SIGNS``, in that order.
        cut: It was longer than what is scanned or sent.
        operation: Its first word in upper case, empty where there is none.
    """

    redacted: str
    signs: tuple[str, ...]
    cut: bool
    operation: str


def scan(text: str, dialect: str) -> Scanned:
    """Redacts one statement and names its signs, in one pass and linear time; raises on no text.

    Args:
        text: The statement as the app gave it to its driver.
        dialect: One of ``spec.DIALECTS``; anything else is read as ``other``.
    """
    dialect = dialect if dialect in spec.DIALECTS else "other"
    shown, cut = bounded(text)
    found = tokens(shown, dialect)
    writer = Writer(shown, dialect)
    writer.write(found)
    redacted, shortened = writer.text(folded=False)
    cut = cut or shortened
    return Scanned(redacted, signs_of(shown, dialect, found, cut=cut), cut, _operation(writer))


def _operation(writer: Writer) -> str:
    if spec.C_WORD not in writer.classes:
        return ""
    return upper(writer.out[writer.classes.index(spec.C_WORD)].lstrip(" "))[:32]


_KEYED: Final = bool(sys.flags.hash_randomization)
_KEY: Final = secrets.token_bytes(32)
_cache: dict[tuple[int | bytes, int, str], Scanned] = {}


def scan_cached(text: str, dialect: str) -> Scanned:
    """:func:`scan`, remembered by a keyed hash of the text, so that no raw statement is kept.

    Python's own hash is keyed (SipHash) unless ``PYTHONHASHSEED`` fixed it; then BLAKE2b under a key of this process.
    """
    mark = hash(text) if _KEYED else hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=_KEY).digest()
    key = (mark, len(text), dialect)
    known = _cache.get(key)
    if known is None:
        known = scan(text, dialect)
        if len(_cache) >= CACHE_ENTRIES:
            _cache.clear()  # cheaper than keeping an order, and no thread can find it half done
        _cache[key] = known
    return known
