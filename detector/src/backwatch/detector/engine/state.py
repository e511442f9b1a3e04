"""A shard's state as bytes: little-endian arrays under a JSON header, compressed, with a checksum. Never pickled.

The header stores each table's version and dtype: the same is copied, a new field gets its default, a new version goes
through ``migrate``, or that detector alone learns anew.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import crc32c
import numpy as np
import zstandard
from numpy.typing import NDArray

MAGIC = b"BWS1"
LIMIT = 1 << 30
"""Bytes that a blob may unpack to."""


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


def pack(sections: Sequence[Section], scalars: Mapping[str, Any]) -> bytes:
    """Sections and JSON-able scalars as one blob."""
    body: list[bytes] = []
    described: list[dict[str, Any]] = []
    for one in sections:
        rows = np.ascontiguousarray(one.rows)
        described.append({
            "name": one.name, "version": one.version, "dtype": _describe(rows.dtype), "shape": list(rows.shape),
            "indexed": one.at is not None,
        })  # fmt: skip
        if one.at is not None:
            body.append(np.ascontiguousarray(one.at.astype("<i4")).tobytes())
        body.append(rows.tobytes())
    header = json.dumps({"sections": described, "scalars": scalars}, separators=(",", ":"), sort_keys=True).encode()
    plain = struct.pack("<I", len(header)) + header + b"".join(body)
    packed = zstandard.ZstdCompressor(level=1).compress(plain)
    return MAGIC + struct.pack("<I", crc32c.crc32c(packed)) + packed


def unpack(blob: bytes) -> tuple[list[Section], dict[str, Any]]:
    """The sections and scalars of a blob.

    Raises:
        CorruptState: Its checksum, header or lengths do not hold.
    """
    if blob[:4] != MAGIC or len(blob) < 8 or struct.unpack("<I", blob[4:8])[0] != crc32c.crc32c(blob[8:]):
        raise CorruptState("a state blob is damaged: its checksum does not hold")
    try:
        plain = zstandard.ZstdDecompressor().decompress(blob[8:], max_output_size=LIMIT)
        (length,) = struct.unpack_from("<I", plain)
        header = json.loads(plain[4 : 4 + length])
        sections = list(_sections(plain, 4 + length, header["sections"]))
    except (zstandard.ZstdError, struct.error, ValueError, KeyError, TypeError) as error:
        raise CorruptState(f"a state blob is damaged: {error}") from None
    return sections, header["scalars"]


def _sections(plain: bytes, offset: int, described: list[dict[str, Any]]) -> list[Section]:
    sections: list[Section] = []
    for one in described:
        dtype = (
            np.dtype([_field(f) for f in one["dtype"]]) if isinstance(one["dtype"], list) else np.dtype(one["dtype"])
        )
        shape = tuple(one["shape"])
        at = None
        if one["indexed"]:
            at = np.frombuffer(plain, "<i4", shape[0], offset)
            offset += 4 * shape[0]
        count = int(np.prod(shape))
        rows = np.frombuffer(plain, dtype, count, offset).reshape(shape)
        offset += dtype.itemsize * count
        sections.append(Section(name=one["name"], rows=rows, at=at, version=one["version"]))
    return sections


def _field(described: list[Any]) -> tuple[str, str] | tuple[str, str, tuple[int, ...]]:
    name, kind, *shape = described
    return (name, kind, tuple(shape[0])) if shape else (name, kind)


def _describe(dtype: "np.dtype[Any]") -> Any:
    return [list(field) for field in dtype.descr] if dtype.names else dtype.str


def fitted(rows: NDArray[Any], dtype: "np.dtype[Any]") -> NDArray[Any]:
    """Rows in today's dtype: fields of the same name are copied, new ones get zero."""
    if rows.dtype == dtype:
        return rows
    out = np.zeros(rows.shape, dtype)
    for name in dtype.names or ():
        if name in (rows.dtype.names or ()) and rows.dtype[name].shape == dtype[name].shape:
            out[name] = rows[name]
    return out
