"""Search for canaries in bytes and texts, in every form: whole or a piece, in other case, encoded."""

import base64
import logging
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes

from tests.leaks.corpus import Canary

PIECE = 6
"""Characters that are a leak."""
NUMBER_PIECE = 10
"""Digits and hexadecimal digits that are a leak where other random numbers stand about: times, certificates."""

NUMBER = re.compile(rb"[0-9a-f]+")


class Finder:
    """A search for any of these canaries.

    Args:
        among_numbers: True if the output also holds unrelated random numbers.
    """

    def __init__(self, canaries: Iterable[Canary], *, among_numbers: bool = False) -> None:
        self._plain: dict[int, dict[bytes, Canary]] = {}
        self._exact: dict[int, dict[bytes, Canary]] = {}
        self._number = NUMBER_PIECE if among_numbers else PIECE
        for canary in canaries:
            for part in canary.parts:
                self._remember(part, canary)
        if among_numbers:
            self._forget_numbers()

    def _remember(self, part: str, canary: Canary) -> None:
        size = self._number if canary.shape in ("digits", "int", "hex", "uuid") else PIECE
        raw = part.encode()
        self._add(self._plain, raw.lower(), size, canary)
        self._add(self._plain, raw.hex().encode(), 2 * size, canary)
        for offset in range(3):
            # Only the digits that these bytes alone determine: not those that they share with their neighbours.
            encoded = base64.b64encode(b"\0" * offset + raw)[(0, 2, 3)[offset] :]
            encoded = encoded[: len(encoded) - (0, 3, 2)[(offset + len(raw)) % 3]]
            self._add(self._exact, encoded, 8, canary)
            self._add(self._exact, encoded.replace(b"+", b"-").replace(b"/", b"_"), 8, canary)

    @staticmethod
    def _add(pieces: dict[int, dict[bytes, Canary]], text: bytes, size: int, canary: Canary) -> None:
        known = pieces.setdefault(size, {})
        for start in range(len(text) - size + 1):
            known[text[start : start + size]] = canary

    def _forget_numbers(self) -> None:
        """Return short pieces of words that could also be hexadecimal digits."""
        for size, known in self._plain.items():
            if size < NUMBER_PIECE:
                self._plain[size] = {piece: one for piece, one in known.items() if not NUMBER.fullmatch(piece)}

    def find(self, where: bytes | str) -> list[tuple[Canary, str]]:
        """Return each canary found, once, with the found part."""
        raw = where.encode("utf-8", "replace") if isinstance(where, str) else where
        seen: dict[Canary, str] = {}
        for text in {raw, unquote_to_bytes(raw)}:
            for pieces, haystack in ((self._plain, text.lower()), (self._exact, text)):
                for size, known in pieces.items():
                    windows = {haystack[at : at + size] for at in range(len(haystack) - size + 1)}
                    for piece in windows & known.keys():
                        seen.setdefault(known[piece], piece.decode("latin-1"))
        return list(seen.items())


def shown(found: Iterable[tuple[Canary, str]], where: str = "") -> list[str]:
    """Format findings for an assertion's message: one line for each entry."""
    return sorted({f"{canary.entry} [{canary.shape}, seen as {piece!r}] {where}" for canary, piece in found})


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s %(args)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def capture_logs() -> Generator[list[str]]:
    """Capture all logs below ``backwatch``, with DEBUG and tracebacks."""
    logger = logging.getLogger("backwatch")
    handler, before = _Kept(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
