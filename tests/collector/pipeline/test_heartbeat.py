"""Heartbeats of a process, and reports of related processes about each other."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backwatch.collector import names
from backwatch.collector.pipeline.app_identity import App, identify
from backwatch.collector.pipeline.encoder import encode_heartbeat
from backwatch.collector.runtime import guard, processes
from tests.collector.memory_stream import MemoryStream
from tests.collector.pipeline.pipelines import MakePipeline, call
from tests.services.waiting import wait_until

MANY_S = 20.0
SETTINGS = {"heartbeat_s": 0.2}


@pytest.fixture(autouse=True)
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A shared page of one test, whose relatives are reported soon."""
    monkeypatch.setattr(processes._state, "page", None)
    monkeypatch.setattr("backwatch.collector.pipeline.heartbeat.MIN_STUCK_S", 0.5)
    monkeypatch.setattr("backwatch.collector.pipeline.heartbeat.STUCK_MARGIN_S", 0.3)
    yield
    processes._state.page = None


def heartbeats(log: MemoryStream) -> list[dict[str, Any]]:
    """Return the report of each heartbeat."""
    return [
        {one.key: one.value.string_value or one.value.int_value for one in scope.scope.attributes}
        for scope in log.scopes(names.SCOPE_HEARTBEAT)
    ]


def forked(run: Callable[[], object]) -> int:
    """Fork a child that runs this and ends only by a signal."""
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(1)
    return child


def reported(log: MemoryStream, name: str) -> list[list[str]]:
    """Return entries of this list in all heartbeats, each in its parts."""
    texts = [one[name] for one in heartbeats(log) if name in one]
    return [entry.split(":") for text in texts for entry in text.split(",")]


