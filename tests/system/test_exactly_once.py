"""No call is lost or counted twice, whenever the detector dies and whichever member owns its shard."""

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from backwatch.collector.settings import DetectorSettings
from backwatch.detector.engine.log_entries import StreamRecords
from backwatch.detector.runtime.service import engine_for
from backwatch.detector.runtime.shard_worker import ShardWorker
from backwatch.store.backup import restore_backup, write_backup
from backwatch.store.commit import Fenced
from backwatch.store.connect import open_store
from backwatch.store.decisions import decide
from backwatch.store.migrate import upgrade
from tests.detector import streams
from tests.system.killing import STATEMENTS, Found, copy_stream, everything, publish, run


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    publish(folder)
    return folder


@pytest.fixture
def stream(published: Path, tmp_path: Path) -> str:
    return copy_stream(published, tmp_path)


@pytest.fixture(scope="module")
def reference(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("reference")
    url = f"sqlite:///{folder / 'store.db'}"
    upgrade(open_store(url))
    assert run(copy_stream(published, folder), url, [{}]) == ["exit 0"]
    found = everything(url)
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


@pytest.mark.heavy
@pytest.mark.parametrize("store_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
def test_kill_at_each_statement_of_a_commit_loses_and_doubles_nothing(
    stream: str, reference: Found, store_url: str
) -> None:
    plan: list[dict[str, Any]] = [{"statement": n} for n in range(STATEMENTS)]
    ended = run(stream, store_url, [*plan, {}])
    assert ended.count("killed") >= 12
    assert reference == everything(store_url)


@pytest.mark.slow
def test_killing_the_detector_at_twenty_random_points_loses_and_doubles_nothing(
    stream: str, reference: Found, store_url: str
) -> None:
    source = random.Random(11)
    ended = run(stream, store_url, [*({"after_s": source.uniform(0.15, 0.7)} for _ in range(20)), {}])
    assert ended[-1] == "exit 0"
    assert reference == everything(store_url)


def _owners(url: str) -> tuple[ShardWorker, ShardWorker, sa.Engine]:
    store = open_store(url)
    settings = DetectorSettings()
    engine = engine_for(store, settings)
    return ShardWorker(0, engine, store, settings), ShardWorker(0, engine, store, settings), store


def _records() -> StreamRecords:
    calls = streams.eventful(5, 300)
    return streams.entry(streams.records(calls, 16))


def test_second_of_two_owners_to_commit_is_fenced(store_url: str) -> None:
    first, second, _ = _owners(store_url)
    for owner in (first, second):
        owner.apply(_records())
    assert first.commit(time.time_ns())
    with pytest.raises(Fenced):
        second.commit(time.time_ns())


def test_owner_rereads_records_that_the_store_lost(tmp_path: Path) -> None:
    calls = streams.records(streams.eventful(5, 400), 60)
    apart = [streams.entry(calls[:2]), streams.entry(calls[2:4], 2), streams.entry(calls[4:], 4)]
    found: list[Found] = []
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
                owner = ShardWorker(0, engine_for(store, DetectorSettings()), store, DetectorSettings())
                assert owner.seq == 1
                owner.apply(apart[1])
                assert owner.commit(1)
                owner.apply(apart[2])
            assert owner.commit(1)
        found.append(everything(url))
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
    alert_id = next(iter(everything(store_url)["alert"]))[0]
    decide(store, alert_id, "accept", by="a tester", now_ns=time.time_ns())
    third, fourth, _ = _owners(store_url)
    for owner in (third, fourth):
        owner.take_entries()
    assert third.commit(time.time_ns())
    with pytest.raises(Fenced):
        fourth.commit(time.time_ns())
    assert np.all([alert_id in third.shard.expected.silenced])
