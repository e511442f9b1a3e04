"""Fuzzing of the decoder beside guard pages, of the router, and of a whole step."""

import ctypes
import mmap
import random
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backwatch.detector.decoding.decoder import decode
from backwatch.detector.decoding.lookup import ATTRIBUTES
from backwatch.detector.decoding.outline import ITEM
from backwatch.detector.decoding.protobuf import REASONS
from backwatch.detector.decoding.records import fill
from backwatch.detector.decoding.rows import BEAT, MAX_BEATS, STATE, new_rows
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.log_entries import StreamRecords
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.ingest.routing import MAX_GROWTH, MAX_MESSAGE_BYTES, UNREADABLE, route
from backwatch.detector.kernels.compiled import kernel
from tests.detector.ingest.otlp_mutator import mutate_bytes
from tests.detector.streams import START_NS

ROWS = 1 << 14
ITEMS = 1 << 16
BATCH = 500


@dataclass
class Report:
    """Results of a fuzzing run.

    Attributes:
        unexpected: Errors other than a refusal of the bytes, by kind.
        slowest_s: The slowest message, or the slowest batch of a step.
    """

    messages: int = 0
    refused: int = 0
    calls: int = 0
    slowest_s: float = 0.0
    seconds: float = 0.0
    unexpected: dict[str, int] = field(default_factory=dict[str, int])


@kernel
def _random(state: Any) -> int:
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return int(np.int64(x >> np.uint64(2)))


@kernel
def _mutate(values: Any, first: int, size: int, area: Any, at: int, dice: Any) -> None:
    for i in range(size):
        area[at + i] = values[first + i]
    if size == 0:
        return
    for _ in range(_random(dice) % 5):
        where = at + _random(dice) % size
        what = _random(dice) % 8
        if what == 0:
            area[where] ^= np.uint8(1 << (_random(dice) % 8))
        elif what == 1:
            area[where] = 0
        elif what == 2:
            area[where] = 127
        elif what == 3:
            area[where] = 128
        elif what == 4:
            area[where] = 255
        elif what == 5:  # the wire type of a possible tag
            area[where] = (area[where] & np.uint8(248)) | np.uint8(_random(dice) % 8)
        elif what == 6:
            area[where] = np.uint8(_random(dice) % 256)
        else:
            other = at + _random(dice) % size
            for i in range(min(32, at + size - max(where, other))):
                area[where + i] = area[other + i]


@kernel
def _fuzz(
    values: Any, bounds: Any, count: int, dice: Any, area: Any, low: int, high: int, table: Any, items: Any, rows: Any,
    beats: Any, status: Any, place: Any, state: Any, out: Any,
) -> None:  # fmt: skip
    for turn in range(count):
        one = _random(dice) % (bounds.shape[0] - 1)
        first, size = bounds[one], bounds[one + 1] - bounds[one]
        if _random(dice) % 4 == 0 and size > 0:
            size = _random(dice) % (size + 1)
        at = high - size if turn % 2 == 0 else low
        _mutate(values, first, size, area, at, dice)
        place[1] = size
        state[:] = 0
        if fill(area[at : at + size], place, status, 0, table, items, rows, beats, state) != 1:
            out[2] += 1
        elif status[0] != 0:
            out[0] += 1
        else:
            out[1] += state[STATE - 4]


