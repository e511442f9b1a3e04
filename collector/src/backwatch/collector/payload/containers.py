"""Containers around serialised data: compression, archives, arrays and MessagePack. Opened, never loaded.

An opener returns the parts that a container holds, each within the budget, or ``None`` if the data is no such
container. zstd and lz4, which the standard library cannot read, are recognised and not opened.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from backwatch.collector.payload.budget import WINDOW_BYTES, ValueBudget

MAX_PARTS: Final = 16
"""Parts of one container that are inspected."""
XZ_MEMORY_BYTES: Final = 72 << 20
"""Memory that an xz stream may demand, touched only as it is filled: the dictionary of the highest preset."""
_ZIP_HEADER_BYTES: Final = 30
_MAX_ZIP_MEMBERS: Final = 64
_NPY_DTYPE: Final = b"'descr': '|O"
_ZFILE_PREFIX_BYTES: Final = 21
"""Bytes before the zlib stream of joblib's old format: ``ZF``, and the length in 19 characters."""


class Part(NamedTuple):
    """One part of a container.

    Attributes:
        data: Its first bytes.
        cut: True if there are more.
    """

    data: bytes
    cut: bool


Opener = Callable[[bytes, ValueBudget], "list[Part] | None"]


def _most(budget: ValueBudget) -> int:
    return max(1, min(WINDOW_BYTES, budget.read))


def open_zlib(data: bytes, budget: ValueBudget) -> list[Part] | None:
    """Open a zlib or gzip stream."""
    most = _most(budget)
    unpacker = zlib.decompressobj(47)
    try:
        opened = unpacker.decompress(data[: 2 * most], most)
    except zlib.error:
        return None
    budget.read -= len(opened)
    return [Part(opened, not unpacker.eof)]


def open_bzip2(data: bytes, budget: ValueBudget) -> list[Part] | None:
    """Open a bzip2 stream. A block is decompressed as a whole: one of 900 kB takes a millisecond."""
    most, unpacker = _most(budget), bz2.BZ2Decompressor()
    try:
        opened = unpacker.decompress(data[: 2 * most], most)
    except (OSError, ValueError, EOFError):
        return None
    budget.read -= max(len(opened), most // 2)
    return [Part(opened, not unpacker.eof)]


def open_xz(data: bytes, budget: ValueBudget) -> list[Part] | None:
    """Open an xz stream, or one of its predecessor LZMA."""
    most = _most(budget)
    try:
        unpacker = lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES)
        opened = unpacker.decompress(data[: 2 * most], most)
    except (lzma.LZMAError, EOFError, MemoryError):
        return None
    budget.read -= len(opened)
    return [Part(opened, not unpacker.eof)]


def open_zfile(data: bytes, budget: ValueBudget) -> list[Part] | None:
    """Open joblib's old compressed format."""
    return open_zlib(data[_ZFILE_PREFIX_BYTES:], budget) if data[2:4] == b"0x" else None


def open_npy(data: bytes, _budget: ValueBudget) -> list[Part] | None:
    """Open an array of NumPy: behind its header stands a pickle if it holds objects."""
    if len(data) < 12:
        return None
    wide = data[6] > 1
    begin = 12 if wide else 10
    end = begin + int.from_bytes(data[8:begin], "little")
    if _NPY_DTYPE not in data[begin : min(end, begin + WINDOW_BYTES)].replace(b'"', b"'"):
        return []
    return [_slice(data, end, len(data))]


def open_zip(data: bytes, budget: ValueBudget) -> list[Part] | None:
    """Open the first members of a ZIP archive, such as a model of PyTorch or arrays of NumPy.

    It follows the headers before the members. A member of unknown length ends the walk.
    """
    parts: list[Part] = []
    at = 0
    for _ in range(_MAX_ZIP_MEMBERS):
        if data[at : at + 4] != b"PK\x03\x04" or len(parts) >= MAX_PARTS or budget.read <= 0:
            break
        flags = int.from_bytes(data[at + 6 : at + 8], "little")
        method = int.from_bytes(data[at + 8 : at + 10], "little")
        size = int.from_bytes(data[at + 18 : at + 22], "little")
        name = int.from_bytes(data[at + 26 : at + 28], "little")
        begin = at + _ZIP_HEADER_BYTES + name + int.from_bytes(data[at + 28 : at + 30], "little")
        unknown = bool(flags & 8) and not size
        end = len(data) if unknown or size == 0xFFFFFFFF else begin + size
        part = _zip_member(data, begin, end, method, budget)
        if part is not None and part.data:
            parts.append(part)
        if unknown:
            break
        at = end
    return parts


def _zip_member(data: bytes, begin: int, end: int, method: int, budget: ValueBudget) -> Part | None:
    if method == 0:
        return _slice(data, begin, end)
    most = _most(budget)
    packed = data[begin : min(end, begin + 2 * most)]
    if method == 8:
        unpacker = zlib.decompressobj(-15)
        try:
            opened = unpacker.decompress(packed, most)
        except zlib.error:
            return None
        budget.read -= len(opened)
        return Part(opened, not unpacker.eof)
    opened_parts = open_bzip2(packed, budget) if method == 12 else None
    return opened_parts[0] if opened_parts else None


def _slice(data: bytes, begin: int, end: int) -> Part:
    last = min(end, begin + 4 * WINDOW_BYTES)
    return Part(data[begin:last], last < min(end, len(data)))
