"""Deaths of the detector: which record is to blame, and when none is."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from backwatch.detector.engine.call_verdicts import RunVerdict
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime import isolation
from backwatch.store import attempts, shards, tables
from backwatch.store.connect import StoreUnavailable
from backwatch.store.transactions import reading
from tests.detector.runtime.poison import Broken, Recorded, drain, history, quarantine, results, service


def test_loads_of_an_idle_shard_do_not_count_as_deaths(engine: Engine, stores: Callable[[], sa.Engine]) -> None:
    """Failure that taught it: a rebalance loaded an empty partition, and its first 2 000 were judged one by one."""
    good, _ = history()
    store = stores()
    for _ in range(2 * isolation.LOADS_BEFORE_CARE):
        service(store, engine).turn(Recorded([]))
    running, log = service(store, engine), Recorded(good)
    running.turn(log)
    with reading(store) as connection:
        assert connection.scalar(sa.select(tables.shard.c.next_offset)) == len(log.records)
        commits = connection.scalar(sa.select(tables.shard.c.seq)) or 0
    assert 0 < commits < len(log.records) // 2  # otherwise one per record


def is_away(*_: object) -> attempts.Attempts:
    raise StoreUnavailable("the store is away")


def test_load_counts_despite_a_store_outage_at_its_start(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, _ = history()
    store = stores()
    running, log, judging = service(store, engine), Recorded(good), attempts.count_load
    with monkeypatch.context() as patch:
        patch.setattr(attempts, "count_load", is_away)
        running.attempt(log, threading.Event())
    found: list[int] = []
    monkeypatch.setattr(attempts, "count_load", lambda *given: found.append(1) or judging(*given))
    running.attempt(log, threading.Event())
    assert found == [1]


class Dies(BaseException):
    """The simulated end of the process."""


def _drain_despite_deaths(engine: Engine, good: Sequence[tuple[bytes, int, bool]], store: sa.Engine) -> None:
    """Start the service again after each death until all is committed."""
    while True:
        try:
            drain(service(store, engine), Recorded(good), store)
            break
        except Dies:
            continue


def test_record_that_kills_its_detector_is_eventually_quarantined(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = history(60)
    undisturbed, store = stores(), stores()
    drain(service(undisturbed, engine), Recorded(good), undisturbed)
    Broken.verdicts(monkeypatch, Dies())
    deaths = 0
    while True:
        try:
            drain(service(store, engine), Recorded(bad), store)
            break
        except Dies:
            deaths += 1
            assert deaths < 20, "each start dies at the same record"
    assert [(60, isolation.KILLED, bad[60][0])] == quarantine(store)
    # The first death ended a detector that had committed since its load.
    assert deaths == 1 + isolation.LOADS_BEFORE_CARE + isolation.TRIES_OF_A_RECORD
    assert results(undisturbed) == results(store)


def test_unrelated_deaths_quarantine_no_record(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty kills at random places. None of the records being judged is to blame."""
    good, _ = history()
    undisturbed, store = stores(), stores()
    drain(service(undisturbed, engine), Recorded(good), undisturbed)
    source = np.random.default_rng(7)
    left = 20
    original = RunVerdict.judge

    def judge(self: Any, *given: Any) -> None:
        nonlocal left
        original(self, *given)
        if left and source.random() < 0.1:
            left -= 1
            raise Dies

    monkeypatch.setattr(RunVerdict, "judge", judge)
    _drain_despite_deaths(engine, good, store)
    assert left == 0
    assert quarantine(store) == []
    assert results(undisturbed) == results(store)


def test_deaths_in_the_commit_quarantine_no_record(
    engine: Engine, stores: Callable[[], sa.Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, _ = history()
    store, left = stores(), 20
    original = shards.commit

    def commit(*given: Any, **more: Any) -> None:
        nonlocal left
        if left:
            left -= 1
            raise Dies
        original(*given, **more)

    monkeypatch.setattr(shards, "commit", commit)
    _drain_despite_deaths(engine, good, store)
    assert left == 0
    assert quarantine(store) == []
