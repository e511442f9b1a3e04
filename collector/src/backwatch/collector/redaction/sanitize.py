"""Sanitizing of statements: redacted, searched for injection signs, and cut. The raw text goes no further."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.redaction.plain import hide_literals, strip_rows
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import HASH_IS_KEYED, remember
from backwatch.collector.statements.dialects import dialect_of
from backwatch.collector.statements.scan import CACHE_ENTRIES, scan_cached, scan_new

_HEAD_BYTES: Final = 4 * 64 * 1024
# If the scanner fails on a text, the text is not reported but its call is: a failure must not hide the call.
_scan = never_breaks_the_host(
    scan_new if HASH_IS_KEYED else scan_cached
)  # with HASH_IS_KEYED the text is remembered here
_SCRIPT: Final = 16_384
"""Reported characters of a script that contains rows: it is scanned twice."""
_joined: dict[tuple[str, ...], str] = {}

SanitizedStatement = tuple[str, str, str]
_known: dict[type, dict[tuple[int, int, str], SanitizedStatement]] = {str: {}, bytes: {}}


def _as_text(sql: object) -> str:
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes | bytearray | memoryview):
        # The scanner reads 64 KiB; one more character shows that the text was cut.
        return bytes(memoryview(sql)[: _HEAD_BYTES + 4]).decode("utf-8", "replace")
    return ""


def sanitize(sql: object, system: str) -> SanitizedStatement:
    """Return the redacted text, the signs joined by commas in the order of ``names.SIGNS``, and the operation.

    Args:
        sql: ``str`` or bytes; anything else returns empty texts.
        system: ``db.system.name``, which determines the dialect.
    """
    known = _known.get(sql.__class__) if HASH_IS_KEYED else None
    if known is None:
        return _sanitize_new(sql, system)
    # Python's own hash is keyed (SipHash): no raw statement is kept, and an attacker cannot construct collisions.
    mark = (hash(sql), len(sql), system)  # pyright: ignore[reportArgumentType]  a str or bytes, as just seen
    prepared = known.get(mark)
    if prepared is None:
        prepared = remember(known, mark, _sanitize_new(sql, system), CACHE_ENTRIES)
    return prepared


def _sanitize_new(sql: object, system: str) -> SanitizedStatement:
    dialect = dialect_of(system)
    text = hide_literals(_as_text(sql), system)
    scanned = _scan(text, dialect)
    if scanned is None:
        return "", "", ""
    found, redacted = scanned.signs, scanned.redacted
    # Text that looks like rows may still be statements: it is not reported, but its signs are.
    if dialect == "postgresql" and (cut := strip_rows(text)) is not text:
        shown = _scan(cut[:_SCRIPT], dialect)
        redacted = "" if shown is None else shown.redacted
    if not found:
        return redacted, "", scanned.operation
    signs = _joined.get(found)
    if signs is None:
        signs = _joined[found] = ",".join(sign for sign in names.SIGNS if sign in found)
    return redacted, signs, scanned.operation
