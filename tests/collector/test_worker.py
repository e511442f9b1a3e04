"""What the worker's thread promises to those who wait for it."""

import threading
from collections.abc import Sequence

import pytest

from backwatch.collector.queue import Bounded
from backwatch.collector.record import Call, Session
from backwatch.collector.settings import CollectorSettings
from backwatch.collector.stream import Message, Publisher
from backwatch.collector.worker import Worker

CALL = Call(
    session=Session(system="postgresql"), operation="SELECT", text="SELECT 1", sql=True, signs="", kind=3, site=None,
    route="", start_ns=1, end_ns=2, trace_id=1, span_id=1, parent_id=0, bytes_sent=-1, bytes_received=-1,
    bytes_estimated=False, rows_returned=-1, rows_affected=-1, error="", facts=(),
)  # fmt: skip


class Held(Publisher):
    """A stream that takes nothing until it is let."""

    def __init__(self) -> None:
        self.came, self.let = threading.Event(), threading.Event()

    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        self.came.set()
        assert self.let.wait(20)

    def close(self, timeout_s: float) -> None:
        pass


def test_a_flush_does_not_overlook_a_turn_that_begins_while_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, queue, length = Held(), Bounded(10, 10_000), Bounded.__len__
    worker = Worker(CollectorSettings(app_name="shop", flush_interval_s=0.5), queue, lambda: publisher)
    waiter = threading.get_ident()

    def slow(self: Bounded) -> int:
        if threading.get_ident() == waiter:
            assert publisher.came.wait(20)  # the worker takes all there is while the waiter asks how much there is
        return length(self)

    worker.start()
    queue.put(CALL, 100)
    monkeypatch.setattr(Bounded, "__len__", slow)
    assert not worker.flush(0.1)
    publisher.let.set()
    assert worker.flush(20)
    worker.stop(5)