def test_process_reports_its_start_its_counts_and_its_end(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make()
    for _ in range(3):
        call(pipeline)
    wait_until(lambda: len(heartbeats(log)) >= 3)
    pipeline.close()
    found = heartbeats(log)
    assert [one[names.PROCESS_EVENT] for one in found] == ["start", *["beat"] * (len(found) - 2), "end"]
    assert len({one[names.PROCESS_INSTANCE] for one in found}) == 1
    last = found[-1]
    assert (last[names.PROCESS_RECORDED], last[names.PROCESS_DELIVERED], last[names.PROCESS_DROPPED]) == (3, 3, 0)
    assert last[names.PROCESS_INTERVAL] == 200_000_000
    assert abs(last[names.PROCESS_STARTED] - time.time_ns()) < 60 * 10**9


def test_farewell_waits_for_the_last_calls(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make(flush_interval_s=30.0, heartbeat_s=3600.0)
    for _ in range(1_300):
        call(pipeline)
    pipeline.close()
    assert heartbeats(log)[-1][names.PROCESS_DELIVERED] == 1_300
    assert [one[names.PROCESS_EVENT] for one in heartbeats(log)].count("end") == 1


def test_a_forked_child_has_its_own_instance_and_its_parents(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make()
    call(pipeline)
    wait_until(lambda: heartbeats(log))
    mine = processes.current_identity()
    read, write = os.pipe()

    def run() -> None:
        call(pipeline)
        wait_until(lambda: [one for one in heartbeats(log) if one[names.PROCESS_INSTANCE] != mine.instance])
        pipeline.close()
        last = heartbeats(log)[-1]
        os.write(write, f"{last[names.PROCESS_PARENT]} {last[names.PROCESS_EVENT]}".encode())

    child = forked(run)
    os.waitpid(child, 0)
    assert os.read(read, 100).decode() == f"{mine.instance} end"
    assert names.PROCESS_PARENT not in heartbeats(log)[-1]


def test_relative_whose_collector_is_stuck_is_reported(
    make: MakePipeline, log: MemoryStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make()
    call(pipeline)
    wait_until(lambda: heartbeats(log))

    def run() -> None:
        monkeypatch.setattr("backwatch.collector.pipeline.worker.encode_calls", lambda *_: threading.Event().wait())
        call(pipeline)
        threading.Event().wait()

    child = forked(run)
    try:
        instance, pid, since_ns, delivered = wait_until(lambda: reported(log, names.SILENT_RELATIVES))[0]
        assert (int(pid), delivered, len(instance)) == (child, "0", 16)
        assert 0 < time.time_ns() - int(since_ns) < 60 * 10**9
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert wait_until(lambda: reported(log, names.ENDED_RELATIVES))[0][1] == str(child)


@pytest.mark.parametrize("reaped", [True, False])
def test_relative_that_ends_without_farewell_is_reported_once(
    make: MakePipeline, log: MemoryStream, *, reaped: bool
) -> None:
    pipeline = make()
    call(pipeline)

    def run() -> None:
        call(pipeline)
        pipeline.flush(10)
        os._exit(0)  # no exit handler runs

    child = forked(run)
    if reaped:
        os.waitpid(child, 0)
    assert wait_until(lambda: reported(log, names.ENDED_RELATIVES))[0][1] == str(child)
    count = len(heartbeats(log))
    wait_until(lambda: len(heartbeats(log)) > count + 3)
    assert len(reported(log, names.ENDED_RELATIVES)) == 1
    assert reported(log, names.SILENT_RELATIVES) == []
    if not reaped:
        os.waitpid(child, 0)


def test_a_working_or_cleanly_ended_relative_is_not_reported(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make()
    call(pipeline)
    read, write = os.pipe()

    def works() -> None:
        call(pipeline)
        os.read(read, 1)
        pipeline.close()

    def leaves() -> None:
        call(pipeline)
        pipeline.close()

    working, left = forked(works), forked(leaves)
    os.waitpid(left, 0)
    count = len(heartbeats(log))
    wait_until(lambda: len(heartbeats(log)) > count + 8)
    os.write(write, b"x")
    os.waitpid(working, 0)
    count = len(heartbeats(log))
    wait_until(lambda: len(heartbeats(log)) > count + 2)
    assert reported(log, names.SILENT_RELATIVES) + reported(log, names.ENDED_RELATIVES) == []


def test_a_stuck_worker_is_replaced_and_every_call_is_accounted_for(
    make: MakePipeline, log: MemoryStream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("backwatch.collector.pipeline.worker.STUCK_S", 0.5)
    monkeypatch.setattr("backwatch.collector.pipeline.pipeline.CHECK_INTERVAL_NS", 10**8)
    held, asked = threading.Event(), list[int]()

    def stuck_once(fallback: str) -> App:
        asked.append(1)
        if len(asked) == 1:
            held.wait()
        return identify(fallback)

    monkeypatch.setattr("backwatch.collector.pipeline.worker.identify", stuck_once)
    pipeline = make()
    calls = 0
    end = time.monotonic() + MANY_S
    while not log.spans():
        assert time.monotonic() < end
        call(pipeline)
        calls += 1
        time.sleep(0.02)
    pipeline.close()
    held.set()
    assert len(log.spans()) + log.count_dropped()["publish"] == calls
    assert "was replaced by a new one" in caplog.text
    assert heartbeats(log)[-1][names.PROCESS_EVENT] == "end"


class ClosedBy(MemoryStream):
    """A stream that notes the thread that closed it."""

    def __init__(self, closed: list[int]) -> None:
        super().__init__()
        self._closed = closed

    def close(self, timeout_s: float) -> None:
        self._closed.append(threading.get_ident())


def test_replaced_worker_that_goes_on_leaves_nothing_behind(
    make: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thread identifiers are reused by the app's next thread, and the client holds a connection."""
    monkeypatch.setattr("backwatch.collector.pipeline.worker.STUCK_S", 0.5)
    monkeypatch.setattr("backwatch.collector.pipeline.pipeline.CHECK_INTERVAL_NS", 10**8)
    held, stuck, closed, opened = threading.Event(), list[int](), list[int](), list[ClosedBy]()

    def stuck_once(fallback: str) -> App:
        if not stuck:
            stuck.append(threading.get_ident())
            held.wait()
        return identify(fallback)

    def open_publisher() -> ClosedBy:
        opened.append(ClosedBy(closed))
        return opened[-1]

    monkeypatch.setattr("backwatch.collector.pipeline.worker.identify", stuck_once)
    pipeline = make()
    monkeypatch.setattr(pipeline, "_open_publisher", open_publisher)
    call(pipeline)
    [process] = pipeline._processes.values()
    first: Any = wait_until(lambda: stuck and process.worker)

    def is_replaced() -> bool:
        call(pipeline)
        return process.worker is not first

    wait_until(is_replaced)
    assert stuck[0] in guard.collector_threads
    wait_until(lambda: getattr(process.worker._thread, "ident", None) in guard.collector_threads and len(opened) == 2)
    held.set()
    first._thread.join(MANY_S)
    assert stuck[0] not in guard.collector_threads
    assert closed == stuck
    assert getattr(process.worker._thread, "ident", None) in guard.collector_threads
    slot = process.worker.heartbeats.slot
    assert slot is not None
    assert slot._at >= 0
    before = sum(len(one.spans()) for one in opened)
    call(pipeline)
    wait_until(lambda: sum(len(one.spans()) for one in opened) > before)


def test_stopped_process_replaces_no_worker(make: MakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped and resumes sees, once, a worker without a turn for long."""
    monkeypatch.setattr("backwatch.collector.pipeline.pipeline.CHECK_INTERVAL_NS", 0)
    pipeline = make()
    call(pipeline)
    assert pipeline.flush(MANY_S)
    [process] = pipeline._processes.values()
    for _ in range(20):
        process.worker._turned_s -= 1_000
        call(pipeline)
        wait_until(lambda: time.monotonic() - process.worker.turned_s < 100)
    assert process.replacements == 0


def test_an_app_renamed_late_sends_a_final_heartbeat_under_its_old_name(
    make: MakePipeline, log: MemoryStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make()
    call(pipeline)
    wait_until(lambda: heartbeats(log))
    named = identify("named")
    monkeypatch.setattr("backwatch.collector.pipeline.worker.get_tracer_provider", lambda: named)
    monkeypatch.setattr("backwatch.collector.pipeline.worker.identify", lambda _: named)
    wait_until(lambda: any(one.key == b"named" for one in log.messages))
    pipeline.close()
    beats = [one.key for one in log.messages if names.SCOPE_HEARTBEAT.encode() in one.value]
    events = {(key, one[names.PROCESS_EVENT]) for key, one in zip(beats, heartbeats(log), strict=True)}
    assert (b"shop", "end") in events
    assert (b"named", "beat") in events


def test_more_processes_than_slots_are_delivered_and_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    processes.prepare_shared_page()
    for pid in range(10**6, 10**6 + processes.SLOTS):
        monkeypatch.setattr(processes._state, "identity", processes.ProcessIdentity(pid, f"{pid:016x}", ""))
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        assert processes.Slot()._at >= 0
    monkeypatch.setattr(processes._state, "identity", processes.ProcessIdentity(1, f"{1:016x}", ""))
    monkeypatch.setattr(os, "getpid", lambda: 1)
    one = processes.Slot()
    assert one._at == -1
    one.mark(delivered=True)
    processes.free_slot(f"{10**6:016x}")
    one.mark()
    assert one._at >= 0


def test_slot_that_another_process_took_is_claimed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    processes.prepare_shared_page()
    one = processes.Slot()
    page = processes._state.page
    assert page is not None
    processes._SLOT.pack_into(page, one._at, 5, b"another1", 1, 1, 1, 1)
    one.mark()
    instances = [instance for _, instance, *_ in processes._slots()]
    assert instances.count(processes.current_identity().instance) == 1
    assert len(instances) == 2


def test_a_page_overwritten_by_a_relative_is_harmless(make: MakePipeline, log: MemoryStream) -> None:
    pipeline, source = make(), random.Random(3)
    call(pipeline)
    wait_until(lambda: heartbeats(log))
    page = processes._state.page
    assert page is not None
    for fill in (source.randbytes, lambda size: b"\xff" * size, lambda size: b"\x01" * size):
        page[:] = fill(len(page))
        count = len(heartbeats(log))
        wait_until(lambda count=count: len(heartbeats(log)) > count + 1)
    assert guard.faults == 0


def test_heartbeat_is_small() -> None:
    app = App("shop", "", "prod", ((names.SERVICE_NAME, "shop"), (names.HOST_NAME, "web-1"), (names.PROCESS_PID, 12)))
    process = {
        names.PROCESS_INSTANCE: "1" * 16, names.PROCESS_PARENT: "2" * 16, names.PROCESS_EVENT: "beat",
        names.PROCESS_STARTED: time.time_ns(), names.PROCESS_INTERVAL: 15 * 10**9, names.PROCESS_RECORDED: 10**9,
        names.PROCESS_DELIVERED: 10**9, names.PROCESS_DROPPED: 10**6,
    }  # fmt: skip
    assert len(encode_heartbeat(app, {}, process)) < 600
