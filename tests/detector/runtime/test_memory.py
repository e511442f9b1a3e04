"""Memory of a detector: rows on demand, streamed blobs, and a small idle process."""

import contextlib
import io
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import crc32c
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.detector.engine.step import Engine
from backwatch.detector.state import key_space as spaces
from backwatch.detector.state import snapshot as state_snapshot
from backwatch.detector.state.key_space import Space
from backwatch.detector.state.keys import KeySpace
from backwatch.detector.state.tables import Table
from bench import memory
from tests.detector import streams
from tests.system.commands import run_in_background

MEBIBYTE = 1 << 20
SECOND = 10**9
ABOVE = KeySpace(name="above", columns=(), capacity=8)
COUNTS = np.dtype([("calls", "<u4")])


@pytest.fixture(scope="module")
def blob(engine: Engine) -> bytes:
    shard = engine.new_shard()
    calls = streams.eventful(count=300)
    engine.step(shard, streams.entry(streams.records(calls, 8)))
    return shard.snapshot()


def intern_all(initial_rows: int, sketched: bool, batches: list[list[tuple[int, int]]]) -> list[Any]:
    """Return all results of a space with so many initial rows, and its final content."""
    below = KeySpace(name="below", columns=(), parent=ABOVE, capacity=60, per_parent=25, sketched=sketched)
    before, spaces.INITIAL_ROWS = spaces.INITIAL_ROWS, initial_rows  # pyright: ignore[reportConstantRedefinition]
    try:
        one = Space(below, [Table("counts", below, 1, COUNTS)])
    finally:
        spaces.INITIAL_ROWS = before  # pyright: ignore[reportConstantRedefinition]
    observed: list[Any] = []
    for number, batch in enumerate(batches):
        address = np.array([key for key, _ in batch], np.uint64)
        parent = np.array([above for _, above in batch], np.int32)
        time_ns = np.full(len(batch), (number + 1) * SECOND, np.int64)
        slot, sighting, touched = one.intern(address, parent, time_ns, number * SECOND)
        one.tables["counts"]["calls"][slot] += 1
        observed += [slot.tolist(), sighting.tolist(), touched.tolist(), one.used, one.take_overflow()]
        one.reclaim(one.find_stale((number + 1) * SECOND))
    taken = np.flatnonzero(one.keys)
    return [*observed, taken.tolist(), one.keys[taken].tolist(), one.tables["counts"][taken].tolist(), one.used]


@given(
    st.lists(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 3)), min_size=1, max_size=90), max_size=8),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_slots_are_the_same_however_many_rows_are_allocated_at_first(
    batches: list[list[tuple[int, int]]], sketched: bool
) -> None:
    assert intern_all(2, sketched, batches) == intern_all(60, sketched, batches)


def test_shard_of_a_small_app_allocates_few_rows(engine: Engine) -> None:
    shard = engine.new_shard()
    engine.step(shard, streams.entry(streams.records(list(streams.quiet(random.Random(3), 500)), 16)))
    rows = sum(table.nbytes for space in shard.spaces.values() for table in space.tables.values())
    assert 0 < rows < 256 << 10


def test_dropped_shard_frees_its_tables_at_once(engine: Engine) -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        shard = engine.new_shard()
        shard.spaces["resource"].ensure_rows(4_096)
        grown, _ = tracemalloc.get_traced_memory()
        del shard
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown - before > 4 * MEBIBYTE
    assert after - before < MEBIBYTE


def random_sections(count: int, rows: int) -> list[state_snapshot.Source]:
    table = np.frombuffer(random.Random(1).randbytes(64 * rows), np.dtype([("bytes", "u1", (64,))]))
    at = np.arange(rows, dtype=np.int32)
    return [
        state_snapshot.Source(name=f"table/{n}", dtype=table.dtype, gather=table.__getitem__, at=at)
        for n in range(count)
    ]


def peak_bytes(work: Any) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_blob_is_written_and_read_without_copies_of_the_state() -> None:
    sections = random_sections(12, 65_536)  # 4 MiB each, incompressible
    blobs: list[bytes] = []
    written = peak_bytes(lambda: blobs.append(state_snapshot.pack(sections, {})))
    assert len(blobs[0]) > 48 * MEBIBYTE
    assert written < len(blobs[0]) * 1.2 + 4 * MEBIBYTE  # the blob grows by an eighth at a time

    def read_through() -> None:
        for _ in state_snapshot.read(blobs[0])[1]:
            pass

    assert peak_bytes(read_through) < 16 * MEBIBYTE


def pack_at_once(plain: bytes) -> bytes:
    """Return a blob as written by releases before streaming."""
    packed = zstandard.ZstdCompressor(level=1).compress(plain)
    return state_snapshot.MAGIC + struct.pack("<I", crc32c.crc32c(packed)) + packed


def plain_of(blob: bytes) -> bytes:
    """Return a blob's content as read by releases before streaming."""
    return zstandard.ZstdDecompressor().decompress(blob[8:], max_output_size=state_snapshot.LIMIT)


