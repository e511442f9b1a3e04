"""Nothing lost, nothing doubled: whenever the detector dies, and whoever else owns its shard."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Message, open_publisher
from backwatch.detector.engine.entries import Records
from backwatch.detector.owned import OwnedShard
from backwatch.detector.service import engine_for
from backwatch.store import tables
from backwatch.store.backup import restore_backup, write_backup
from backwatch.store.commit import Fenced
from backwatch.store.connect import open_store
from backwatch.store.decisions import decide
from backwatch.store.migrate import upgrade
from backwatch.store.transactions import reading
from tests.detector import streams

ROOT = Path(__file__).parents[2]
RECORDS = 60
STATEMENTS = 24
"""More than a commit has, so that each one is hit; the plans beyond the last one simply finish."""
COMPARED = {
    "alert": ("id", "episode", "count", "first_ns", "last_ns", "opened_ns", "cleared_ns"),
    "episode": ("alert_id", "number", "opened_ns", "cleared_ns"),
    "occurrence": ("alert_id", "number", "time_ns", "trace_id", "span_id"),
    "resource": ("id", "first_ns", "last_ns", "calls", "errors"),
    "rollup": ("resource_id", "end_ns", "calls", "errors", "bytes_received", "rows_returned"),
    "counter": ("kind", "name", "value"),
    "event": ("id", "alert_id", "kind", "episode"),
    "quarantine": ("partition_id", "record_offset", "value"),
}


def _rows(connection: sa.Connection, table: sa.Table, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in connection.execute(sa.select(*(table.c[one] for one in columns))))


def _everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    store = open_store(url)
    with reading(store) as connection:
        found = {
            name: _rows(connection, getattr(tables, name), columns)
            for name, columns in COMPARED.items()
        }  # fmt: skip
    store.dispose()
    return found


def _run(stream: str, store: str, plan: list[dict[str, Any]]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.detector_child", stream, store, json.dumps(plan), str(RECORDS + 1)],
        cwd=ROOT, capture_output=True, text=True, timeout=380,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "Error" not in done.stderr, done.stderr[-2_000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    url = f"sqlite:///{folder / 'stream.db'}"
    calls = streams.eventful(5, 1_800)
    size = -(-len(calls) // RECORDS)
    publisher = open_publisher(StreamSettings(url=url))
    messages = [
        Message(value=streams.encoded(calls[at : at + size], at), backfill=True) for at in range(0, len(calls), size)
    ]
    messages.insert(30, Message(value=b"\x0a\xff\xff not OTLP", backfill=True))
    publisher.publish(names.TOPIC_CALLS, messages, 10)
    publisher.close(5)
    assert len(messages) == RECORDS + 1
    return folder


def _copied(published: Path, folder: Path) -> str:
    """A stream of its own, append times and all: what one detector has read is pruned, and gone for the next."""
    shutil.copytree(published, folder / "stream")
    return f"sqlite:///{folder / 'stream' / 'stream.db'}"


@pytest.fixture
def stream(published: Path, tmp_path: Path) -> str:
    return _copied(published, tmp_path)


@pytest.fixture(scope="module")
def reference(published: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, ...]]]:
    folder = tmp_path_factory.mktemp("reference")
    url = f"sqlite:///{folder / 'store.db'}"
    upgrade(open_store(url))
    assert _run(_copied(published, folder), url, [{}]) == ["exit 0"]
    found = _everything(url)
    assert len(found["alert"]) > 8
    assert found["quarantine"]
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
    else:
        url = request.getfixturevalue("postgresql_database")
    upgrade(open_store(url))
    return url


@pytest.mark.slow
def test_killing_the_detector_at_each_statement_of_its_transaction_loses_and_doubles_nothing(
    stream: str, reference: dict[str, list[tuple[Any, ...]]], store_url: str
) -> None:
    plan: list[dict[str, Any]] = [{"statement": n} for n in range(STATEMENTS)]
    ended = _run(stream, store_url, [*plan, {}])
    assert ended.count("killed") >= 12
    assert reference == _everything(store_url)


@pytest.mark.slow
def test_killing_the_detector_at_twenty_random_points_loses_and_doubles_nothing(
    stream: str, reference: dict[str, list[tuple[Any, ...]]], store_url: str
) -> None:
    source = random.Random(11)
    ended = _run(stream, store_url, [*({"after_s": source.uniform(0.15, 0.7)} for _ in range(20)), {}])
    assert ended[-1] == "exit 0"
    assert reference == _everything(store_url)


def _owners(url: str) -> tuple[OwnedShard, OwnedShard, sa.Engine]:
    store = open_store(url)
    settings = DetectorSettings()
    engine = engine_for(store, settings)
    return OwnedShard(0, engine, store, settings), OwnedShard(0, engine, store, settings), store


def _records() -> Records:
    calls = streams.eventful(5, 300)
    return streams.entry(streams.records(calls, 16))


def test_of_two_owners_the_one_that_commits_second_is_fenced(store_url: str) -> None:
    first, second, _ = _owners(store_url)
    for owner in (first, second):
        owner.apply(_records())
    assert first.commit(time.time_ns())
    with pytest.raises(Fenced):
        second.commit(time.time_ns())


def test_owner_reads_again_what_the_store_no_longer_has(tmp_path: Path) -> None:
    calls = streams.records(streams.eventful(5, 400), 60)
    apart = [streams.entry(calls[:2]), streams.entry(calls[2:4], 2), streams.entry(calls[4:], 4)]
    found: list[dict[str, list[tuple[Any, ...]]]] = []
    for name in ("undisturbed", "restored"):
        url, copy = f"sqlite:///{tmp_path / name}.db", tmp_path / "store.backup"
        owner, _, store = _owners(url)
        owner.apply(apart[0])
        assert owner.commit(1)
        if name == "restored":
            write_backup(store, copy)
        for at in (1, 2):
            owner.apply(apart[at])
            if name == "restored" and at == 2:
                restore_backup(store, copy)  # as a failover to a standby that lacks the last commit
                with pytest.raises(Fenced):
                    owner.commit(1)
                owner = OwnedShard(0, engine_for(store, DetectorSettings()), store, DetectorSettings())
                assert owner.seq == 1
                owner.apply(apart[1])
                assert owner.commit(1)
                owner.apply(apart[2])
            assert owner.commit(1)
        found.append(_everything(url))
    assert len(found[0]["alert"]) > 5
    assert found[0] == found[1]


def test_a_tick_alone_is_fenced_too(store_url: str) -> None:
    first, second, _ = _owners(store_url)
    for owner in (first, second):
        owner.apply(_records())
    first.commit(time.time_ns())
    third, fourth, _ = _owners(store_url)
    for owner in (third, fourth):
        owner.tick(time.time_ns())
    assert third.commit(time.time_ns())
    with pytest.raises(Fenced):
        fourth.commit(time.time_ns())


def test_a_decision_alone_is_fenced_too(store_url: str) -> None:
    first, _, store = _owners(store_url)
    first.apply(_records())
    first.commit(time.time_ns())
    alert_id = next(iter(_everything(store_url)["alert"]))[0]
    decide(store, alert_id, "accept", by="a tester", now_ns=time.time_ns())
    third, fourth, _ = _owners(store_url)
    for owner in (third, fourth):
        owner.take_entries()
    assert third.commit(time.time_ns())
    with pytest.raises(Fenced):
        fourth.commit(time.time_ns())
    assert np.all([alert_id in third.shard.scalars.accepted])
