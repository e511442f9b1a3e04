"""Colours: a dark and a light theme, selected by the reader's system, with the colours of levels."""

from typing import Any, Final

import streamlit as st

_DARK: Final = {
    "critical": "#ff6b70", "high": "#f5903e", "medium": "#e2c04b", "low": "#5aa9e6", "informational": "#8c9aa8",
}  # fmt: skip
_LIGHT: Final = {
    "critical": "#c8242b", "high": "#b85508", "medium": "#8a6a00", "low": "#1d6fb0", "informational": "#5c6975",
}  # fmt: skip
_MONO: Final = "ui-monospace, 'SF Mono', 'JetBrains Mono', 'DejaVu Sans Mono', monospace"
_SANS: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"


def _section(name: str, levels: dict[str, str], **more: str) -> dict[str, Any]:
    words = zip(("red", "orange", "yellow", "blue", "gray"), levels.values(), strict=True)
    colours = {f"{word}{kind}": value for word, value in words for kind in ("Color", "TextColor")}
    return {f"theme.{name}.{option}": value for option, value in {**colours, **more}.items()}


THEME: Final = {
    "theme.font": _SANS,
    "theme.codeFont": _MONO,
    "theme.baseRadius": "6px",
    "theme.showWidgetBorder": True,
    "theme.paddingTop": "1.25rem",
    "theme.paddingBottom": "2rem",
    "theme.headingFontSizes": ["1.6rem", "1.3rem", "1.05rem", "1rem", "1rem", "1rem"],
    "theme.headingFontWeights": [650, 650, 650, 600, 600, 600],
    "theme.metricValueFontSize": "1.7rem",
    **_section(
        "dark", _DARK, primaryColor="#4cc2b0", backgroundColor="#10161d", secondaryBackgroundColor="#18212b",
        textColor="#e3e9ee", borderColor="#2a3642", linkColor="#6fd3c3",
    ),
    **_section(
        "light", _LIGHT, primaryColor="#0e7c6b", backgroundColor="#ffffff", secondaryBackgroundColor="#f2f5f7",
        textColor="#17212b", borderColor="#d3dae0", linkColor="#0b6b5c",
    ),
}  # fmt: skip
"""Streamlit's options. Neither section is the base: the browser's ``prefers-color-scheme`` decides."""


def levels() -> dict[str, str]:
    """Each level's colour in the theme that the reader sees."""
    return _LIGHT if st.context.theme.type == "light" else _DARK


def directions() -> list[str]:
    """Colours of what is received and what is sent."""
    return ["#0e7c6b", "#b85508"] if st.context.theme.type == "light" else ["#4cc2b0", "#f5903e"]
