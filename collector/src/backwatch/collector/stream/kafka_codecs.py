"""Bounded decompression of Kafka record batches: no batch unpacks to more than ``MAX_BATCH_BYTES``.

kafka-python unpacks a batch as a whole, of any size: 30 KB of zstd become 300 MB. These functions stop at the limit
before the memory is spent. Only the consumers of this project use them; kafka-python itself is unchanged.
"""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

MAX_BATCH_BYTES: Final = 64 * 1024 * 1024
"""Unpacked. A broker accepts a megabyte per batch unless it was configured otherwise."""
_MAX_ZSTD_WINDOW_BYTES: Final = 32 * 1024 * 1024
_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16
_CHUNK_BYTES: Final = 4 * 1024 * 1024
GZIP: Final = 1
SNAPPY: Final = 2
LZ4: Final = 3
ZSTD: Final = 4


class UndecodableBatch(ValueError):
    """A batch cannot be unpacked. The message is one line and names no content."""


def decompress(codec: int, data: bytes, limit: int = MAX_BATCH_BYTES) -> bytes:
    """Return the unpacked records of a batch.

    Args:
        codec: The batch's compression type: 1 gzip, 2 snappy, 3 lz4, 4 zstd.
        data: The compressed records.
        limit: Bytes beyond which the batch counts as a decompression bomb.

    Raises:
        UndecodableBatch: The codec is not installed, the data are corrupt, or they unpack to more than ``limit``.
    """
    found = _CODECS.get(codec)
    if found is None:
        raise UndecodableBatch(f"unknown compression type {codec}")
    name, unpack = found
    try:
        return unpack(data, limit)
    except UndecodableBatch:
        raise
    except ImportError:
        raise UndecodableBatch(f"codec {name} is not installed") from None
    except (zlib.error, struct.error, ValueError, RuntimeError, EOFError, MemoryError) as error:
        raise UndecodableBatch(f"corrupt {name} data ({type(error).__name__})") from None


def _too_large(name: str, limit: int) -> UndecodableBatch:
    return UndecodableBatch(f"{name} batch unpacks to more than {limit} bytes")


def _gunzip(data: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while data:
        stream = zlib.decompressobj(wbits=31)
        parts.append(stream.decompress(data, limit + 1 - size))
        size += len(parts[-1])
        if size > limit:
            raise _too_large("gzip", limit)
        if not stream.eof:
            raise UndecodableBatch("corrupt gzip data (cut off)")
        data = stream.unused_data
    return b"".join(parts)


def _unsnappy(data: bytes, limit: int) -> bytes:
    import cramjam

    if not data.startswith(_XERIAL_MAGIC) or len(data) <= _XERIAL_HEADER_BYTES:
        return _snappy_block(cramjam.snappy, data, limit)
    parts: list[bytes] = []
    size, at = 0, _XERIAL_HEADER_BYTES
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        if length < 0 or at + 4 + length > len(data):
            raise UndecodableBatch("corrupt snappy data (block length)")
        parts.append(_snappy_block(cramjam.snappy, data[at + 4 : at + 4 + length], limit - size))
        size += len(parts[-1])
        at += 4 + length
    return b"".join(parts)


def _snappy_block(snappy: Any, data: bytes, limit: int) -> bytes:
    # A block begins with its unpacked length, which the library allocates before it reads on. 64 bytes of snappy make
    # at most 1,366 (a copy of 64 takes three), so a length that the data cannot fill is false.
    try:
        size = int(snappy.decompress_raw_len(data))
        if size > limit:
            raise _too_large("snappy", limit)
        if size > 32 * len(data):
            raise UndecodableBatch("corrupt snappy data (length)")
        return bytes(snappy.decompress_raw(data))
    except _cramjam_error() as error:
        raise UndecodableBatch(f"corrupt snappy data ({type(error).__name__})") from None


def _cramjam_error() -> type[Exception]:
    import cramjam

    return cramjam.DecompressionError


def _unlz4(data: bytes, limit: int) -> bytes:
    try:
        import lz4.frame as lz4
    except ImportError:
        return _unlz4_whole(data, limit)
    parts: list[bytes] = []
    size = 0
    while data:
        stream: Any = lz4.LZ4FrameDecompressor()
        while not stream.eof:
            part = stream.decompress(data, max_length=min(_CHUNK_BYTES, limit + 1 - size))
            parts.append(part)
            size += len(part)
            data = b""
            if size > limit:
                raise _too_large("lz4", limit)
            if not part and not stream.eof:
                raise UndecodableBatch("corrupt lz4 data (cut off)")
        data = stream.unused_data or b""
    return b"".join(parts)


def _unlz4_whole(data: bytes, limit: int) -> bytes:
    """Unpack into a growing buffer: Python 3.14 has no wheel of lz4, and cramjam only fills a given buffer."""
    import cramjam

    size = min(limit, 8 * len(data))
    while True:
        buffer = bytearray(size)
        try:
            return bytes(memoryview(buffer)[: cramjam.lz4.decompress_into(data, buffer)])
        except cramjam.DecompressionError:
            if size >= limit:
                raise UndecodableBatch(f"lz4 batch is corrupt or unpacks to more than {limit} bytes") from None
        size = min(limit, 8 * size)


def _unzstd(data: bytes, limit: int) -> bytes:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES)
    parts: list[bytes] = []
    size = 0
    try:
        with decompressor.stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            while part := reader.read(min(_CHUNK_BYTES, limit + 1 - size)):
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise _too_large("zstd", limit)
    except zstandard.ZstdError as error:
        raise UndecodableBatch(f"corrupt zstd data ({type(error).__name__})") from None
    return b"".join(parts)


_CODECS: Final[dict[int, tuple[str, Callable[[bytes, int], bytes]]]] = {
    GZIP: ("gzip", _gunzip),
    SNAPPY: ("snappy", _unsnappy),
    LZ4: ("lz4", _unlz4),
    ZSTD: ("zstd", _unzstd),
}
