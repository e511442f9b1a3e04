"""Writes a profile as YAML: sorted, one entry to a group of lines, the same bytes for the same content.

Two branches that add different entries merge without a conflict, except where both add at the same place.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from backwatch.detector.profile.document import FORMAT, SECTIONS, Profile

HEADER: Final = (
    "# What this app may do. Learnt by backwatch profile learn and pytest --backwatch-record; reviewed by you.\n"
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@+-]*(?::[A-Za-z0-9_./@+<>-]+)*")
"""Texts that stand in YAML without quotes, and mean themselves."""


def serialize(profile: Profile) -> str:
    """Return the document; :func:`~backwatch.detector.profile.reading.parse` reads the same profile from it."""
    plain = profile.plain()
    lines = [HEADER, f"profile: {FORMAT}\n", f"app: {quote(profile.app)}\n"]
    for name in ("announced", *SECTIONS):
        entries = plain.get(name, ())
        if name == "announced":
            entries = sorted(entries, key=lambda entry: entry["resource"])
        if entries:
            lines += ["\n", f"{name}:\n", *(line for entry in entries for line in _entry_lines(entry))]
    return "".join(lines)


def quote(text: str) -> str:
    r"""Return a text as YAML reads it back, on one line; what cannot be printed is escaped.

    >>> quote("shop/orders.py:list"), quote('SELECT "a"'), quote("a\x1b\u202e")
    ('shop/orders.py:list', '"SELECT \\"a\\""', '"a\\x1b\\u202e"')
    """
    return text if _PLAIN.fullmatch(text) else '"' + "".join(map(_escape, text)) + '"'


def _escape(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _entry_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    mark = "  - "
    for name, value in entry.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            yield f"{mark}{name}:\n"
            yield from (f"      - {quote(str(item))}\n" for item in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        else:
            yield f"{mark}{name}: {quote(str(value))}\n"
        mark = "    "
