"""A statement as the app passed it, made fit to be queued: redacted, signed, cut. Its raw text goes no further."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.redaction.plain import plain, without_rows
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import HASH_IS_KEYED, remember
from backwatch.collector.statements.dialects import dialect_of
from backwatch.collector.statements.scan import CACHE_ENTRIES, scan_cached, scan_new

_HEAD_BYTES: Final = 4 * 64 * 1024
# A text on which the scanner failed is not told, but its call is: failing it must not be a way to hide.
_scan = never_breaks_the_host(
    scan_new if HASH_IS_KEYED else scan_cached
)  # with HASH_IS_KEYED the text is remembered here
_SCRIPT: Final = 16_384
"""Characters that are told of a script with rows in it: it is scanned twice."""
_joined: dict[tuple[str, ...], str] = {}

SanitizedStatement = tuple[str, str, str]
_known: dict[type, dict[tuple[int, int, str], SanitizedStatement]] = {str: {}, bytes: {}}


def _as_text(sql: object) -> str:
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes | bytearray | memoryview):
        # The scanner looks at 64 KiB; one more character says that there are more.
        return bytes(memoryview(sql)[: _HEAD_BYTES + 4]).decode("utf-8", "replace")
    return ""


def sanitize(sql: object, system: str) -> SanitizedStatement:
    """Redacted text, signs joined by commas in the order of ``names.SIGNS``, and the operation: ``SELECT``.

    Args:
        sql: ``str`` or bytes; anything else gives no text.
        system: ``db.system.name``, which tells the dialect.
    """
    known = _known.get(sql.__class__) if HASH_IS_KEYED else None
    if known is None:
        return _prepared(sql, system)
    # Python's own hash is keyed (SipHash): no raw statement is kept, and no two texts can be made to meet.
    mark = (hash(sql), len(sql), system)  # pyright: ignore[reportArgumentType]  a str or bytes, as just seen
    prepared = known.get(mark)
    if prepared is None:
        prepared = remember(known, mark, _prepared(sql, system), CACHE_ENTRIES)
    return prepared


def _prepared(sql: object, system: str) -> SanitizedStatement:
    dialect = dialect_of(system)
    text = plain(_as_text(sql), system)
    scanned = _scan(text, dialect)
    if scanned is None:
        return "", "", ""
    told, redacted = scanned.signs, scanned.redacted
    # What looks like rows may be statements all the same: they are not told, but what they show is.
    if dialect == "postgresql" and (cut := without_rows(text)) is not text:
        shown = _scan(cut[:_SCRIPT], dialect)
        redacted = "" if shown is None else shown.redacted
    if not told:
        return redacted, "", scanned.operation
    signs = _joined.get(told)
    if signs is None:
        signs = _joined[told] = ",".join(sign for sign in names.SIGNS if sign in told)
    return redacted, signs, scanned.operation
