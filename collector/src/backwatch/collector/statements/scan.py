"""The entry point for probes and for the router: it turns a raw statement into a :class:`ScanResult`."""

from dataclasses import dataclass
from typing import Final

from backwatch.collector.runtime.keyed_cache import keyed_hash, remember
from backwatch.collector.statements import spec
from backwatch.collector.statements.signs import signs_of
from backwatch.collector.statements.skeleton import LONGEST, join_pieces, split_pieces
from backwatch.collector.statements.thinning import scan_thinned
from backwatch.collector.statements.writer import Writer, to_upper

CACHE_ENTRIES: Final = 2_048
"""Cached statements by text, and cached skeletons: at most 32 MB of redacted text, usually 0.5 MB."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of scanning a statement.

    Attributes:
        redacted: The statement without literals and comments, at most ``spec.SENT_BYTES`` long.
        signs: Words of ``names.SIGNS``, in that order.
        cut: True if the statement was longer than the scanned or sent part.
        operation: The first word in upper case, or empty.
    """

    redacted: str
    signs: tuple[str, ...]
    cut: bool
    operation: str


def scan(text: str, dialect: str) -> ScanResult:
    """Redact one statement and find its injection signs, in linear time. No text makes it raise.

    Args:
        text: The statement as the app passed it to its driver.
        dialect: One of ``spec.DIALECTS``; anything else is read as ``other``.
    """
    dialect = dialect if dialect in spec.DIALECTS else "other"
    shown, found, cut = scan_thinned(text, dialect)
    writer = Writer(shown, dialect)
    writer.write(found)
    redacted, shortened = writer.text(folded=False)
    cut = cut or shortened
    return ScanResult(redacted, signs_of(shown, dialect, found, cut=cut), cut, _operation(writer))


def _operation(writer: Writer) -> str:
    if spec.C_WORD not in writer.classes:
        return ""
    return to_upper(writer.out[writer.classes.index(spec.C_WORD)].lstrip(" "))[:32]


_Cache = dict[tuple[int | bytes, int, str], ScanResult]
_texts: _Cache = {}
_skeletons: _Cache = {}


def scan_cached(text: str, dialect: str) -> ScanResult:
    """:func:`scan`, remembered by the text, and by its skeleton for the next one that has other literals.

    Both caches use a keyed hash (Python's own is SipHash), so that no raw statement is kept, and an attacker cannot
    construct collisions.
    """
    key = (keyed_hash(text), len(text), dialect)
    known = _texts.get(key)
    if known is None:
        known = remember(_texts, key, scan_new(text, dialect), CACHE_ENTRIES)
    return known


def scan_new(text: str, dialect: str) -> ScanResult:
    """:func:`scan`, remembered by the skeleton only: for a text that the caller knows to be new."""
    if len(text) > LONGEST or dialect not in spec.DIALECTS:
        return scan(text, dialect)
    found = split_pieces(text, dialect)
    key = (keyed_hash("\0".join(found)), len(found), dialect)
    known = _skeletons.get(key)
    if known is None:
        shown = join_pieces(found, dialect)
        if "RANDOMBLOB" in shown.upper():
            return scan(text, dialect)  # whose argument distinguishes a delay from a default value
        known = remember(_skeletons, key, scan(shown, dialect), CACHE_ENTRIES)
    return known
