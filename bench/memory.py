"""Memory of a detector: idle with one small app, and at scale with many resources, statements and keys.

    make bench NAME=memory            ARGS="--minutes=60 --calls=20000000 --keys=10000000", --no-idle, --no-scale

Idle: the real process on an embedded stream and store with eight partitions; one small app calls now and then. Scale:
one detector's eight shards with their store, in this process; 10 000 resources with 1 000 statements each, every one
sent twice, then random keys. Throughput is compared on the calls of detector_throughput, before and after. Detections
come from a stream of known apps, half before and half after, and are compared with a run without the flood.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Message, Record
from backwatch.collector.stream.factory import ensure_topics, open_publisher
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.findings import Firings
from backwatch.detector.engine.log_entries import StreamRecords
from backwatch.detector.engine.shard import Shard
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.runtime.shard_worker import ShardWorker
from backwatch.store import tables
from backwatch.store.connect import open_store
from bench import rounds, spans, watched
from bench.many_keys import SPANS, Flood
from tests.detector import streams
from tests.system.commands import run_in_background

PARTITIONS = 8
PER_STEP = 8
MEBIBYTE = 1 << 20
KNOWN = frozenset(("shop", "billing", "catalogue"))
APPS = 96


def idle(seconds: float, **settings: str) -> watched.Reading:
    """Run a detector with one small app for so long, and return its last figures."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/stream.db"
        stream = StreamSettings(url=url, partitions=PARTITIONS)
        ensure_topics(stream, (names.TOPIC_CALLS, names.TOPIC_SPANS))
        publisher = open_publisher(stream)
        store = f"sqlite:///{folder}/store.db"
        where = {"BACKWATCH_STREAM_URL": url, "BACKWATCH_STORE_URL": store, **settings}
        with run_in_background(Path(folder), "detect", **where) as detector:
            begun_s, printed_s, number = time.monotonic(), 0.0, 0
            while (passed_s := time.monotonic() - begun_s) < seconds:
                number += 1
                value = spans.request(number, 20, 1, time.time_ns() - (number * 10**9 + 10**8))
                publisher.publish(names.TOPIC_CALLS, [Message(value=value, key=b"app")], 10)
                time.sleep(1)
                assert detector.process.poll() is None, detector.output()
                found = watched.read_process(detector.process.pid)
                if passed_s >= printed_s:
                    printed_s = max(passed_s, printed_s) + max(seconds / 10, 1)
                    _print(f"idle {passed_s:5.0f} s", found)
            detector.until(lambda: _is_judging(store), "the detector has judged nothing")
            found = watched.read_process(detector.process.pid)
        publisher.close(5)
    return found


def _is_judging(url: str) -> bool:
    engine = open_store(url)
    with engine.connect() as connection:
        calls = connection.scalar(
            sa.select(sa.func.sum(tables.counter.c.value)).where(tables.counter.c.name == "calls")
        )
    engine.dispose()
    return bool(calls)