class GuardedPages:
    """Writable pages between two inaccessible ones. Reading one byte too far kills the process."""

    def __init__(self, size_bytes: int) -> None:
        page = mmap.PAGESIZE
        pages = -(-size_bytes // page)
        self._area = mmap.mmap(-1, (pages + 2) * page)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._area))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for guard in (0, pages + 1):
            if protect(ctypes.c_void_p(base + guard * page), ctypes.c_size_t(page), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.whole = np.frombuffer(self._area, np.uint8)
        self.low, self.high = page, (pages + 1) * page


def fuzz_decoder(values: list[bytes], count: int, seed: int) -> Report:
    """Decode so many mutants, each with its end or its start at a guard page."""
    area = GuardedPages(max(map(len, values)))
    joined = np.frombuffer(b"".join(values), np.uint8)
    bounds = np.array([0, *np.cumsum([len(one) for one in values])], np.int64)
    dice, out = np.array([seed * 2 + 1], np.uint64) * np.uint64(0x9E3779B97F4A7C15), np.zeros(3, np.int64)
    items, rows = np.empty((ITEMS, ITEM), np.int64), new_rows(ROWS)
    beats, status, place, state = (
        np.empty((MAX_BEATS, BEAT), np.int64), np.zeros(1, np.int64), np.zeros(2, np.int64), np.zeros(STATE, np.int64),
    )  # fmt: skip
    report, begun = Report(messages=count), time.perf_counter()
    _fuzz(
        joined, bounds, count, dice, area.whole, area.low, area.high, ATTRIBUTES, items, rows, beats, status, place,
        state, out,
    )  # fmt: skip
    report.seconds, report.refused, report.calls = time.perf_counter() - begun, int(out[0]), int(out[1])
    if out[2]:
        report.unexpected["no room"] = int(out[2])
    for value in values:
        report.slowest_s = max(report.slowest_s, _time(lambda value=value: decode([value])))
    return report


def _time(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def fuzz_router(values: list[bytes], count: int, seed: int) -> Report:
    """Route so many mutants. Each result must decode and be of bounded size."""
    source, report, begun = random.Random(seed), Report(), time.perf_counter()
    for _ in range(count):
        value = mutate_bytes(source.choice(values), source)
        at = time.perf_counter()
        messages = route(value)
        report.slowest_s = max(report.slowest_s, time.perf_counter() - at)
        report.messages += 1
        if len(messages) == 1 and messages[0].value[:1] == UNREADABLE:
            report.refused += 1
            continue
        if sum(len(one.value) for one in messages) > 2 * (MAX_GROWTH * len(value) + MAX_MESSAGE_BYTES):
            _count(report, "grew beyond its bound")
        found = decode([one.value for one in messages])
        report.calls += found.count
        for _, reason in found.malformed:
            _count(report, f"routed, then refused: {reason}")
    report.seconds = time.perf_counter() - begun
    return report


def fuzz_step(values: list[bytes], count: int, seed: int, engine: Engine | None = None) -> Report:
    """Step one shard through so many mutants. Neither engine nor detectors may raise."""
    engine = engine or make_engine(EngineConfig(key=bytes(16)))
    shard, source, report = engine.new_shard(), random.Random(seed), Report()
    begun, now_ns = time.perf_counter(), START_NS
    while report.messages < count:
        size = min(BATCH, count - report.messages)
        some = [mutate_bytes(source.choice(values), source) for _ in range(size)]
        now_ns += source.randrange(20) * 10**9
        at = time.perf_counter()
        findings = engine.step(
            shard,
            StreamRecords(
                values=some, appended_ns=now_ns + np.arange(size, dtype=np.int64),
                backfill=np.array([source.random() < 0.3 for _ in some], np.bool_),
                offsets=np.arange(report.messages, report.messages + size, dtype=np.int64),
            ),
        )  # fmt: skip
        report.slowest_s = max(report.slowest_s, time.perf_counter() - at)
        report.messages += size
        report.calls += findings.calls
        report.refused += len(findings.unreadable)
        for one in findings.unreadable:
            if one.reason not in REASONS.values():
                _count(report, one.reason)
        for detector, what in findings.faults:
            _count(report, f"{detector}: {what}")
        for finding in findings.iter_findings():
            assert finding.evidence is not None
    report.seconds = time.perf_counter() - begun
    return report


def _count(report: Report, what: str) -> None:
    report.unexpected[what] = report.unexpected.get(what, 0) + 1
