"""Forks of an app with a pipeline: each child delivers its own calls, and no others."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from backwatch.collector.runtime import guard
from backwatch.collector.stream import Message, Publisher
from tests.collector.memory_stream import MemoryStream
from tests.collector.pipeline.pipelines import MakePipeline, call

BY_ITSELF = "BACKWATCH_TEST_BY_ITSELF"


def in_child(run: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run()
            code = 0
        finally:
            os._exit(code)
    return child


def exit_code(child: int, timeout_s: float = 10) -> int:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return 999


@pytest.mark.timeout(600)  # fifteen seconds on an idle machine; each child has ten, and that is the claim
def test_five_hundred_forks_under_load_all_deliver_their_own_calls(
    make: MakePipeline, request: pytest.FixtureRequest
) -> None:
    if BY_ITSELF not in os.environ:
        # A fork's cost depends on the size of the process: one that has run a thousand tests is no app.
        inner = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid]
        env = {**os.environ, BY_ITSELF: "1"}
        done = subprocess.run(inner, cwd=request.config.rootpath, capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 0, done.stdout[-3_000:]
        return

    reader, writer = os.pipe()

    class Pipe(Publisher):
        def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
            for message in messages:
                if b"in_the_child" in message.value:
                    os.write(writer, b"%d\n" % os.getpid())

        def close(self, timeout_s: float) -> None:
            pass

    pipeline = make(Pipe, queue_records=100_000)
    done = threading.Event()

    def hammer() -> None:
        while not done.is_set():
            call(pipeline)
            time.sleep(0)

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()

    def one_call() -> None:
        call(pipeline, "SELECT in_the_child")
        assert pipeline.flush(8)

    try:
        children = []
        for _ in range(500):
            child = in_child(one_call)
            children.append(child)
            assert exit_code(child) == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()
    os.close(writer)
    with os.fdopen(reader) as pipe:
        reported = Counter(int(line) for line in pipe)
    assert (Counter(children) - reported, reported - Counter(children)) == (
        Counter(),
        Counter(),
    )  # missing, and too much


def test_a_fork_that_runs_no_hooks_begins_anew_as_well(make: MakePipeline, log: MemoryStream) -> None:
    pipeline = make()
    call(pipeline)
    assert pipeline.flush(5)
    process = next(iter(pipeline._processes.values()))
    pipeline._processes = {os.getpid() + 1: process}  # as uWSGI's child finds it
    call(pipeline, "SELECT anew")
    assert pipeline.flush(5)
    assert [process] != list(pipeline._processes.values())
    assert len(log.spans()) == 2


def test_children_do_not_repeat_their_parents_random_numbers(make: MakePipeline) -> None:
    pipeline = make()
    call(pipeline)
    reader, writer = os.pipe()

    def tell() -> None:
        call(pipeline)
        process = next(iter(pipeline._processes.values()))
        os.write(writer, b"%d\n" % process.random_bits(64))

    for _ in range(3):
        assert exit_code(in_child(tell)) == 0
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert len({*pipe}) == 3


def test_early_faults_are_reported_and_not_repeated_by_a_child(make: MakePipeline, log: MemoryStream) -> None:
    guard.faults = 5
    pipeline = make()

    def tell() -> None:
        call(pipeline)
        pipeline.close()
        assert log.count_dropped() == {}

    assert exit_code(in_child(tell)) == 0
    call(pipeline)
    pipeline.close()
    assert log.count_dropped() == {"probe": 5}