class Scale:
    """One detector's shards, their store, and the calls sent to them."""

    def __init__(self, folder: str) -> None:
        self._store = open_store(f"sqlite:///{folder}/store.db")
        self.engine = make_engine(EngineConfig(key=b"0123456789abcdef"))
        self.owners = [
            ShardWorker(number, self.engine, self._store, DetectorSettings()) for number in range(PARTITIONS)
        ]
        self.now_ns = 0

    def send(self, flood: Flood, calls: int, *, title: str) -> float:
        """Judge and commit so many of its calls; return CPU seconds."""
        begun_s, spent_s, sent = time.process_time(), 0.0, 0
        report = max(SPANS, calls // 4)
        while sent < calls:
            values: dict[int, list[bytes]] = {}
            for _ in range(PER_STEP * PARTITIONS):
                self.now_ns += 2 * 10**8
                app, value = flood.request(self.now_ns)
                values.setdefault(app % PARTITIONS, []).append(value)
            begun_s = time.process_time()
            for partition, some in values.items():
                self._take(partition, some)
            spent_s += time.process_time() - begun_s
            before, sent = sent, sent + PER_STEP * PARTITIONS * SPANS
            if sent // report > before // report:
                _print(f"{title} {sent:12,}", watched.read_process())
        return spent_s

    def _take(self, partition: int, values: list[bytes]) -> None:
        owner = self.owners[partition]
        appended_ns = self.now_ns + 10**6
        offset = owner.next_offset
        owner.take([Record(partition, offset + at, appended_ns, value) for at, value in enumerate(values)], 0)
        if owner.due:
            assert owner.commit(appended_ns), owner.trouble

    def ordinary_s(self, values: list[bytes]) -> float:
        """Return CPU seconds of the ordinary calls, whose statements are known."""
        begun_s = time.process_time()
        for at in range(0, len(values), PER_STEP):
            self.now_ns += 10**9
            some = values[at : at + PER_STEP]
            self.engine.step(self.owners[1].shard, _records(some, self.now_ns))
        return time.process_time() - begun_s


def _records(values: list[bytes], now_ns: int) -> StreamRecords:
    return StreamRecords(
        values=values, appended_ns=np.full(len(values), now_ns, np.int64), backfill=np.zeros(len(values), np.bool_),
        offsets=np.arange(len(values), dtype=np.int64),
    )  # fmt: skip


def count_firings(engine: Engine, shard: Shard, calls: list[streams.Call]) -> dict[str, int]:
    """Map each alert of the known apps to the number of its firings."""
    fired: dict[str, int] = {}
    records = streams.records(calls, 4, backfill=False)
    for at in range(0, len(records), 64):
        for event in engine.step(shard, streams.entry(records[at : at + 64], at)).events:
            if isinstance(event, Firings) and event.key.app in KNOWN:
                fired[event.alert_id] = fired.get(event.alert_id, 0) + int(event.times.shape[0])
    return fired


def scale(resources: int, statements: int, calls: int, keys: int, repeats: int = 5) -> Mapping[str, Any]:
    """Fill one detector's shards, and compare cost and findings before and after."""
    random.seed(1)
    known = streams.eventful()
    cut = len(known) * 3 // 5
    values = [spans.request(seed, begin_ns=0) for seed in range(16)]
    with tempfile.TemporaryDirectory() as folder:
        scale = Scale(folder)
        control = scale.engine.new_shard()
        for shard in (control, scale.owners[0].shard):
            count_firings(scale.engine, shard, known[:cut])
        scale.now_ns = known[cut - 1].end_ns
        scale.ordinary_s(values)
        scale.ordinary_s(values)
        before_s = [scale.ordinary_s(values) for _ in range(repeats)]
        _print("scale, before", begun := watched.read_process())
        figures = {"calls": calls / scale.send(Flood(resources, statements, APPS), calls, title="statements")}
        figures["keys"] = keys / scale.send(Flood(APPS, 0, APPS), keys, title="random keys")
        scale.ordinary_s(values)
        after_s = [scale.ordinary_s(values) for _ in range(repeats)]
        snapshot_bytes = max(len(owner.shard.snapshot()) for owner in scale.owners)
        ended = watched.read_process()
        _print("scale, after", ended)
        later = [_later(call, scale.now_ns - known[cut].end_ns + 10**9) for call in known[cut:]]
        expected = count_firings(scale.engine, control, later)
        found = count_firings(scale.engine, scale.owners[0].shard, later)
        used = {name: sum(owner.shard.spaces[name].used for owner in scale.owners) for name in control.spaces}
    return {
        "rss_before_mib": begun.rss_bytes // MEBIBYTE, "rss_mib": ended.rss_bytes // MEBIBYTE,
        "rss_peak_mib": ended.peak_bytes // MEBIBYTE,
        "throughput_ratio": round(sorted(before_s)[repeats // 2] / sorted(after_s)[repeats // 2], 3),
        "statements_per_s": round(figures["calls"]), "keys_per_s": round(figures["keys"]),
        "largest_snapshot_mib": round(snapshot_bytes / MEBIBYTE, 1), "slots": used,
        "alerts_expected": len(expected), "alerts_same": expected == found,
    }  # fmt: skip


def _later(call: streams.Call, shift_ns: int) -> streams.Call:
    return streams.Call(call.end_ns + shift_ns, call.session, call.facts, call.app, call.kind, call.lasted_ns)


def _print(title: str, found: watched.Reading) -> None:
    print(
        f"{title:28} RSS {found.rss_bytes / MEBIBYTE:6.0f} MiB, of it {found.own_bytes / MEBIBYTE:6.0f} its own, "
        f"most so far {found.peak_bytes / MEBIBYTE:6.0f}; {found.threads} threads, {found.files} files",
        flush=True,
    )  # fmt: skip


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--calls", type=int, default=20_000_000)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--no-idle", action="store_true")
    parser.add_argument("--no-scale", action="store_true")
    options = parser.parse_args()
    print(rounds.machine("numba", "numpy", "sqlalchemy"))
    result: dict[str, Any] = {}
    if not options.no_idle:
        result["idle_rss_mib"] = idle(options.minutes * 60).rss_bytes // MEBIBYTE
    if not options.no_scale:
        result |= scale(10_000, 1_000, options.calls, options.keys)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
