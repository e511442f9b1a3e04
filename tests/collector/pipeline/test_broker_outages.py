"""A broker that is down, unreachable or silent in the handshake, and a full disk: no effect on the app."""

import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings, StreamSettings
from backwatch.collector.stream import Publisher, StreamUnavailable
from backwatch.collector.stream.factory import ensure_topics, open_publisher
from tests.services.faults.disk import small_disk
from tests.services.faults.gate import gate
from tests.services.ledger import Ledger
from tests.services.server import Server

BACKWATCH = str(Path(sys.executable).with_name("backwatch"))
DAYS = ("down", "black_hole", "stalled", "disk_full")
CALLS = 12_000
APP = """
import sqlite3, sys, time
connection = sqlite3.connect(":memory:", isolation_level=None)
connection.execute("CREATE TABLE bag (a INTEGER)")
for at in range(int(sys.argv[1])):
    connection.execute(f"UPDATE bag SET a = 1 WHERE a IN (SELECT 1 AS {'a_long_name_' * 60}{at})")
print("made", flush=True)
sys.stdin.read()
print(time.time(), flush=True)
"""

MEMORY_BYTES = 13_000_000
"""What queued calls may take: with what the client of a dead broker takes, and the heap's gaps, it is below 16 MB."""


def test_a_broker_that_never_ends_its_handshake_is_given_up_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        settings = StreamSettings(url=f"kafka://127.0.0.1:{server.getsockname()[1]}", security_protocol="SSL")
        began = time.monotonic()
        with pytest.raises(StreamUnavailable):
            open_publisher(settings)
        assert time.monotonic() - began < 10


def away() -> Publisher:
    raise StreamUnavailable("away")


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    """A pipeline whose stream is away."""
    with closing(Pipeline(CollectorSettings(exit_timeout_s=0.1), away)) as pipeline:
        yield pipeline


def session(number: int) -> Session:
    """A connection that shares nothing with another one."""
    texts: dict[str, Any] = {
        name: f"{name} {number}" for name in ("account", "issuer", "subject", "not_after", "cipher")
    }
    return Session(system="mysql", address="db", certificate_sha256=f"{number:064x}", **texts)


LONG = "SELECT {} " + 800 * "x"
NAMES = [f"fact.{number}" for number in range(6)]


@pytest.mark.parametrize(
    ("text", "facts", "connections"),
    [("SELECT {}", 0, 1), ("SELECT {}", 6, 11_000), (LONG, 6, 11_000), (LONG + "\N{GRINNING FACE}", 0, 1)],
)
def test_calls_waiting_for_the_stream_stay_within_their_memory_bound(
    pipeline: Pipeline, text: str, facts: int, connections: int
) -> None:
    shared = session(0)
    tracemalloc.start()
    try:
        for at in range(11_000):
            pipeline.record_call(
                shared if connections == 1 else session(at), "SELECT", start_ns=10**18 + at,
                statement=text.format(at), facts=tuple((name, f"value of {name}: {at}") for name in NAMES[:facts]),
            )  # fmt: skip
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pipeline.count_dropped() > 0
    assert held < MEMORY_BYTES


def test_an_exit_waits_at_most_one_second_for_an_unavailable_stream() -> None:
    tries: list[float] = []
    leave = threading.Event()

    def slow_once_away() -> Publisher:
        tries.append(time.monotonic())
        if len(tries) > 1:
            leave.wait(20)
        raise StreamUnavailable("away")

    pipeline = Pipeline(CollectorSettings(exit_timeout_s=15.0, flush_interval_s=0.01), slow_once_away)
    pipeline.record_call(session(0), "SELECT", start_ns=10**18)
    while len(tries) < 2:
        time.sleep(0.01)
    began = time.monotonic()
    pipeline.close()
    assert 0.9 < time.monotonic() - began < 5
    leave.set()


class App:
    """A process under ``backwatch run``."""

    def __init__(self, name: str, calls: int, **environment: str) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "BACKWATCH_"))}
        self.name = name
        self.process = subprocess.Popen(
            [BACKWATCH, "run", "--", sys.executable, "-c", APP, str(calls)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**kept, **environment, "OTEL_SERVICE_NAME": name},
        )  # fmt: skip

    def wait_until_made(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "made\n"

    def peak_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])

    def exit_s(self) -> float:
        """End it; return the time from its last line on."""
        output, _ = self.process.communicate(timeout=60)
        return time.time() - float(output)


class Day:
    """A broker outage: the app's settings, and how the outage ends."""

    def __init__(self, kind: str, broker: Server, folder: Path, stack: ExitStack) -> None:
        if kind == "disk_full":
            disk = stack.enter_context(small_disk(folder / "disk", 100_000_000))
            disk.fill()
            self.stream = StreamSettings(url=f"sqlite:///{disk.folder}/stream.db")
            self.environment = {"BACKWATCH_STREAM_URL": self.stream.url}
            self.end: Callable[[], object] = disk.free
            return
        assert kind in ("down", "black_hole", "stalled")
        port = stack.enter_context(gate(kind))
        self.stream = StreamSettings(url=broker.url, partitions=1)
        self.environment = {"BACKWATCH_STREAM_URL": f"kafka://127.0.0.1:{port.port}"}
        to = broker.port
        if kind == "stalled":
            to = broker.tls_port or 0
            self.environment["BACKWATCH_KAFKA_SECURITY_PROTOCOL"] = "SSL"
            self.environment["BACKWATCH_KAFKA_CA_FILE"] = broker.ca_file or ""
        self.end = lambda: port.open(to)


@pytest.mark.slow
def test_during_broker_outages_memory_is_bounded_and_every_call_is_accounted_for(
    kafka_without_topics: Server, tmp_path: Path
) -> None:
    broker = kafka_without_topics
    ensure_topics(StreamSettings(url=broker.url, partitions=1), (names.TOPIC_CALLS,))
    with ExitStack() as stack:
        days = {kind: Day(kind, broker, tmp_path, stack) for kind in DAYS}
        apps = [App(kind, CALLS, **day.environment) for kind, day in days.items()]
        healthy = App("healthy", CALLS, BACKWATCH_STREAM_URL=broker.url)
        for app in (healthy, *apps):
            stack.callback(app.process.kill)
            app.wait_until_made()
        for day in days.values():
            day.end()
        ledger = Ledger("UPDATE")
        everything = (healthy, *apps)
        ledger.read([day.stream for day in days.values()],
                    lambda: all(ledger.count_accounted(app.name) >= CALLS for app in everything), 90)  # fmt: skip
        assert {app.name: ledger.count_accounted(app.name) for app in everything} == {
            app.name: CALLS for app in everything
        }
        assert all(ledger.dropped[kind] > 0 for kind in DAYS)
        above = {app.name: app.peak_bytes() - healthy.peak_bytes() for app in apps}
        assert {name: held for name, held in above.items() if held > 16_000_000} == {}
        assert healthy.exit_s() < 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAYS)
def test_on_a_bad_day_an_app_ends_within_two_seconds(kind: str, kafka: Server, tmp_path: Path) -> None:
    with ExitStack() as stack:
        day = Day(kind, kafka, tmp_path, stack)
        tries: list[float] = []
        while len(tries) < 3 and min(tries, default=9.9) > 2.0:  # other processes can only make it look longer
            app = App(kind, 1_000, **day.environment)
            app.wait_until_made()
            tries.append(app.exit_s())
        assert min(tries) <= 2.0
