"""A shard's state as bytes: little-endian arrays under a JSON header, compressed, with a checksum. Never pickled.

The header stores each table's version and dtype: the same is copied, a new field gets its default, a new version goes
through ``migrate``, or that detector alone learns anew.

Both directions stream: beside the blob and the state, memory holds one chunk while a blob is written, and one section
while it is read.
"""

import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import crc32c
import numpy as np
import zstandard
from numpy.typing import NDArray

MAGIC = b"BWS1"
LIMIT = 1 << 30
"""Bytes that a blob may unpack to."""
CHUNK_BYTES = 1 << 18
"""Bytes of rows that are gathered and compressed at a time."""
_HEAD_BYTES = len(MAGIC) + 4
_DAMAGE = (
    zstandard.ZstdError, struct.error, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError,
    SyntaxError, RecursionError,
)  # fmt: skip
"""Exceptions that a damaged header causes: in JSON, in NumPy's parser of dtypes, or in the arithmetic of lengths."""


class CorruptState(ValueError):
    """A state blob that is not what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows of one array.

    Attributes:
        name: ``space/<name>``, ``table/<name>``, ``sketch/<name>``, ``open``, ``model/<detector>/<array>`` …
        at: int32 indices of the rows; ``None``: all of them.
        version: Of a table, else 0.
    """

    name: str
    rows: NDArray[Any]
    at: NDArray[np.int32] | None = None
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A section whose rows are gathered chunk by chunk while the blob is written.

    Attributes:
        dtype: Of one row.
        gather: Returns the rows at these indices.
    """

    name: str
    dtype: "np.dtype[Any]"
    gather: Callable[[NDArray[np.int32]], NDArray[Any]]
    at: NDArray[np.int32]
    version: int = 0


def pack(sections: Iterable[Section | Source], scalars: Mapping[str, Any]) -> bytes:
    """Write sections and JSON-able scalars as one blob."""
    parts = list(sections)
    described = [_describe_part(part) for part in parts]
    header = json.dumps({"sections": described, "scalars": scalars}, separators=(",", ":"), sort_keys=True).encode()
    size = 4 + len(header) + sum(_size_bytes(part) for part in parts)
    compressor = zstandard.ZstdCompressor(level=1).compressobj(size=size)
    out = io.BytesIO()
    out.write(bytes(_HEAD_BYTES))
    checksum = 0
    for plain in _plain(header, parts):
        packed = compressor.compress(plain)
        checksum = crc32c.crc32c(packed, checksum)
        out.write(packed)
    packed = compressor.flush()
    out.write(packed)
    out.seek(0)
    out.write(MAGIC + struct.pack("<I", crc32c.crc32c(packed, checksum)))
    return out.getvalue()


def _describe_part(part: Section | Source) -> dict[str, Any]:
    if isinstance(part, Source):
        dtype, shape = part.dtype, [part.at.shape[0]]
    else:
        dtype, shape = part.rows.dtype, list(np.atleast_1d(part.rows).shape)
    return {
        "name": part.name, "version": part.version, "dtype": _describe(dtype), "shape": shape,
        "indexed": part.at is not None,
    }  # fmt: skip


def _size_bytes(part: Section | Source) -> int:
    if isinstance(part, Source):
        return (4 + part.dtype.itemsize) * part.at.shape[0]
    return part.rows.nbytes + (0 if part.at is None else 4 * part.at.shape[0])


def _plain(header: bytes, parts: Sequence[Section | Source]) -> Iterator[Any]:
    """Yield the bytes to compress, as buffers."""
    yield struct.pack("<I", len(header)) + header
    for part in parts:
        if part.at is not None:
            yield np.ascontiguousarray(part.at.astype("<i4", copy=False)).view(np.uint8)
        if isinstance(part, Section):
            yield np.ascontiguousarray(part.rows).reshape(-1).view(np.uint8)
            continue
        step = max(1, CHUNK_BYTES // part.dtype.itemsize)
        for low in range(0, part.at.shape[0], step):
            yield np.ascontiguousarray(part.gather(part.at[low : low + step])).view(np.uint8)


def unpack(blob: bytes) -> tuple[list[Section], dict[str, Any]]:
    """Return all sections and scalars of a blob.

    Raises:
        CorruptState: Its checksum, header or lengths do not hold.
    """
    scalars, sections = read(blob)
    return list(sections), scalars


def read(blob: bytes) -> tuple[dict[str, Any], Iterator[Section]]:
    """Return a blob's scalars, and its sections one by one as they are decompressed.

    Raises:
        CorruptState: Its checksum, header or lengths do not hold; the iterator raises it too.
    """
    packed = memoryview(blob)[_HEAD_BYTES:]
    if blob[:4] != MAGIC or len(blob) < _HEAD_BYTES or struct.unpack("<I", blob[4:8])[0] != crc32c.crc32c(packed):
        raise CorruptState("a state blob is damaged: its checksum does not hold")
    try:
        plain = _Plain(packed)
        (length,) = struct.unpack("<I", plain.take(4).tobytes())
        header = json.loads(plain.take(length).tobytes())
        scalars, described = dict(header["scalars"]), list(header["sections"])
    except _DAMAGE as error:
        raise _make_error(error) from None
    return scalars, _sections(plain, described)


class _Plain:
    """The decompressed bytes of a blob, taken in order."""

    def __init__(self, packed: memoryview) -> None:
        self.left = zstandard.frame_content_size(packed)
        if not 0 <= self.left <= LIMIT:
            raise ValueError(f"it unpacks to more than {LIMIT} bytes")
        self._reader = zstandard.ZstdDecompressor().stream_reader(packed)

    def take(self, count: int) -> NDArray[np.uint8]:
        """Return the next ``count`` bytes as an array of its own."""
        if not 0 <= count <= self.left:
            raise ValueError("its lengths do not hold")
        self.left -= count
        out = np.empty(count, np.uint8)
        view, done = out.data, 0
        while done < count:
            got = self._reader.readinto(view[done:])
            if not got:
                raise ValueError("it ends too early")
            done += got
        return out


def _sections(plain: _Plain, described: Sequence[Mapping[str, Any]]) -> Iterator[Section]:
    for description in described:
        try:
            section = _section(plain, description)
        except _DAMAGE as error:
            raise _make_error(error) from None
        yield section
    if plain.left:
        raise CorruptState("a state blob is damaged: it is longer than its header states")


def _section(plain: _Plain, described: Mapping[str, Any]) -> Section:
    kind = described["dtype"]
    dtype = np.dtype([_field(field) for field in kind]) if isinstance(kind, list) else np.dtype(kind)
    if dtype.hasobject:  # its bytes would be taken for pointers
        raise ValueError("a dtype holds objects")
    shape = tuple(int(length) for length in described["shape"])
    if min(shape, default=-1) < 0:
        raise ValueError("a shape is negative")
    at = plain.take(4 * shape[0]).view("<i4") if described["indexed"] else None
    rows = plain.take(dtype.itemsize * prod(shape)).view(dtype).reshape(shape)
    return Section(name=str(described["name"]), rows=rows, at=at, version=int(described["version"]))


def _make_error(error: Exception) -> CorruptState:
    return CorruptState(f"a state blob is damaged: {str(error)[:200]}")


def _field(described: list[Any]) -> tuple[str, str] | tuple[str, str, tuple[int, ...]]:
    name, kind, *shape = described
    return (name, kind, tuple(shape[0])) if shape else (name, kind)


def _describe(dtype: "np.dtype[Any]") -> Any:
    return [list(field) for field in dtype.descr] if dtype.names else dtype.str


def fit_rows(rows: NDArray[Any], dtype: "np.dtype[Any]") -> NDArray[Any]:
    """Rows in today's dtype: fields of the same name are copied, new ones get zero."""
    if rows.dtype == dtype:
        return rows
    out = np.zeros(rows.shape, dtype)
    for name in dtype.names or ():
        if name in (rows.dtype.names or ()) and rows.dtype[name].shape == dtype[name].shape:
            out[name] = rows[name]
    return out
