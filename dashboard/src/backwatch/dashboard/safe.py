"""The only way by which text that is not ours reaches the screen.

Streamlit renders Markdown almost everywhere, and fetches the images it names: an alert's text could make the operator's
browser call home. Only elements that show text as text are used here, and only with characters that cannot be seen, or that
reorder what is seen, made visible.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd
import streamlit as st

LONGEST: Final = 8_192
"""Characters of one text that are shown."""
CELL: Final = 400
_KEPT: Final = frozenset("\n\t")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(value: object, limit: int = LONGEST) -> str:
    """A text with control, bidirectional and zero-width characters as escapes, cut at ``limit`` characters.

    >>> visible("abc\\u202ecba\\x1b[2J")
    'abc\\\\u202ecba\\\\x1b[2J'
    """
    told = str(value)
    cut = told[:limit]
    shown = "".join(one if one in _KEPT or unicodedata.category(one) not in _HIDDEN else _escape(one) for one in cut)
    return shown if len(told) <= limit else f"{shown} … ({len(told):,} characters)"


def _escape(one: str) -> str:
    return one.encode("unicode_escape", "surrogatepass").decode("ascii")


def line(value: object, limit: int = CELL) -> str:
    """As :func:`visible`, on one line."""
    return visible(value, limit).replace("\n", "⏎").replace("\t", " ")


def text(value: object) -> None:
    """Plain text."""
    st.text(visible(value))


def code(value: object) -> None:
    """A statement or another text whose spacing counts."""
    st.code(visible(value), language=None, wrap_lines=True)


def evidence(facts: Mapping[str, Any]) -> None:
    """Facts by name, one to a row."""
    table([{"fact": line(name), "value": line(_plain(value))} for name, value in sorted(facts.items())])


COLOURS: Final = {
    "critical": "#ff6369", "high": "#f5903e", "medium": "#e2c04b", "low": "#5aa9e6", "informational": "#8896a5",
}  # fmt: skip
"""A level's colour, everywhere."""


def table(rows: Sequence[Mapping[str, Any]], *, coloured: str = "", **options: Any) -> Any:
    """Rows as a table of text and numbers; texts are made safe here, whoever made them.

    Args:
        rows: One mapping per row; all have the same keys.
        coloured: A column of levels, each shown in its colour.
        options: Handed on to ``st.dataframe``; columns that interpret text (links, images, Markdown) are refused.
    """
    for column in (options.get("column_config") or {}).values():
        kind = (column or {}).get("type_config", {}).get("type", "") if isinstance(column, dict) else ""
        if kind in ("link", "image", "markdown"):
            raise ValueError(f"a column of type {kind} would render text that is not ours")
    frame = pd.DataFrame([{name: line(cell) if isinstance(cell, str) else cell for name, cell in row.items()} for row in rows])
    shown = frame.style.map(_colour, subset=[coloured]) if coloured and rows else frame
    return st.dataframe(shown, hide_index=True, **options)


def _colour(level: object) -> str:
    return f"color: {COLOURS.get(str(level).lstrip('● '), 'inherit')}; font-weight: 600"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)


def when(time_ns: int | None) -> datetime | None:
    """A time for a table's column; ``None`` where there is none."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC) if time_ns else None


def ago(time_ns: int | None, now_ns: int) -> str:
    """How long ago, in one unit.

    >>> ago(0, 5), ago(10**9, 91 * 10**9), ago(10**9, 10**9)
    ('never', '1 min ago', 'now')
    """
    if not time_ns:
        return "never"
    seconds = (now_ns - time_ns) // 10**9
    if seconds < 1:
        return "now"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
