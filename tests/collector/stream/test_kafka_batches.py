"""Fetched batches that cannot be decoded, or that unpack to far more than they should, stop nothing."""

import contextlib
import gzip
import struct
import sys
import time
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cramjam
import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from kafka.protocol.consumer import IsolationLevel
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords
from kafka.record.util import calc_crc32c
from kafka.structs import TopicPartition

from backwatch.collector.stream import kafka_batches
from backwatch.collector.stream.kafka_batches import BoundedRecords
from backwatch.collector.stream.kafka_codecs import (
    GZIP,
    LZ4,
    MAX_BATCH_BYTES,
    SNAPPY,
    ZSTD,
    UndecodableBatch,
    decompress,
)
from backwatch.collector.stream.kafka_records import SkippedRecords

ZEROS = bytes(300 << 20)  # pages of zeros that nothing was written to take no memory
HEADER_BYTES = 61


def xerial(block: bytes) -> bytes:
    return b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01" + struct.pack(">i", len(block)) + block


ENCODERS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (GZIP, gzip.compress),
    "zstd": (ZSTD, zstandard.ZstdCompressor().compress),
    "lz4": (LZ4, lambda data: lz4.frame.compress(data, block_linked=False)),
    "snappy": (SNAPPY, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "snappy in blocks": (SNAPPY, lambda data: xerial(bytes(cramjam.snappy.compress_raw(data)))),
}


@pytest.mark.parametrize("name", ENCODERS)
@given(data=st.binary(max_size=200), times=st.integers(0, 2_000))
def test_batch_within_the_bound_is_unpacked_whole(name: str, data: bytes, times: int) -> None:
    codec, encode = ENCODERS[name]
    assert data * times == decompress(codec, encode(data * times))


@pytest.mark.parametrize("name", ENCODERS)
def test_a_bomb_is_refused_within_a_second_and_little_memory(name: str) -> None:
    codec, encode = ENCODERS[name]
    bomb = encode(ZEROS)
    begun = time.thread_time()
    with pytest.raises(UndecodableBatch, match=f"unpacks to more than {MAX_BATCH_BYTES} bytes"):
        decompress(codec, bomb)
    assert time.thread_time() - begun < 1
    tracemalloc.start()
    with pytest.raises(UndecodableBatch):
        decompress(codec, bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.2 * MAX_BATCH_BYTES + len(bomb)


def test_an_lz4_bomb_is_refused_where_only_cramjam_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = ENCODERS["lz4"][1](b"calls" * 10_000)
    bomb = ENCODERS["lz4"][1](ZEROS)
    monkeypatch.setitem(sys.modules, "lz4.frame", None)
    assert decompress(LZ4, packed) == b"calls" * 10_000
    with pytest.raises(UndecodableBatch, match="unpacks to more"):
        decompress(LZ4, bomb)


def test_a_snappy_length_that_the_data_cannot_fill_is_refused() -> None:
    with pytest.raises(UndecodableBatch, match="length"):
        decompress(SNAPPY, b"\x80\x80\x80\x10" + b"abc")


@pytest.mark.parametrize("codec", range(8))
@given(data=st.binary(max_size=300))
def test_garbage_raises_only_the_declared_error(codec: int, data: bytes) -> None:
    with contextlib.suppress(UndecodableBatch):
        decompress(codec, data)


# --- batches ---


def batch(values: list[bytes], base: int = 0, codec: int = 0, headers: list[tuple[str, bytes]] | None = None) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 30)
    for at, value in enumerate(values):
        builder.append(at, 1_000 + at, None, value, headers or [])
    built = bytearray(builder.build())
    if codec:
        name = {GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}[codec]
        built = built[:HEADER_BYTES] + bytearray(ENCODERS[name][1](bytes(built[HEADER_BYTES:])))
        struct.pack_into(">h", built, 21, codec)
    struct.pack_into(">q", built, 0, base)
    struct.pack_into(">i", built, 8, len(built) - 12)
    return seal(built)


def seal(built: bytearray) -> bytes:
    struct.pack_into(">I", built, 17, calc_crc32c(memoryview(built)[21:]))
    return bytes(built)


def records_of(data: bytes, fetch_offset: int = 0, budget: int = 1 << 40) -> Any:
    class Records(BoundedRecords):
        _budget = SimpleNamespace(left_bytes=budget)  # pyright: ignore[reportAssignmentType]

    return Records(
        fetch_offset, TopicPartition("calls", 0), MemoryRecords(data), isolation_level=IsolationLevel.READ_COMMITTED
    )


