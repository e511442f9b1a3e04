"""The only way by which text from outside reaches the screen.

Streamlit renders Markdown almost everywhere, and fetches the images it names: an alert's text could make the operator's
browser call home. Only elements that show text as text are used here, and only with characters that cannot be seen, or
that reorder what is seen, made visible. Words of :mod:`backwatch.dashboard.words` are safe everywhere.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
import streamlit as st

from backwatch.collector.facts import IDENTIFIERS, in_reading_order, label_of
from backwatch.dashboard import palette

LONGEST: Final = 8_192
"""Characters of one text that are shown."""
CELL: Final = 400
"""Characters shown in a table cell whose rest does not matter."""
COLOURED: Final = 300
"""Rows up to which a table's levels are coloured: a style for each cell costs more than all else of a large table."""
_KEPT: Final = frozenset("\n\t")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00013441\U00013442\U00016fe4\U0001d159"
    "\U000e0100-\U000e01ef]"
)
"""Letters and marks that are drawn as nothing: fillers, joiners, variation selectors; and what Unicode does not call
ignorable: the empty cell of Braille, the blanks of hieroglyphs, the filler of Khitan, the null head of a note."""
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9 ,'-]*")
"""Text without a meaning in Markdown, in Streamlit's directives or for link detection."""
_ID: Final = re.compile(r"[0-9a-f]{64}")
_RULE: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""Words joined by single hyphens: no dash, list or rule in any renderer."""


def visible(value: object, limit: int = LONGEST) -> str:
    r"""Return a text with control, bidirectional and zero-width characters as escapes, cut at ``limit`` characters.

    >>> visible("abc\u202ecba\x1b[2J")
    'abc\\u202ecba\\x1b[2J'
    """
    value = str(value)
    shown = "".join(map(_show_character, value[:limit]))
    return shown if len(value) <= limit else f"{shown} … ({len(value):,} characters)"


def _show_character(character: str) -> str:
    if character in _KEPT or (unicodedata.category(character) not in _HIDDEN and not _UNSEEN.match(character)):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def line(value: object, limit: int = CELL) -> str:
    """Return the text as :func:`visible` does, on one line."""
    return visible(value, limit).replace("\n", "⏎").replace("\t", " ")


def is_id(value: str) -> bool:
    """Return whether the text is the id of an alert or a resource."""
    return _ID.fullmatch(value) is not None


def is_rule(value: str) -> bool:
    """Return whether the text can be a rule's name, which no renderer interprets."""
    return len(value) <= 64 and _RULE.fullmatch(value) is not None


def text(value: object) -> None:
    """Draw plain text."""
    st.text(visible(value))


def code(value: object) -> None:
    """Draw a statement, or other text whose spacing matters."""
    st.code(visible(value), language=None, wrap_lines=True)


def heading(value: object) -> None:
    """Draw a page's heading: a real one for plain words only, otherwise plain text that looks like one."""
    words = line(value, 200)
    if _PLAIN.fullmatch(words):
        st.title(words, anchor=False)
    else:
        with st.container(key="heading"):
            st.text(words)


def evidence(facts: Mapping[str, Any], *, but: Sequence[str] = (), key: str) -> None:
    """Draw facts by label, with their names, one per row, in reading order."""
    names = [name for name in in_reading_order(facts) if name not in but]
    rows = [(label_of(name), fact(name, facts[name]), name) for name in names]
    pairs(rows, ("fact", "value", "name"), key=key, widths=(165, 270, 225))


def pairs(rows: Sequence[Sequence[str]], heads: Sequence[str], *, key: str, widths: Sequence[int] = (120, 300)) -> None:
    """Draw names and values, in columns of the given widths in pixels."""
    config = {head: st.column_config.TextColumn(width=width) for head, width in zip(heads, widths, strict=True)}
    cells = [dict(zip(heads, row, strict=True)) for row in rows]
    table(cells, longest=LONGEST, key=key, column_config=config, height="content")


def table(rows: Sequence[Mapping[str, Any]], *, coloured: str = "", longest: int = CELL, **options: Any) -> Any:
    """Draw rows as a table of text and numbers, and make every text safe.

    Args:
        rows: One mapping per row; all have the same keys.
        coloured: A column of levels, each shown in its colour while there are no more than ``COLOURED`` rows.
        longest: Characters of a cell that are shown.
        options: Handed on to ``st.dataframe``. Columns that interpret text (links, images, Markdown) are refused, and
            so is a button whose label is anything but an id or a rule's name.
    """
    for name, column in (options.get("column_config") or {}).items():
        kind = _kind(column)
        if kind in ("link", "image", "markdown"):
            raise ValueError(f"a column of type {kind} would render text from outside")
        labels = ["".join(row[name].split()) for row in rows] if kind == "button" else []
        if not all(is_id(label) or is_rule(label) for label in labels):
            raise ValueError("the label of a button in a table must be an id or a rule's name: it is rendered")
    frame = pd.DataFrame(
        [{name: line(cell, longest) if isinstance(cell, str) else cell for name, cell in row.items()} for row in rows]
    )
    shown = frame.style.map(_colour, subset=[coloured]) if coloured and 0 < len(rows) <= COLOURED else frame
    return st.dataframe(shown, hide_index=True, **options)


def _kind(column: Any) -> str:
    config = getattr(column, "config", column)
    return config.get("type_config", {}).get("type", "") if isinstance(config, dict) else ""


def _colour(level: object) -> str:
    colour = palette.levels().get(str(level).lstrip("● "))
    return f"color: {colour}; font-weight: 600" if colour else ""


def fact(name: str, value: Any) -> str:
    """Return a fact's value for reading, formatted by its name.

    >>> fact("server.port", 5432), fact("backwatch.bytes.sent", 5432)
    ('5432', '5,432')
    """
    return str(value) if name in IDENTIFIERS else plain(value)


def plain(value: Any) -> str:
    """Return a fact's value for reading.

    >>> plain(True), plain(48211), plain("full"), plain(["a", 1])
    ('yes', '48,211', 'full', '["a", 1]')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
