"""The loops of detector and router on the embedded stream: no error ends them."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.collector.stream import Consumer, Message, Record, Relay, StreamUnavailable
from backwatch.collector.stream.factory import open_consumer as really_open_consumer
from backwatch.collector.stream.factory import open_publisher
from backwatch.collector.stream.factory import open_relay as really_open_relay
from backwatch.detector.engine.step import Engine
from backwatch.detector.ingest import routing
from backwatch.detector.runtime import log_history, repeated_errors, router, service
from backwatch.detector.runtime import progress as progress_module
from backwatch.detector.runtime.router import Router
from backwatch.detector.runtime.service import DetectorService
from backwatch.store import tables
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.detector.runtime.rows import alerts
from tests.services.waiting import wait_until

GROUP, TOPIC = "backwatch-detector", names.TOPIC_CALLS


@pytest.fixture
def stream(tmp_path: Path) -> StreamSettings:
    return StreamSettings(url=f"sqlite:///{tmp_path / 'stream.db'}")


def encode_number(number: int) -> bytes:
    return streams.encode(streams.eventful(3, 30), number)


def publish(stream: StreamSettings, topic: str, *numbers: int) -> None:
    publisher = open_publisher(stream)
    publisher.publish(topic, [Message(encode_number(one)) for one in numbers], 10)
    publisher.close(1)


@pytest.fixture
def running() -> Iterator[Callable[..., None]]:
    """Run a loop in a thread until the test's end."""
    stop, threads = threading.Event(), list[threading.Thread]()

    def run(loop: Callable[[threading.Event], object]) -> None:
        threads.append(threading.Thread(target=loop, args=(stop,), daemon=True))
        threads[-1].start()

    yield run
    stop.set()
    for one in threads:
        one.join(20)
        assert not one.is_alive()


def detector(stream: StreamSettings, store: sa.Engine, engine: Engine) -> DetectorService:
    return DetectorService(stream, store, DetectorSettings(commit_interval_s=0), engine=engine)


def count_covered(store: sa.Engine) -> int:
    with reading(store) as connection:
        return connection.scalar(sa.select(tables.shard.c.next_offset).where(tables.shard.c.id == 0)) or 0


def read_counter(store: sa.Engine, name: str) -> int:
    table = tables.counter
    with reading(store) as connection:
        return connection.scalar(sa.select(table.c.value).where(table.c.kind == "loss", table.c.name == name)) or 0


class Wrapped(Consumer):
    """A real consumer with injected failures."""

    def __init__(self, real: Consumer, polls: Callable[[Consumer, float], list[Record]]) -> None:
        self._real, self._polls = real, polls
        self.assignment, self.seek, self.bounds = real.assignment, real.seek, real.bounds  # pyright: ignore[reportAttributeAccessIssue]
        self.read_to, self.committed, self.close = real.read_to, real.commit, real.close  # pyright: ignore[reportAttributeAccessIssue]

    def poll(self, timeout_s: float) -> list[Record]:
        return self._polls(self._real, timeout_s)

    def assignment(self) -> frozenset[int]: ...
    def seek(self, partition: int, offset: int) -> None: ...
    def bounds(self, partition: int) -> tuple[int, int]: ...
    def read_to(self, partition: int) -> int: ...
    def commit(self, partition: int, offset: int) -> None: ...
    def close(self) -> None: ...


