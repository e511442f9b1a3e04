"""A statement as the app passed it, made fit to be queued: redacted, signed, cut. Its raw text goes no further."""

from typing import Final

from backwatch.collector import names
from backwatch.collector.guard import never_breaks_the_host
from backwatch.collector.statements.dialects import dialect_of
from backwatch.collector.statements.scan import scan_cached

_HEAD_BYTES: Final = 4 * 48 * 1024
_TAIL_BYTES: Final = 4 * 16 * 1024
# A text on which the scanner failed is not told, but its call is: failing it must not be a way to hide.
_scan = never_breaks_the_host(scan_cached)
_joined: dict[tuple[str, ...], str] = {}


def _as_text(sql: object) -> str:
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes | bytearray | memoryview):
        raw = bytes(sql)
        if len(raw) > _HEAD_BYTES + _TAIL_BYTES:
            # The scanner looks at 48 Ki characters of head and 16 of tail; no character has more than four bytes.
            raw = raw[:_HEAD_BYTES] + raw[-_TAIL_BYTES:]
        return raw.decode("utf-8", "replace")
    return ""


def prepare(sql: object, system: str) -> tuple[str, str, str]:
    """Redacted text, signs joined by commas in the order of ``names.SIGNS``, and the operation: ``SELECT``.

    Args:
        sql: ``str`` or bytes; anything else gives no text.
        system: ``db.system.name``, which tells the dialect.
    """
    scanned = _scan(_as_text(sql), dialect_of(system))
    if scanned is None:
        return "", "", ""
    told = scanned.signs
    if not told:
        return scanned.redacted, "", scanned.operation
    signs = _joined.get(told)
    if signs is None:
        signs = _joined[told] = ",".join(sign for sign in names.SIGNS if sign in told)
    return scanned.redacted, signs, scanned.operation
