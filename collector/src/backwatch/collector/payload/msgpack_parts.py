"""MessagePack: the byte strings and extension types of a document, where libraries put pickles."""

import re
from typing import Final

from backwatch.collector.payload.budget import ValueBudget
from backwatch.collector.payload.containers import Part

MAX_TOKENS: Final = 2_000
"""Tokens of one document that are read."""
MIN_PART_BYTES: Final = 8
_CHECKED_BYTES: Final = 64
"""Bytes of a text by which it is distinguished from random bytes."""
TIMESTAMP: Final = 0xFF
"""The extension type -1, which is part of the specification."""
_FIXED: Final = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0), 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2,
    0xD2: 4, 0xD3: 8,
}  # fmt: skip
"""Bytes of the value behind a token without parts."""
_COUNTED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""Bytes of the length of byte strings and texts."""
_EXTENSIONS: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENSIONS: Final = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_COLLECTIONS: Final = frozenset((0xDC, 0xDD, 0xDE, 0xDF))
FIRST: Final = bytes((*range(0x81, 0xA0), 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9), *range(0xDC, 0xE0)))
"""First bytes of documents that may hold them: maps, lists, byte strings and extensions."""
_NAME: Final = re.compile(rb"[A-Za-z_][\w.]{0,119}\Z")


class MessagePack:
    """The result of reading one document.

    Attributes:
        parts: Byte strings, texts and contents of extensions that may hold another format.
        names: ``module.name`` of extensions that name a callable by two texts, as LangGraph's do.
        extensions: True if there are extension types of the application.
        whole: True if the document is valid up to its end, or up to the bound.
    """

    __slots__ = ("_data", "extensions", "names", "parts", "whole")

    def __init__(self, data: bytes, budget: ValueBudget) -> None:
        self._data = data
        self.parts: list[Part] = []
        self.names: list[str] = []
        self.extensions = False
        self.whole = self._read(budget)

    def _read(self, budget: ValueBudget) -> bool:
        data, at, end, missing = self._data, 0, len(self._data), 1
        for _ in range(max(0, min(MAX_TOKENS, budget.opcodes))):
            if not missing or at >= end:
                return not missing and at == end
            code = data[at]
            at += 1
            missing -= 1
            budget.opcodes -= 1
            if code < 0x80 or code >= 0xE0:  # small numbers
                continue
            if code < 0xA0:  # a small map or list
                missing += (code & 0x0F) * (2 if code < 0x90 else 1)
            elif code < 0xC0:
                at = self._add_text(at, code & 0x1F)
            elif code in _FIXED:
                at += _FIXED[code]
            elif code in _COUNTED:
                width = _COUNTED[code]
                size = int.from_bytes(data[at : at + width], "big")
                at = self._add(at + width, size) if code < 0xC7 else self._add_text(at + width, size)
            elif code in _EXTENSIONS:
                width = _EXTENSIONS[code]
                at = self._add_extension(at + width, int.from_bytes(data[at : at + width], "big"))
            elif code in _FIXED_EXTENSIONS:
                at = self._add_extension(at, _FIXED_EXTENSIONS[code])
            elif code in _COLLECTIONS:
                width = 2 if code in (0xDC, 0xDE) else 4
                count = int.from_bytes(data[at : at + width], "big")
                missing += count * (2 if code >= 0xDE else 1)
                at += width
            else:
                return False
            if at < 0:
                return False
        return True

    def _add_text(self, begin: int, size: int) -> int:
        """Add a text, and return where it ends; -1: it is none."""
        try:
            self._data[begin : begin + min(size, _CHECKED_BYTES)].decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start < _CHECKED_BYTES - 4:
                return -1
        return self._add(begin, size)

    def _add(self, begin: int, size: int) -> int:
        if size >= MIN_PART_BYTES:
            part = self._data[begin : begin + size]
            self.parts.append(Part(part, len(part) < size))
        return begin + size

    def _add_extension(self, at: int, size: int) -> int:
        if self._data[at : at + 1] != bytes((TIMESTAMP,)):
            self.extensions = True
            self._add_name(self._data[at + 1 : at + 1 + min(size, 512)])
        return self._add(at + 1, size)

    def _add_name(self, content: bytes) -> None:
        """Note the callable if the content is a list that begins with a module and a name."""
        if not content or not 0x92 <= content[0] <= 0x9F:
            return
        words: list[bytes] = []
        at = 1
        for _ in range(2):
            code = content[at] if at < len(content) else 0
            if 0xA1 <= code <= 0xBF:
                begin, size = at + 1, code & 0x1F
            elif code == 0xD9 and at + 1 < len(content):
                begin, size = at + 2, content[at + 1]
            else:
                return
            words.append(content[begin : begin + size])
            at = begin + size
        if all(_NAME.match(word) for word in words):
            self.names.append(b".".join(words).decode())
