"""A statement as the app passed it, made fit to be queued: redacted, signed, cut. Its raw text goes no further."""

import re
from typing import Final

from backwatch.collector import names
from backwatch.collector.statements.scan import scan_cached
from backwatch.collector.statements.signs import dialect_of

MAX_REMEMBERED: Final = 2048
MAX_REMEMBERED_TEXT: Final = 1024
_HEAD_BYTES: Final = 4 * 48 * 1024
_TAIL_BYTES: Final = 4 * 16 * 1024
_FIRST_WORD: Final = re.compile(r"[A-Za-z_]{1,30}")
_first_words: dict[str, str] = {}
_joined: dict[object, str] = {}


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
    """Redacted text, signs joined by commas, and the first word in upper case.

    Args:
        sql: ``str`` or bytes; anything else gives no text.
        system: ``db.system.name``, which tells the dialect.
    """
    scanned = scan_cached(_as_text(sql), dialect_of(system))
    text = scanned.redacted
    word = _first_words.get(text)
    if word is None:
        found = _FIRST_WORD.search(text)
        word = found.group().upper() if found else ""
        if len(_first_words) >= MAX_REMEMBERED:
            _first_words.clear()
        if len(text) <= MAX_REMEMBERED_TEXT:
            _first_words[text] = word
    if not scanned.signs:
        return text, "", word
    signs = _joined.get(scanned.signs)
    if signs is None:
        signs = _joined[scanned.signs] = ",".join(sign for sign in names.SIGNS if sign in scanned.signs)
    return text, signs, word
