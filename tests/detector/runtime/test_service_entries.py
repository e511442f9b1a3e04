"""Declarations hold for calls read after them, over restarts and for any number of declarations."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Consumer, Record
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime import service
from backwatch.detector.runtime.service import DetectorService
from backwatch.detector.runtime.shard_worker import ENTRIES_PER_READ
from backwatch.store import entries, profiles, tables
from backwatch.store.transactions import reading, writing
from tests.detector import streams
from tests.detector.identity.test_identities import ORIGINAL_SESSION, RESOURCE, calls, past
from tests.detector.streams import START_NS, Call

NEW = {**ORIGINAL_SESSION, names.CERT_SHA256: "bb" * 32}


class Log(Consumer):
    """A stream of one partition in memory. Each poll returns all unread records."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._next = 0

    def holds(self, found: Sequence[Call]) -> None:
        self.records += [
            Record(partition=0, offset=len(self.records) + i, value=value, appended_ns=appended, backfill=True)
            for i, (value, appended, _) in enumerate(streams.records(found))
        ]

    def poll(self, timeout_s: float) -> list[Record]:
        start, self._next = self._next, len(self.records)
        return self.records[start:]

    def assignment(self) -> frozenset[int]:
        return frozenset((0,))

    def seek(self, partition: int, offset: int) -> None:
        self._next = offset

    def bounds(self, partition: int) -> tuple[int, int]:
        return 0, len(self.records)

    def read_to(self, partition: int) -> int:
        return self._next

    def commit(self, partition: int, offset: int) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def log() -> Log:
    one = Log()
    one.holds(past())
    return one


def start_service(store: sa.Engine, engine: Engine) -> DetectorService:
    return DetectorService(
        StreamSettings(partitions=1), store, DetectorSettings(commit_interval_s=0), lambda: 1, engine
    )


def announce(store: sa.Engine) -> None:
    announcements = [{"resource": RESOURCE, "certificates": ["bb" * 32]}]
    profiles.enter(store, "shop", announcements, sha256="1", by="ann", now_ns=1)


def rules(store: sa.Engine) -> list[str]:
    with reading(store) as connection:
        return list(connection.scalars(sa.select(tables.alert.c.rule)))


@pytest.mark.parametrize("waiting", [0, 2 * ENTRIES_PER_READ])
def test_announcement_during_detector_downtime_holds_for_the_first_calls(
    store: sa.Engine, engine: Engine, log: Log, waiting: int
) -> None:
    start_service(store, engine).turn(log)
    with writing(store) as connection:
        for _ in range(waiting):
            entries.append(connection, "decision", {"kind": "acknowledge", "alert_id": "0" * 64}, 1, "ann")
    announce(store)
    log.holds(calls(NEW, 20))
    start_service(store, engine).turn(log)
    assert rules(store) == []


def test_announcement_before_the_read_holds_for_the_calls(
    store: sa.Engine, engine: Engine, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ENTRIES_EVERY_S", 0)
    running = start_service(store, engine)
    running.turn(log)
    announce(store)
    log.holds(calls(NEW, 20))
    running.turn(log)
    assert rules(store) == []


def test_past_calls_appended_at_the_epoch_advance_no_watermark(log: Log, store: sa.Engine, engine: Engine) -> None:
    decades_ns = 10**18
    forged = replace(next(streams.quiet(random.Random(5), 1)), end_ns=START_NS + decades_ns)
    first = len(log.records)
    log.records += [
        replace(log.records[0], offset=first + i, appended_ns=appended, value=streams.encode([forged]))
        for i, appended in enumerate((0, -1))
    ]
    found = DetectorService(
        StreamSettings(partitions=1), store, DetectorSettings(commit_interval_s=0), lambda: 1, engine
    )
    found.turn(log)
    found.turn(log)
    assert found._owned[0].next_offset == len(log.records)
    assert 0 < found._owned[0].watermark_ns < START_NS + decades_ns // 2
