"""A detector whose PostgreSQL crashes, comes back, and is failed over to its standby while it commits."""

import contextlib
import os
import signal
import time
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, Publisher
from backwatch.collector.stream.factory import open_publisher
from backwatch.store import tables
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.health import health
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.services.databases.postgresql_pair import Node, serve_pair
from tests.system.commands import Running, run_in_background


def publish(publisher: Publisher, numbers: range) -> None:
    """Return calls over plaintext, each to a different server: one alert and one commit each."""
    for number in numbers:
        facts = {**streams.SAFE, names.SERVER_ADDRESS: f"db{number}.internal", names.TLS_ESTABLISHED: False,
                 names.TLS_VERIFIED: "none"}  # fmt: skip
        call = streams.Call(time.time_ns(), facts, streams.statement("SELECT ?"))
        publisher.publish(names.TOPIC_CALLS, [Message(streams.encode([call], number))], 10)
        time.sleep(0.02)


def calls(url: str) -> dict[str, int]:
    """Return calls by server; none while the store is away."""
    engine = open_store(url, check=False)
    try:
        with reading(engine) as connection:
            query = sa.select(tables.resource.c.endpoint, tables.resource.c.calls)
            return {row.endpoint: row.calls for row in connection.execute(query)}
    except StoreUnavailable:
        return {}
    finally:
        engine.dispose()


def crash(node: Node) -> None:
    """Kill one of the server's processes: the server ends all others and recovers from its log."""
    engine = open_store(node.url, check=False)
    with contextlib.suppress(StoreUnavailable), reading(engine) as connection:
        os.kill(connection.scalar(sa.text("select pg_backend_pid()")) or 0, signal.SIGKILL)
    engine.dispose()


def test_crashes_and_a_failover_lose_and_double_no_call(tmp_path: Path) -> None:
    stream = f"sqlite:///{tmp_path}/stream.db"
    with serve_pair(synchronous=True) as pair:
        settings = {"BACKWATCH_STREAM_URL": stream, "BACKWATCH_STORE_URL": pair.url}
        with run_in_background(tmp_path, "detect", "--no-router", **settings) as detector:
            detector.wait_for_output("detecting")
            publisher = open_publisher(StreamSettings(url=stream))
            publish(publisher, range(20))
            _until(detector, pair.url, 1)
            crash(pair.primary)
            publish(publisher, range(20, 60))
            _until(detector, pair.url, 40)
            pair.fail_over()
            publish(publisher, range(60, 100))
            publisher.close(5)
            _until(detector, pair.url, 100)
            assert detector.stop() == 143
        engine = open_store(pair.url, must_exist=True)
        with reading(engine) as connection:
            assert health(connection).losses == {}
            rules = Counter(connection.scalars(sa.select(tables.alert.c.rule)))
            doubled = connection.scalars(sa.select(tables.alert.c.id).where(tables.alert.c.count > 1)).all()
        engine.dispose()
        assert set(calls(pair.url).values()) == {1}
        assert 100 in rules.values(), rules
        assert doubled == []
    assert "Traceback" not in detector.output()


def _until(detector: Running, url: str, count: int) -> None:
    detector.until(lambda: len(calls(url)) >= count, f"{count} calls were not judged")
