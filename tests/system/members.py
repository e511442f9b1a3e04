"""Detectors that come and go: forked from one warm process, so that a member joins within a second.

``python -m tests.system.members STREAM STORE PARTITIONS`` reads orders from standard input, one a line, and answers
``start SECONDS`` with the new member's process id; its wall clock is so many seconds ahead.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.detector import warm
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime.progress import ProgressBoard
from backwatch.detector.runtime.service import DetectorService, engine_for
from backwatch.store.connect import open_store
from tests.services.process import ROOT


class Members:
    """The members of one group, as a test starts and signals them."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pids: list[int] = []

    def start(self, ahead_s: int = 0) -> int:
        """Start a member, its clock ahead by so much; return its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"start {ahead_s}\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self.pids.append(pid)
        return pid

    def signal(self, pid: int, number: int) -> None:
        """Send a member a signal; a fatal one removes it from the list."""
        os.kill(pid, number)
        if number in (signal.SIGTERM, signal.SIGKILL):
            self.pids.remove(pid)


@contextlib.contextmanager
def members(stream: str, store: str, partitions: int, log: Path) -> Generator[Members]:
    """Keep the warm process inside the block; its members end with it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.members", stream, store, str(partitions)],
            cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
        )  # fmt: skip
    group = Members(process)
    try:
        yield group
    finally:
        for pid in group.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):
            process.communicate(timeout=30)


def main() -> None:
    """Follow the orders."""
    stream, store_url, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    settings = DetectorSettings(commit_interval_s=0.2, clear_after_s=3_600, lateness_s=30)
    store = open_store(store_url)
    engine = engine_for(store, settings)
    store.dispose()
    with contextlib.redirect_stdout(sys.stderr):
        warm.step_through(engine)
    signal.signal(signal.SIGCHLD, _reap)
    for line in sys.stdin:
        ahead_ns = int(line.split()[1]) * 10**9
        child = os.fork()
        if child == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                sys.stdin.close()
                os.close(1)
                _detect(StreamSettings(url=stream, partitions=partitions), store_url, settings, engine, ahead_ns)
            finally:
                os._exit(0)
        print(child, flush=True)


def _reap(_number: int, _frame: FrameType | None) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _detect(stream: StreamSettings, store_url: str, settings: DetectorSettings, engine: Engine, ahead_ns: int) -> None:
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {os.getpid()} %(levelname)s %(name)s %(message)s")
    stop = threading.Event()

    def leave(*_: Any) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, leave)
    store = open_store(store_url, check=False)
    service = DetectorService(stream, store, settings, lambda: time.time_ns() + ahead_ns, engine)
    board = ProgressBoard(store, [service.progress], None)
    board.start()
    print(f"{time.time():.1f} {os.getpid()} joins", file=sys.stderr, flush=True)
    service.run(stop)
    board.stop()
    print(f"{time.time():.1f} {os.getpid()} has left", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
