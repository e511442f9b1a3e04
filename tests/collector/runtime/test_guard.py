"""The guard stops the collector's faults, and passes on the app's exceptions: its strict log, its time limits."""

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any

import pytest

from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime import guard
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Message, Publisher, StreamUnavailable

SESSION = Session(system="postgresql")


class SoftTimeLimitError(Exception):
    """A time limit as Celery's and RQ's: an ordinary exception, raised by a signal handler."""


class Strict(logging.Handler):
    """A log handler of an app that turns every line into an error."""

    def handle(self, record: logging.LogRecord) -> bool:
        raise RuntimeError(record.getMessage())


@pytest.fixture(autouse=True)
def _logged_before(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(guard, "faults", 0)
    monkeypatch.setattr(guard, "_logged_names", set())


@pytest.fixture
def strict_log() -> Iterator[None]:
    handler = Strict()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


@guard.never_breaks_the_host
def faulty() -> None:
    raise LookupError


@pytest.mark.usefixtures("strict_log", "swallowed_faults")
def test_raising_log_does_not_pass_a_collector_fault_to_the_app() -> None:
    assert faulty() is None
    assert guard.faults == 1


@pytest.mark.usefixtures("strict_log", "swallowed_faults")
def test_a_log_that_raises_does_not_end_our_thread() -> None:
    class Back(Publisher):
        def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
            delivered.set()

        def close(self, timeout_s: float) -> None: ...

    delivered, tries = threading.Event(), iter((StreamUnavailable("away"),))

    def opened() -> Publisher:
        for error in tries:
            raise error
        return Back()

    pipeline = Pipeline(CollectorSettings(app_name="shop", flush_interval_s=0.01), opened)
    pipeline.record_call(SESSION, "SELECT", start_ns=1)
    assert delivered.wait(10)
    pipeline.close()


@pytest.mark.usefixtures("swallowed_faults")
def test_an_unforeseen_publisher_failure_does_not_end_the_worker() -> None:
    tried = threading.Semaphore(0)

    def broken() -> Publisher:
        tried.release()
        raise LookupError

    pipeline = Pipeline(CollectorSettings(app_name="shop", flush_interval_s=0.01), broken)
    pipeline.record_call(SESSION, "SELECT", start_ns=1)
    assert all(tried.acquire(timeout=10) for _ in range(3))
    pipeline.close()


def _limit(_number: int, _frame: FrameType | None) -> None:
    raise SoftTimeLimitError


class _Limits:
    def limit(self, *_given: Any) -> None:
        raise SoftTimeLimitError


@pytest.mark.parametrize("handler", [_limit, _Limits().limit, partial(_limit)])
def test_a_time_limit_of_the_app_is_not_swallowed_by_the_guard(handler: Any) -> None:
    @guard.never_breaks_the_host
    def raise_internally() -> None:
        for _ in range(3):
            signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(SoftTimeLimitError):
            raise_internally()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert guard.faults == 0


def test_the_apps_time_limit_is_not_swallowed_where_a_call_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Signals:
        def __iter__(self) -> Iterator[object]:
            signal.raise_signal(signal.SIGUSR1)
            yield from ()

    pipeline = Pipeline(CollectorSettings(app_name="shop"), lambda: pytest.fail("nothing is delivered"))
    monkeypatch.setattr("backwatch.collector.pipeline.pipeline._now_ns", lambda: next(iter(Signals()), 0))
    before = signal.signal(signal.SIGUSR1, _limit)
    try:
        with pytest.raises(SoftTimeLimitError):
            pipeline.record_call(SESSION, "SELECT", start_ns=1)
    finally:
        signal.signal(signal.SIGUSR1, before)
        pipeline.close()
