"""Detectors that join and leave on a real Kafka: does every partition advance, with the findings of one member?

    make bench NAME=chaos                ARGS="--seconds 600 --every 10", "--quick"

Apps publish calls, some of which raise alerts. Detectors of one group come and go, 1 to 5 to 2 and back, every few
seconds. Some are asked to stop (SIGTERM), some killed (SIGKILL), some stopped for longer than their session lasts and
resumed (SIGSTOP, SIGCONT). Meanwhile no partition may stand still for more than 30 seconds. Afterwards one member
alone, on a separate store, judges the same log undisturbed. The last line is JSON: published, judged, lost, doubled,
alerts, findings that differ, changes of members, and the longest standstill in seconds.
"""

import argparse
import dataclasses
import json
import random
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import ensure_topics, open_consumer, open_publisher
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.services.authority import Authority
from tests.services.brokers import kafka_broker
from tests.services.databases import fresh_database, postgresql
from tests.system.members import Members, members

PARTITIONS: Final = 6
APPS: Final = 18
SIZES: Final = (1, 5, 2)
PAUSE_S: Final = 0.25
LIMIT_S: Final = 30.0
AHEAD_S: Final = 240
"""Of the last member's clock: what is open at the end of the log closes in both runs."""
COMPARED: Final = {
    "alert": ("id", "episode", "count", "first_ns", "last_ns", "opened_ns", "cleared_ns"),
    "episode": ("alert_id", "number", "opened_ns", "cleared_ns"),
    "occurrence": ("alert_id", "number", "time_ns", "trace_id", "span_id"),
    "resource": ("id", "first_ns", "last_ns", "calls", "errors"),
    "rollup": ("resource_id", "end_ns", "calls", "errors", "bytes_received", "rows_returned"),
    "quarantine": ("partition_id", "record_offset", "value"),
}
Row = tuple[Any, ...]


class ChaosLoad(threading.Thread):
    """Apps that each publish a few calls several times a second until stopped."""

    def __init__(self, url: str, calls: int) -> None:
        super().__init__(daemon=True)
        self._url, self._calls = url, calls
        self._work = [streams.eventful(seed, 1_500) for seed in range(APPS)]
        self.stopping = threading.Event()
        self.published = 0

    def run(self) -> None:
        """Publish the calls of each app under its own key."""
        publisher = open_publisher(StreamSettings(url=self._url))
        at = 900  # of the 1,500: the calls that raise alerts begin at the thousandth
        while not self.stopping.wait(PAUSE_S):
            now_ns = time.time_ns()
            messages: list[Message] = []
            for number, work in enumerate(self._work):
                some = [work[(at + place) % len(work)] for place in range(self._calls)]
                app = f"app-{number}"
                moved = [
                    dataclasses.replace(call, app=app, end_ns=now_ns - (self._calls - place) * 1_000_000)
                    for place, call in enumerate(some)
                ]
                messages.append(Message(streams.encode(moved, at), key=app.encode()))
            publisher.publish(names.TOPIC_CALLS, messages, 30)
            self.published += APPS * self._calls
            at += self._calls
        publisher.close(5)


class Sampler(threading.Thread):
    """The longest standstill of any partition, from the store and the broker."""

    def __init__(self, stream: str, store: str) -> None:
        super().__init__(daemon=True)
        self._stream, self._store = stream, store
        self.stopping = threading.Event()
        self.longest_s = 0.0

    def run(self) -> None:
        """Check twice a second."""
        store = open_store(self._store)
        begun_s = time.monotonic()
        moved: dict[int, tuple[int, float]] = dict.fromkeys(range(PARTITIONS), (0, begun_s))
        while not self.stopping.wait(0.5):
            end, now_s = ends(self._stream), time.monotonic()
            for partition, offset in read_next_offsets(store).items():
                before, since_s = moved[partition]
                if offset != before or offset >= end[partition]:
                    moved[partition] = (offset, now_s)
                else:
                    self.longest_s = max(self.longest_s, now_s - since_s)
        store.dispose()


def read_next_offsets(store: sa.Engine) -> dict[int, int]:
    """Return the next offset by shard."""
    with reading(store) as connection:
        found = {row.id: row.next_offset for row in connection.execute(sa.select(tables.shard))}
    return {partition: found.get(partition, 0) for partition in range(PARTITIONS)}


_readers: dict[tuple[str, int], Any] = {}


def ends(stream: str) -> dict[int, int]:
    """Return the end of the log by partition."""
    key = (stream, threading.get_ident())
    if key not in _readers:
        _readers[key] = open_consumer(StreamSettings(url=stream), names.TOPIC_CALLS, "chaos-ends")
    return {partition: end for partition, (_, end) in _readers[key].all_bounds(range(PARTITIONS)).items()}