def test_consumer_that_delivers_nothing_is_reopened(
    stream: StreamSettings, store: sa.Engine, engine: Engine, running: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    opened: list[Consumer] = []

    def silent(_real: Consumer, _timeout_s: float) -> list[Record]:
        time.sleep(0.02)
        return []

    def open_consumer(*arguments: Any) -> Consumer:
        real = really_open_consumer(*arguments)
        opened.append(real)
        if len(opened) > 1:
            monkeypatch.setattr(progress_module, "STALLED_S", 60)  # half a second is no stall on a machine under load
            return real
        return Wrapped(real, silent)

    monkeypatch.setattr(service, "open_consumer", open_consumer)
    monkeypatch.setattr(progress_module, "STALLED_S", 0.5)
    monkeypatch.setattr(service, "OBSERVE_EVERY_S", 0.1)
    publish(stream, TOPIC, 0, 1)
    running(detector(stream, store, engine).run)
    wait_until(lambda: count_covered(store) == 2)
    assert len(opened) == 2
    stalled = [one for one in caplog.messages if "are assigned and have records, but none was delivered" in one]
    assert len([one for one in stalled if one.endswith("trying again")]) == 1, stalled


@pytest.mark.parametrize("error", [AssertionError("x"), KeyError("y"), MemoryError(), StreamUnavailable("away")])
def test_no_error_of_the_client_ends_the_detector(
    stream: StreamSettings, store: sa.Engine, engine: Engine, running: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch, error: Exception,
) -> None:  # fmt: skip
    failures = [error, error]

    def failing(real: Consumer, timeout_s: float) -> list[Record]:
        found = real.poll(timeout_s)
        if failures:
            raise failures.pop()  # after the position has moved on
        return found

    monkeypatch.setattr(service, "open_consumer", lambda *given: Wrapped(really_open_consumer(*given), failing))
    monkeypatch.setattr(service, "RETRY_S", 0.05)
    monkeypatch.setattr(repeated_errors, "MAX_PAUSE_S", 0.05)
    publish(stream, TOPIC, 0, 1)
    running(detector(stream, store, engine).run)
    wait_until(lambda: count_covered(store) == 2)
    assert failures == []


class WrappedRelay(Relay):
    """A real relay with injected failures."""

    def __init__(self, real: Relay, polls: Callable[[Relay, float], list[Record]]) -> None:
        self._real, self._polls = real, polls

    def poll(self, timeout_s: float) -> list[Record]:
        return self._polls(self._real, timeout_s)

    def forward(self, consumed: Sequence[Record], outputs: Sequence[Message]) -> None:
        self._real.forward(consumed, outputs)

    def positions(self) -> dict[int, tuple[int, int]]:
        return self._real.positions()

    def ends(self) -> dict[int, int]:
        return self._real.ends()

    def close(self) -> None:
        self._real.close()


@pytest.mark.parametrize("error", [AssertionError("x"), KeyError("y"), MemoryError(), StreamUnavailable("away")])
def test_no_error_ends_the_router(
    stream: StreamSettings, running: Callable[..., None], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failures = [error, error]

    def failing(real: Relay, timeout_s: float) -> list[Record]:
        found = real.poll(timeout_s)
        if failures:
            raise failures.pop()
        return found

    monkeypatch.setattr(router, "open_relay", lambda *given: WrappedRelay(really_open_relay(*given), failing))
    monkeypatch.setattr(router, "RETRY_S", 0.05)
    monkeypatch.setattr(repeated_errors, "MAX_PAUSE_S", 0.05)
    publish(stream, names.TOPIC_SPANS, 0, 1)
    one = Router(stream)
    running(one.run)
    consumer = really_open_consumer(stream, TOPIC, "test")
    expected = sum(len(routing.route(encode_number(number))) for number in (0, 1))
    wait_until(lambda: consumer.bounds(0)[1] == expected)
    consumer.close()
    assert failures == []


def test_record_that_fails_the_router_is_forwarded_as_unreadable(
    stream: StreamSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = routing.route

    def failing(value: bytes) -> list[Message]:
        if value == b"poison":
            raise RecursionError
        return route(value)

    monkeypatch.setattr(routing, "route", failing)
    publisher = open_publisher(stream)
    publisher.publish(names.TOPIC_SPANS, [Message(b"poison"), Message(encode_number(1))], 10)
    publisher.close(1)
    relay = really_open_relay(stream, names.TOPIC_SPANS, TOPIC, "test")
    assert Router(stream).turn(relay) == 2
    relay.close()
    consumer = really_open_consumer(stream, TOPIC, "test")
    poison, *whole = consumer.poll(1)
    consumer.close()
    assert poison.value.startswith(routing.UNREADABLE)
    assert b"RecursionError" in poison.value
    assert [one.value for one in whole] == [one.value for one in route(encode_number(1))]


def test_recreated_stream_is_read_from_its_beginning_as_a_loss(
    stream: StreamSettings, store: sa.Engine, engine: Engine, running: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(service, "OBSERVE_EVERY_S", 0.1)
    monkeypatch.setattr(log_history, "SHRUNK_S", 0.3)
    publish(stream, TOPIC, 0, 1, 2, 3)
    first = detector(stream, store, engine)
    stop = threading.Event()
    thread = threading.Thread(target=first.run, args=(stop,))
    thread.start()
    wait_until(lambda: count_covered(store) == 4)
    stop.set()
    thread.join()
    for one in tmp_path.glob("stream.db*"):
        one.unlink()
    publish(stream, TOPIC, 0, 1)
    running(detector(stream, store, engine).run)
    wait_until(lambda: count_covered(store) == 2)
    assert read_counter(store, "gap") == 1
    publish(stream, TOPIC, 2)
    wait_until(lambda: count_covered(store) == 3)


def test_placeholders_of_undecodable_records_are_lost_and_quarantined(
    stream: StreamSettings, store: sa.Engine, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [[Record(0, 0, 10, b"bytes", skipped=3, reason="codec snappy is not installed")]]

    def polls(_real: Consumer, _timeout_s: float) -> list[Record]:
        return given.pop() if given else []

    one = detector(stream, store, engine)
    publish(stream, TOPIC, 0, 1, 2)
    consumer = Wrapped(really_open_consumer(stream, TOPIC, "test"), polls)
    one.turn(consumer)
    one.turn(consumer)
    consumer.close()
    assert (count_covered(store), read_counter(store, "quarantine")) == (3, 3)
    with reading(store) as connection:
        (kept,) = connection.execute(sa.select(tables.quarantine))
    assert (kept.record_offset, kept.reason, kept.value) == (0, "codec snappy is not installed", b"bytes")
    (alert,) = alerts(store, "telemetry-loss")
    assert alert.raised