def test_blobs_before_and_after_streaming_load_in_both_releases(engine: Engine, blob: bytes) -> None:
    older = pack_at_once(plain_of(blob))
    one, other = engine.new_shard(), engine.new_shard()
    one.apply([blob])
    other.apply([older])
    assert plain_of(one.snapshot()) == plain_of(other.snapshot()) == plain_of(blob)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_mutated_blobs_are_refused_or_loaded_and_nothing_else(engine: Engine, blob: bytes, data: st.DataObject) -> None:
    plain = bytearray(plain_of(blob))
    (length,) = struct.unpack_from("<I", plain)
    for _ in range(data.draw(st.integers(1, 6))):
        end = 4 + length if data.draw(st.booleans()) else len(plain)
        plain[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 400))
    mutated = pack_at_once(bytes(plain[: len(plain) - cut] if cut < 40 else plain))
    with contextlib.suppress(state_snapshot.CorruptState):  # any other exception fails
        engine.new_shard().apply([mutated])


@pytest.mark.parametrize(
    "section",
    [
        {"dtype": "|O", "shape": [2]}, {"dtype": "<i4", "shape": [-1]}, {"dtype": "<i4", "shape": [1 << 40]},
        {"dtype": "|V2000000000", "shape": [1 << 30]}, {"dtype": "<i4", "shape": []}, {"dtype": "i4, (", "shape": [1]},
        {"dtype": [["a"]], "shape": [1]}, {"dtype": "<i4", "shape": [2], "indexed": True},
    ],
)  # fmt: skip
def test_impossible_headers_are_refused(section: dict[str, Any]) -> None:
    described = {"name": "table/a", "version": 1, "indexed": False, **section}
    header = json.dumps({"sections": [described], "scalars": {}}).encode()
    with pytest.raises(state_snapshot.CorruptState):
        state_snapshot.unpack(pack_at_once(struct.pack("<I", len(header)) + header + bytes(8)))


def test_blob_that_unpacks_to_more_than_the_limit_is_refused() -> None:
    packed = io.BytesIO()
    size = state_snapshot.LIMIT + 1
    with zstandard.ZstdCompressor().stream_writer(packed, size=size, closefd=False) as writer:
        for _ in range(size // MEBIBYTE):
            writer.write(bytes(MEBIBYTE))
        writer.write(bytes(size % MEBIBYTE))
    bomb = packed.getvalue()
    begun_s = time.process_time()
    with pytest.raises(state_snapshot.CorruptState):
        state_snapshot.unpack(state_snapshot.MAGIC + struct.pack("<I", crc32c.crc32c(bomb)) + bomb)
    assert time.process_time() - begun_s < 1


def test_slots_and_parents_beyond_a_space_are_refused(engine: Engine, blob: bytes) -> None:
    for slot, parent in ((10**9, 1), (-5, 1), (1, 10**9), (1, -1)):
        sections, scalars = state_snapshot.unpack(blob)
        changed: list[state_snapshot.Section] = []
        for one in sections:
            if one.name == "space/site" and one.at is not None:
                at, rows = one.at.copy(), one.rows.copy()
                at[0], rows["parent"][0] = slot, parent
                changed.append(state_snapshot.Section(name=one.name, rows=rows, at=at))
            else:
                changed.append(one)
        with pytest.raises(state_snapshot.CorruptState):
            engine.new_shard().apply([state_snapshot.pack(changed, scalars)])


@pytest.fixture
def cold(tmp_path: Path) -> dict[str, str]:
    """Return settings of a detector whose kernels were never compiled."""
    (tmp_path / "state").mkdir(mode=0o700)
    return {
        "BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db",
        "BACKWATCH_STORE_URL": f"sqlite:///{tmp_path}/store.db", "XDG_STATE_HOME": str(tmp_path / "state"),
    }  # fmt: skip


def compilers(parent: int) -> list[int]:
    """Return the children of a process that compile kernels."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(one) for one in children if b"backwatch.detector.warm" in Path(f"/proc/{one}/cmdline").read_bytes()]


def test_cold_start_compiles_in_another_process_that_a_stop_ends(tmp_path: Path, cold: dict[str, str]) -> None:
    with run_in_background(tmp_path, "detect", **cold) as detector:
        (compiler,) = detector.until(lambda: compilers(detector.process.pid), "nothing compiles")
        assert "compiling the detector's kernels" in detector.output()
        assert detector.stop() == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            os.kill(compiler, 0)


@pytest.mark.heavy
def test_idle_detector_with_one_small_app_keeps_to_250_megabytes() -> None:
    assert memory.idle(20).rss_bytes <= 250 * MEBIBYTE


SCALE = """
import json
from bench.memory import scale
print(json.dumps(scale(2_000, 100, 200_000, 30_000, repeats=3)))
"""


@pytest.mark.heavy
def test_flood_of_keys_stays_within_memory_and_changes_no_detection() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCALE], capture_output=True, text=True, timeout=300, check=True,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["alerts_same"]
    assert found["alerts_expected"] > 5
    assert found["slots"]["statement"] > 30_000
    assert found["rss_peak_mib"] < found["rss_before_mib"] + 250
    assert found["rss_peak_mib"] < 1_024