def storm(group: Members, seconds: float, every_s: float, source: random.Random) -> int:
    """Change the group until the time is over; return the number of changes."""
    changes, until_s, turn = 0, time.monotonic() + seconds, 0
    while time.monotonic() < until_s:
        turn += 1
        size = SIZES[turn % len(SIZES)]
        while len(group.pids) < size:
            group.start()
            changes += 1
        while len(group.pids) > size:
            group.signal(source.choice(group.pids), source.choice((signal.SIGTERM, signal.SIGKILL)))
            changes += 1
        if turn % 3 == 0 and group.pids:
            stopped = source.choice(group.pids)
            group.signal(stopped, signal.SIGSTOP)
            if len(group.pids) == 1:
                group.start()
            time.sleep(min(every_s * 1.3, max(0.0, until_s - time.monotonic())))  # beyond its session
            group.signal(stopped, signal.SIGCONT)
            changes += 1
        time.sleep(min(every_s * source.uniform(0.5, 1.2), max(0.0, until_s - time.monotonic())))
    return changes


def drain(group: Members, stream: str, store_url: str) -> None:
    """Read to the end of the log with one member, and close all windows."""
    while group.pids:
        group.signal(group.pids[0], signal.SIGTERM)
    group.start(AHEAD_S)
    store = open_store(store_url)
    goal_ns = time.time_ns() + (AHEAD_S - 90) * 10**9
    until_s = time.monotonic() + 240
    while True:
        with reading(store) as connection:
            rows = list(connection.execute(sa.select(tables.shard)))
        end = ends(stream)
        if len(rows) == PARTITIONS and all(
            row.next_offset >= end[row.id] and (row.watermark_ns >= goal_ns or not row.watermark_ns) for row in rows
        ):
            break
        if time.monotonic() > until_s:
            raise TimeoutError(f"not drained: {read_next_offsets(store)} of {end}")
        time.sleep(0.5)
    group.signal(group.pids[0], signal.SIGTERM)
    time.sleep(1)
    store.dispose()


def read_findings(store_url: str) -> dict[str, list[Row]]:
    """Return the findings."""
    store = open_store(store_url)
    with reading(store) as connection:
        found = {
            name: sorted(
                tuple(row)
                for row in connection.execute(sa.select(*(getattr(tables, name).c[column] for column in columns)))
            )
            for name, columns in COMPARED.items()
        }
    store.dispose()
    return found


def run(
    stream: str, store_url: str, folder: Path, *, seconds: float, every_s: float, calls: int, seed: int
) -> dict[str, Any]:
    """Run the changes, then the undisturbed member; return the figures."""
    ensure_topics(StreamSettings(url=stream, partitions=PARTITIONS), (names.TOPIC_CALLS, names.TOPIC_SPANS))
    reference_url = f"sqlite:///{folder / 'reference.db'}"
    for url in (store_url, reference_url):
        upgrade(open_store(url))
    load, sampler = ChaosLoad(stream, calls), Sampler(stream, store_url)
    with members(stream, store_url, PARTITIONS, folder / "members.log") as group:
        group.start()
        until_s = time.monotonic() + 120
        store = open_store(store_url)
        load.start()
        while min(read_next_offsets(store).values()) == 0 and time.monotonic() < until_s:
            time.sleep(0.2)
        sampler.start()
        changes = storm(group, seconds, every_s, random.Random(seed))
        load.stopping.set()
        load.join(60)
        sampler.stopping.set()
        sampler.join(30)
        drain(group, stream, store_url)
    with members(stream, reference_url, PARTITIONS, folder / "reference.log") as group:
        drain(group, stream, reference_url)
    found, expected = read_findings(store_url), read_findings(reference_url)
    judged = sum(row[3] for row in found["resource"])
    return {
        "published": load.published, "judged": judged,
        "lost": max(0, load.published - judged), "doubled": max(0, judged - load.published),
        "alerts": len(found["alert"]), "changes": changes, "longest_stand_still_s": round(sampler.longest_s, 1),
        "different": sorted(name for name in COMPARED if found[name] != expected[name]),
    }  # fmt: skip


def main() -> None:
    """Run the bench on its own servers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between changes")
    parser.add_argument("--calls", type=int, default=10, help="calls of each of 18 apps, four times a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a minute, few calls")
    given = parser.parse_args()
    seconds, calls = (60.0, 3) if given.quick else (given.seconds, given.calls)
    with tempfile.TemporaryDirectory() as folder:
        ca = Authority(Path(folder))
        with (
            kafka_broker.serve(ca) as broker,
            postgresql.serve(ca) as server,
            fresh_database.postgresql(server) as store_url,
        ):
            figures = run(
                broker.url, store_url, Path(folder), seconds=seconds, every_s=given.every, calls=calls, seed=given.seed
            )
    print(json.dumps(figures))
    bad = figures["lost"] or figures["doubled"] or figures["different"] or figures["longest_stand_still_s"] > LIMIT_S
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
