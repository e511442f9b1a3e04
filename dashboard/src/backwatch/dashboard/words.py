"""Words from closed sets: for any input, the result has no meaning in Markdown.

Elements that render Markdown accept only these words and literals; a test checks the pages for that.
"""

from datetime import UTC, datetime
from typing import Final, Literal

from backwatch.store.views import STATES

LEVELS: Final = ("critical", "high", "medium", "low", "informational")
"""Gravest first."""
STATE_MARKS: Final = {"open": "● open", "acknowledged": "◐ acknowledged", "closed": "○ closed", "muted": "◌ muted"}
Colour = Literal["red", "orange", "yellow", "blue", "gray"]
_COLOURS: Final[dict[str, Colour]] = {
    "critical": "red",
    "high": "orange",
    "medium": "yellow",
    "low": "blue",
    "informational": "gray",
}


def level(text: str) -> str:
    """Return the word of a level.

    >>> level("high"), level("![x](http://evil.example)")
    ('high', 'unknown')
    """
    return text if text in LEVELS else "unknown"


def state(text: str) -> str:
    """Return the word of a state."""
    return text if text in STATES else "unknown"


def colour(text: str) -> Colour:
    """Return Streamlit's name for the colour of a level."""
    return _COLOURS.get(text, "gray")


def mark(text: str) -> str:
    """Return the coloured mark of a level, for headings."""
    return f":{colour(text)}[●]"


def count(number: int) -> str:
    """Return a number with thousands separators.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{int(number):,}"


def format_moment(time_ns: int | None) -> str:
    """Return a time, UTC, to the second; empty if there is none.

    >>> format_moment(1_700_000_000 * 10**9)
    '2023-11-14 22:13:20'
    """
    if not time_ns:
        return ""
    return datetime.fromtimestamp(min(time_ns, 253_402_300_799 * 10**9) // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def ago(time_ns: int | None, now_ns: int) -> str:
    """Return how long ago a time was, in one unit.

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


def lasts(until_ns: int) -> str:
    """Return the end of a mute or an acceptance."""
    year_9999_ns = 253_370_764_800 * 10**9
    return "for good" if not until_ns or until_ns >= year_9999_ns else f"until {format_moment(until_ns)} UTC"
