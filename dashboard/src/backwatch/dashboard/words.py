"""Words from closed sets: whatever goes in, what comes out has no meaning to Markdown and may stand anywhere.

Only what is made here, and literals, may be handed to an element that renders Markdown; a test holds the pages to it.
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


def level(told: str) -> str:
    """A level's word.

    >>> level("high"), level("![x](http://evil.example)")
    ('high', 'unknown')
    """
    return told if told in LEVELS else "unknown"


def state(told: str) -> str:
    """A state's word."""
    return told if told in STATES else "unknown"


def colour(told: str) -> Colour:
    """The name that Streamlit's badges and directives have for a level's colour."""
    return _COLOURS.get(told, "gray")


def mark(told: str) -> str:
    """A level's mark, coloured, for our own headings."""
    return f":{colour(told)}[●]"


def count(number: int) -> str:
    """A number with its thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{int(number):,}"


def moment(time_ns: int | None) -> str:
    """A time of day, UTC, to the second; empty where there is none.

    >>> moment(1_700_000_000 * 10**9)
    '2023-11-14 22:13:20'
    """
    if not time_ns:
        return ""
    return datetime.fromtimestamp(min(time_ns, 253_402_300_799 * 10**9) // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")


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


def lasts(until_ns: int) -> str:
    """Until when a mute or an acceptance holds."""
    year_9999_ns = 253_370_764_800 * 10**9
    return "for good" if not until_ns or until_ns >= year_9999_ns else f"until {moment(until_ns)} UTC"
