"""Texts of servers and URLs in messages: short, and without control characters."""

from typing import Final

MAX_CHARACTERS: Final = 200


def shorten(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Return a printable text of at most ``limit`` characters.

    >>> shorten("a\\nb\\x1b[31m")
    'a b [31m'
    """
    printable = "".join(character if character.isprintable() else " " for character in text[: limit + 1])
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"