def read(data: bytes, fetch_offset: int = 0) -> list[Any]:
    return records_of(data, fetch_offset).take()


def plain(found: list[Any]) -> list[tuple[int, Any]]:
    return [(one.offset, one.reason if isinstance(one, SkippedRecords) else one.value) for one in found]


@pytest.mark.parametrize("codec", [0, GZIP, SNAPPY, LZ4, ZSTD])
def test_every_codec_is_read(codec: int) -> None:
    data = batch([b"a", b"b"], codec=codec) + batch([b"c"], base=2, codec=codec)
    assert plain(read(data)) == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert plain(read(data, 1)) == [(1, b"b"), (2, b"c")]


@pytest.mark.parametrize("missing", ["snappy", "zstd"])
def test_a_batch_whose_codec_is_not_installed_is_skipped_alone(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    codec = ENCODERS[missing][0]
    data = batch([b"a"]) + batch([b"b", b"c"], base=1, codec=codec) + batch([b"d"], base=3)
    for module in ("cramjam", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    found = read(data)
    assert plain(found) == [(0, b"a"), (1, f"codec {missing} is not installed"), (3, b"d")]
    assert found[1].next_offset == 3


def test_a_batch_that_fails_its_checksum_is_skipped_alone() -> None:
    broken = bytearray(batch([b"b", b"c"], base=1))
    broken[-2] ^= 1
    found = read(batch([b"a"]) + bytes(broken) + batch([b"d"], base=3))
    assert plain(found) == [(0, b"a"), (1, "the batch fails its checksum"), (3, b"d")]


def test_other_records_of_a_batch_with_one_corrupt_record_are_read() -> None:
    built = bytearray(batch([b"aaaa", b"bbbb", b"cccc"]))
    at = built.index(b"bbbb") - 1
    built[at] = 0x7F  # its value now is longer than the record
    found = read(seal(built))
    assert plain(found) == [(0, b"aaaa"), (1, "a record is corrupt"), (2, b"cccc")]


def test_a_bomb_batch_is_skipped_and_the_next_one_read() -> None:
    data = batch([ZEROS], codec=ZSTD) + batch([b"after"], base=1)
    begun = time.thread_time()
    first, second = read(data)
    assert time.thread_time() - begun < 2  # with the checks of both batches
    assert (first.offset, first.next_offset, second.value) == (0, 1, b"after")


def test_a_record_of_a_million_headers_gives_few() -> None:
    (record,) = read(batch([b"a"], headers=[("", b"")] * 1_000_000))
    assert record.value == b"a"
    assert len(record.headers) == kafka_batches.MAX_HEADERS


def test_large_records_end_a_poll_early_and_none_is_passed_over() -> None:
    records = records_of(batch([b"x" * 1_000] * 10, codec=GZIP), budget=2_500)
    assert [one.offset for one in records.take(100)] == [0, 1, 2]
    assert records.next_fetch_offset == 3


@given(st.data())
def test_with_any_damage_every_offset_is_read_or_skipped_once(data: st.DataObject) -> None:
    codec = data.draw(st.sampled_from([0, GZIP, SNAPPY, LZ4, ZSTD]))
    built = bytearray(batch([b"value%d" % at for at in range(5)], codec=codec))
    for _ in range(data.draw(st.integers(1, 4))):
        built[data.draw(st.integers(HEADER_BYTES, len(built) - 1))] = data.draw(st.integers(0, 255))
    is_sealed = data.draw(st.booleans())
    records = records_of((seal(built) if is_sealed else bytes(built)) + batch([b"after"], base=5))
    found = records.take()
    upcoming = 0
    for one in found:
        assert one.offset >= upcoming
        upcoming = one.next_offset if isinstance(one, SkippedRecords) else one.offset + 1
    assert found[-1].value == b"after"
    assert records.next_fetch_offset == 6
    lost = sum(one.next_offset - one.offset for one in found if isinstance(one, SkippedRecords))
    accounted = len([one for one in found if not isinstance(one, SkippedRecords)]) + lost
    # Under a valid checksum, a record can contain its neighbour: the batch then lacks an offset, like a compacted one.
    assert accounted <= 6 if is_sealed else accounted == 6


@given(st.binary(max_size=200))
def test_fetched_garbage_moves_the_position_or_gives_nothing(data: bytes) -> None:
    records = records_of(data, 7)
    records.take()
    assert records.next_fetch_offset >= 7
