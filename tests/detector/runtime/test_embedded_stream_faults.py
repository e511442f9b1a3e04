"""Damage to the embedded stream's file while an app writes and a detector reads."""

import math
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.pipeline import worker
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime import guard
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings, DetectorSettings, StreamSettings
from backwatch.collector.stream import Message, Record, StreamUnavailable, sqlite
from backwatch.collector.stream.factory import open_consumer, open_publisher, open_relay
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime import log_history, service
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import shards, tables
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.transactions import reading
from tests.detector.streams import eventful, records
from tests.services.waiting import wait_until

SESSION = Session(system="sqlite", address="db", port=1)
PATIENCE_S = 60
MAX_CALL_S = 0.5
"""Maximum processor time of a call on the app's thread, which does no stream work."""


class Chain:
    """An app and a detector over one file. The app calls without a pause."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.file = folder / "state" / "stream.db"
        self.url = f"sqlite:///{self.file}"
        self.store: sa.Engine = open_store(f"sqlite:///{folder / 'store.db'}")
        settings = CollectorSettings(stream_url=self.url, flush_interval_s=0.01, heartbeat_s=3600.0, app_name="shop")
        self.pipeline = Pipeline(settings, lambda: open_publisher(StreamSettings(url=self.url)))
        self.service = DetectorService(
            StreamSettings(url=self.url), self.store, DetectorSettings(commit_interval_s=0), engine=engine
        )
        self.longest_s = 0.0
        self.calls = 0
        self._stop = threading.Event()
        self._quiet = threading.Event()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._detect, self._call)]
        for one in self._threads:
            one.start()

    def _detect(self) -> None:
        self.service.run(self._stop)

    def _call(self) -> None:
        while not self._quiet.wait(0.01):
            began_s = time.thread_time()
            self.pipeline.record_call(SESSION, "", start_ns=time.time_ns() - 1000, sql="SELECT 1")
            self.longest_s = max(self.longest_s, time.thread_time() - began_s)
            self.calls += 1

    def read_count(self, kind: str, name: str) -> int:
        table = tables.counter
        query = sa.select(sa.func.sum(table.c.value)).where(table.c.kind == kind, table.c.name == name)
        with reading(self.store) as connection:
            return int(connection.scalar(query) or 0)

    def count_judged(self) -> int:
        return self.read_count("counter", "calls")

    def goes_on(self) -> None:
        """Wait until calls made from now on are judged."""
        made = self.count_judged()
        wait_until(lambda: self.count_judged() >= made + 50)

    def losses(self) -> int:
        return sum(self.read_count("loss", one) for one in ("gap", "quarantine", "dropped.publish", "dropped.queue"))

    def stop_calling(self) -> None:
        self._quiet.set()
        self._threads[1].join(20)

    def close(self) -> None:
        self._quiet.set()
        self._stop.set()
        for one in self._threads:
            one.join(20)
            assert not one.is_alive()
        self.pipeline.close()
        self.store.dispose()


@pytest.fixture
def chain(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    monkeypatch.setattr(worker, "MAX_PAUSE_S", 0.5)
    monkeypatch.setattr(service, "OBSERVE_EVERY_S", 0.1)
    monkeypatch.setattr(log_history, "SHRUNK_S", 0.5)
    monkeypatch.setattr(service, "RETRY_S", 0.05)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.3)
    monkeypatch.setattr(guard, "faults", 0)
    one = Chain(tmp_path, engine)
    one.goes_on()
    yield one
    one.close()


def has_records(file: Path) -> bool:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as other:
        return other.execute("SELECT count(*) FROM record").fetchone() is not None
    return False


def delete(file: Path) -> None:
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()


def delete_log(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


def remove_folder(file: Path) -> None:
    shutil.rmtree(file.parent, ignore_errors=True)


def truncate(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(0)


def truncate_half(file: Path) -> None:
    checkpoint(file)
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def checkpoint(file: Path) -> None:
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def corrupt(file: Path, *, but_for: int = 0) -> None:
    checkpoint(file)
    source = random.Random(1)
    with file.open("r+b") as opened:
        for at in range(but_for, max(file.stat().st_size, 4_096), 64):
            opened.seek(at)
            opened.write(source.randbytes(16))


def corrupt_behind_the_first_page(file: Path) -> None:
    corrupt(file, but_for=4_096)


def replace_by_junk(file: Path) -> None:
    junk = file.with_name("junk")
    junk.write_bytes(b"no database, and longer than its header would be" * 500)
    junk.replace(file)


def replace_by_another(file: Path) -> None:
    other = file.parent / "other" / "stream.db"
    publisher = open_publisher(StreamSettings(url=f"sqlite:///{other}"))
    publisher.publish(names.TOPIC_CALLS, [Message(b"")], 5)
    publisher.close(5)
    other.replace(file)


HARMS = (
    delete, delete_log, remove_folder, truncate, truncate_half, corrupt, corrupt_behind_the_first_page, replace_by_junk,
    replace_by_another,
)  # fmt: skip


@pytest.mark.parametrize("harm", HARMS, ids=lambda one: one.__name__)
def test_chain_continues_without_a_restart_and_reports_losses(chain: Chain, harm: Callable[[Path], None]) -> None:
    harm(chain.file)
    chain.goes_on()
    wait_until(lambda: has_records(chain.file))  # other connections open the file of app and detector
    chain.stop_calling()
    assert chain.pipeline.flush(PATIENCE_S)
    # The log may have held all records of the damaged file. Then nothing is lost.
    wait_until(lambda: chain.count_judged() >= chain.calls or chain.losses() > 0)
    assert (guard.faults, chain.longest_s < MAX_CALL_S) == (0, True)


def test_file_locked_by_another_process_loses_nothing(chain: Chain) -> None:
    with closing(sqlite3.connect(chain.file, timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        made = chain.calls
        wait_until(lambda: chain.calls >= made + 200)
        other.execute("ROLLBACK")
    wait_until(lambda: chain.count_judged() >= made + 200)
    assert (guard.faults, chain.pipeline.count_dropped(), chain.longest_s < MAX_CALL_S) == (0, 0, True)
    assert chain.read_count("loss", "gap") == 0


def test_read_only_connection_is_reopened(tmp_path: Path) -> None:
    """A connection to a read-only file stays read-only after the file is writable again."""
    publisher = open_publisher(StreamSettings(url=f"sqlite:///{tmp_path}/stream.db"))
    assert isinstance(publisher, sqlite.SqlitePublisher)
    publisher._file.connection().execute("PRAGMA query_only = ON")
    with pytest.raises(ConnectionError, match="readonly"):
        publisher.publish("calls", [Message(b"x")], 1)
    publisher.publish("calls", [Message(b"x")], 1)
    publisher.close(1)


@pytest.mark.parametrize("column", ["value", "key", "appended_ns"])
@pytest.mark.parametrize("damaged", ["'text'", "x'ff'", "1.5", "4611686018427387904", "CAST(x'ff' AS TEXT)"])
def test_damaged_row_is_skipped_or_bounded_before_the_next_one(tmp_path: Path, column: str, damaged: str) -> None:
    url = f"sqlite:///{tmp_path}/stream.db"
    publisher = open_publisher(StreamSettings(url=url))
    publisher.publish("calls", [Message(b"0"), Message(b"1")], 5)
    publisher.close(5)
    with closing(sqlite3.connect(tmp_path / "stream.db")) as connection:
        connection.execute(f"UPDATE record SET {column} = {damaged} WHERE offset = 0")
        connection.commit()
    with closing(open_consumer(StreamSettings(url=url), "calls", "detector")) as consumer:
        first, second = consumer.poll(1)
    assert isinstance(first.value, bytes)
    assert first.appended_ns <= time.time_ns()
    assert (first.next_offset, second.value) == (1, b"1")


def test_relay_reads_a_recreated_file_from_its_beginning_and_reports_loss(tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")

    def publish(*values: bytes) -> None:
        with open_closing_publisher(settings) as publisher:
            publisher.publish("spans", [Message(one) for one in values], 5)

    publish(b"0", b"1", b"2")
    with closing(open_relay(settings, "spans", "calls", "router")) as relay:
        records = relay.poll(1)
        relay.forward(records, [])
        delete(tmp_path / "stream.db")
        publish(b"3", b"4")
        found: list[Record] = relay.poll(5)
        assert [one.value for one in found if not one.skipped] == [b"3", b"4"]
        assert [one.reason for one in found if one.skipped] == ["the log was cut or made anew"]
        relay.forward(found, [Message(one.value) for one in found if not one.skipped])
    with closing(open_consumer(settings, "calls", "detector")) as consumer:
        assert [one.value for one in consumer.poll(5)] == [b"3", b"4"]


@pytest.mark.parametrize("moved", [0, 2])
def test_relay_reports_the_loss_of_a_file_recreated_before_moving(tmp_path: Path, moved: int) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")

    def publish(*values: bytes) -> None:
        with open_closing_publisher(settings) as publisher:
            publisher.publish("spans", [Message(one) for one in values], 5)

    with closing(open_relay(settings, "spans", "calls", "router")) as relay:
        if moved:
            publish(*[b"old"] * moved)
            relay.forward(relay.poll(1), [])
        publish(b"old")
        lost = relay.poll(1)
        delete(tmp_path / "stream.db")
        publish(b"0", b"1", b"2")
        with pytest.raises(StreamUnavailable):
            relay.forward(lost, [])
        found = relay.poll(5)
        with closing(sqlite3.connect(tmp_path / "stream.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # the first try to move them fails
            with pytest.raises(StreamUnavailable):
                relay.forward(found, [])
        found = relay.poll(5)
    assert [one.value for one in found if not one.skipped] == [b"0", b"1", b"2"]
    assert [one.reason for one in found if one.skipped] == ["the log was cut or made anew"]


@pytest.mark.parametrize("opened", [open_consumer, lambda *given: open_relay(given[0], given[1], "out", given[2])])
def test_file_recreated_during_a_wait_is_read_from_its_beginning(
    tmp_path: Path, opened: Callable[[StreamSettings, str, str], Any]
) -> None:
    file, other = tmp_path / "stream.db", tmp_path / "other" / "stream.db"
    settings = StreamSettings(url=f"sqlite:///{file}")
    for path, values in ((file, [b"old"]), (other, [b"0", b"1", b"2"])):
        with open_closing_publisher(StreamSettings(url=f"sqlite:///{path}")) as publisher:
            publisher.publish("calls", [Message(one) for one in values], 5)
    with closing(opened(settings, "calls", "detector")) as reader:
        assert len(reader.poll(1)) == 1
        threading.Timer(0.2, other.replace, [file]).start()
        assert reader.poll(1.5) == []


def test_progress_in_a_deleted_file_drops_nothing_of_the_new_one(tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    with open_closing_publisher(settings) as publisher:
        publisher.publish("calls", [Message(b"old")] * 5, 5)
        with closing(open_consumer(settings, "calls", "detector")) as consumer:
            before = consumer.topic_id()
            assert len(consumer.poll(1)) == 5
            delete(tmp_path / "stream.db")
            publisher.publish("calls", [Message(b"new")] * 3, 5)
            consumer.commit(0, 5)
            assert (consumer.topic_id() != before, consumer.poll(0.1)) == (True, [])
            consumer.seek(0, 0)
            assert [one.value for one in consumer.poll(1)] == [b"new"] * 3


def test_file_recreated_during_a_store_outage_is_judged_from_its_beginning(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, file = records(eventful(seed=3, count=164), per_record=4), tmp_path / "stream.db"
    settings, store = StreamSettings(url=f"sqlite:///{file}"), open_store(f"sqlite:///{tmp_path / 'store.db'}")

    def publish(first: int, last: int) -> None:
        with open_closing_publisher(settings) as publisher:
            found = [Message(value, appended_ns=at_ns, backfill=past) for value, at_ns, past in values[first:last]]
            publisher.publish(names.TOPIC_CALLS, found, 5)

    def is_away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the store is away")

    publish(0, 10)
    running = DetectorService(settings, store, DetectorSettings(commit_interval_s=0), lambda: 1, engine)
    with closing(open_consumer(settings, names.TOPIC_CALLS, "detector")) as consumer:
        running.turn(consumer)
        with monkeypatch.context() as patch:
            patch.setattr(shards, "commit", is_away)
            publish(10, 11)
            running.turn(consumer)
            assert running._owned[0].stuck
            delete(file)
            publish(11, 41)
            running.turn(consumer)
        for _ in range(2):  # the store is back before the log's end is looked up
            running.turn(consumer)
        running._observed_s = -math.inf
        for _ in range(3):
            running.turn(consumer)
    table = tables.counter
    with reading(store) as connection:
        calls = connection.scalar(sa.select(sa.func.sum(table.c.value)).where(table.c.name == "calls"))
    assert (calls, running._owned[0].next_offset) == (4 * 41, 30)
    store.dispose()


def open_closing_publisher(settings: StreamSettings) -> Any:
    return _Closing(settings)


class _Closing:
    def __init__(self, settings: StreamSettings) -> None:
        self._publisher = open_publisher(settings)

    def __enter__(self) -> Any:
        return self._publisher

    def __exit__(self, *_: object) -> None:
        self._publisher.close(5)
