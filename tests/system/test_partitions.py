"""Adding partitions to a stream with learnt baselines: on the real broker, by the real command."""

import dataclasses
import random
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import ensure_topics, open_publisher
from backwatch.collector.stream.kafka_partitions import choose_partition, count_partitions
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime.progress import ProgressBoard
from backwatch.detector.runtime.service import DetectorService, engine_for
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.detector.streams import SAFE, SECOND, Call, statement
from tests.services.server import Server
from tests.services.waiting import wait_until
from tests.system.commands import run_command

BEFORE, AFTER = 2, 4
APPS = ("shop", "billing", "catalogue", "mail", "search", "stock")
SETTINGS = DetectorSettings(commit_interval_s=0.2)
ODD = "SELECT name, secret FROM users WHERE id = ?"


def publish(url: str, calls: list[Call], *, backfill: bool = False) -> None:
    publisher = open_publisher(StreamSettings(url=url))
    # Call by call: apps that share a partition share its clock, and calls behind another app's are late.
    messages = [
        Message(streams.encode([dataclasses.replace(call, app=app)]), app.encode(), backfill=backfill)
        for call in calls
        for app in APPS
    ]
    publisher.publish(names.TOPIC_CALLS, messages, 60)
    publisher.close(5)


class Detector:
    """A detector in a thread, with its progress board."""

    def __init__(self, url: str, store: sa.Engine, engine: Engine) -> None:
        self._service = DetectorService(StreamSettings(url=url), store, SETTINGS, engine=engine)
        self._board = ProgressBoard(store, [self._service.progress], None)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._service.run, args=(self._stop,), daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        self._board.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self._board.stop()


def count_judged(store: sa.Engine) -> int:
    table = tables.counter
    with reading(store) as connection:
        return int(connection.scalar(sa.select(sa.func.sum(table.c.value)).where(table.c.name == "calls")) or 0)


def list_alerting_apps(store: sa.Engine) -> set[str]:
    with reading(store) as connection:
        return set(connection.scalars(sa.select(tables.alert.c.app).where(tables.alert.c.rule == "unusual-query")))


@pytest.mark.slow
def test_apps_keep_their_baseline_on_a_new_partition(kafka_without_topics: Server, tmp_path: Path) -> None:
    url, store_url = kafka_without_topics.url, f"sqlite:///{tmp_path / 'store.db'}"
    stream = StreamSettings(url=url, partitions=BEFORE)
    ensure_topics(stream, (names.TOPIC_CALLS, names.TOPIC_SPANS))
    store = open_store(store_url)
    engine = engine_for(store, SETTINGS)
    settings = {"BACKWATCH_STREAM_URL": url, "BACKWATCH_STORE_URL": store_url, "BACKWATCH_DETECTOR_LOOPBACK": "judge"}
    source, now_ns = random.Random(1), time.time_ns()
    history = list(streams.quiet(source, 1_500, now_ns - 1_500 * 20 * SECOND - 60 * SECOND))
    with Detector(url, store, engine):
        publish(url, history, backfill=True)
        wait_until(lambda: count_judged(store) == len(history) * len(APPS), "the history was not judged")
        refused = run_command("partitions", "add", str(AFTER), **settings)
        assert refused.code == 78
        assert "stop every detector first" in refused.last_line
    unread = list(streams.quiet(source, 50, time.time_ns() - SECOND, step_ns=1))
    publish(url, unread)
    done = run_command("partitions", "add", str(AFTER), **settings)
    assert done.code == 0, done.err
    moved = {app for app in APPS if choose_partition(app, AFTER) >= BEFORE}
    assert 0 < len(moved) < len(APPS)
    assert done.out == f"{BEFORE} -> {AFTER} partitions; {len(moved)} apps moved to new ones\n"
    assert count_judged(store) == (len(history) + len(unread)) * len(APPS)
    topics = (names.TOPIC_CALLS, names.TOPIC_SPANS)
    assert count_partitions(stream, topics) == dict.fromkeys(topics, AFTER)
    assert list_alerting_apps(store) == set()
    publish(url, [Call(time.time_ns(), SAFE, statement(ODD))])
    with Detector(url, store, engine):
        wait_until(lambda: list_alerting_apps(store) == set(APPS), "not every app's odd query is held against its past")
    again = run_command("partitions", "add", str(AFTER), **settings)
    assert again.code == 78
    assert f"must be a multiple of today's {AFTER} partitions, and larger" in again.last_line
