"""The demo's stage: a private folder, and the processes that work in it, all children of this one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from backwatch.attack.protocols.server import LOOPBACK
from backwatch.collector.settings import StreamSettings

PATIENCE_S = 90.0
"""A machine that is busy with other things takes several times as long as an idle one."""
PARTING_S = 5.0
LAST_WORDS = 1_500
"""Bytes of a child's log that are shown when it fails."""
NOT_OURS = ("BACKWATCH_", "OTEL_", "PG")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class StageError(RuntimeError):
    """Something on the stage did not come up; the message says what and shows its last words."""

    exit_code: int = 1
    """What a child ended with, where that was it."""


class NotInTime(StageError):
    """Everything runs, but what was waited for did not come."""


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return listener.getsockname()[1]


def judging(stream: StreamSettings, store_url: str) -> dict[str, str]:
    """Settings of a detector on one partition that judges loopback as any other network and commits at once."""
    return {
        "BACKWATCH_STREAM_URL": stream.url, "BACKWATCH_STREAM_PARTITIONS": "1", "BACKWATCH_STORE_URL": store_url,
        "BACKWATCH_DETECTOR_COMMIT_INTERVAL_S": "0.2", "BACKWATCH_DETECTOR_LOOPBACK": "judge",
    }  # fmt: skip


def printable(text: str) -> str:
    """The text without what a terminal would obey.

    >>> printable("a\\x1b[31mb")
    'a�[31mb'
    """
    return "".join(one if one.isprintable() or one == "\n" else "�" for one in text)


def answers(address: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def own_environment() -> dict[str, str]:
    """This process's environment without what would make the demo another one: settings, services, proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(NOT_OURS) and name.lower() not in PROXIES
    }


def leave_on_signals() -> None:
    """SIGTERM and a terminal that is closed end the program the orderly way, by :class:`SystemExit`."""
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]

    def leave(number: int, _frame: FrameType | None) -> None:
        for one in numbers:
            signal.signal(one, signal.SIG_IGN)  # once is enough: what is being put away is put away in peace
        raise SystemExit(128 + number)

    for one in numbers:
        signal.signal(one, leave)


@dataclass(slots=True)
class Child:
    """One process of the stage."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def last_words(self) -> str:
        """The end of what it wrote, without control characters."""
        return printable(self.log.read_bytes()[-LAST_WORDS:].decode("utf-8", "replace")).strip()


class Stage:
    """Starts processes, watches that they live, and ends them all.

    Args:
        folder: Where their logs go.
        environment: Theirs.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Ends every process, last started first; who has not left after ``PARTING_S`` is ended the hard way."""
        for child in reversed(self._children):
            child.process.terminate()
        until = time.monotonic() + PARTING_S
        for child in reversed(self._children):
            try:
                child.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            finally:
                if child.process.stdin is not None:
                    child.process.stdin.close()

    def start(
        self, name: str, arguments: Sequence[str], more: Mapping[str, str] | None = None, *, stdin: bool = False
    ) -> Child:
        """Starts ``backwatch`` with these arguments as a child."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "backwatch.attack.child", str(os.getpid()), *arguments],
                env={**self.environment, **(more or {})}, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for us alone: we end the others, in order
            )  # fmt: skip
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def finished(self, child: Child, patience_s: float = PATIENCE_S) -> None:
        """Waits for a child's own end.

        Raises:
            StageError: It failed, or is not done in time.
        """
        try:
            code = child.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise StageError(f"{child.name} is not done within {patience_s:.0f} s: {child.last_words()}") from None
        self._children.remove(child)
        if code:
            raise _ended(child, code)

    def dismiss(self, child: Child) -> None:
        """Ends one child, whatever it does, and waits for it no longer."""
        if child in self._children:
            self._children.remove(child)
        child.process.kill()
        child.process.wait()

    def check(self) -> None:
        """Sees that every child lives.

        Raises:
            StageError: One has ended.
        """
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise _ended(child, code)

    def wait_for(
        self, what: str, holds: Callable[[], bool], patience_s: float = PATIENCE_S, every_s: float = 0.1
    ) -> None:
        """Waits until it holds, while every child lives.

        Raises:
            NotInTime: It does not within ``patience_s``.
            StageError: A child has ended.
        """
        until = time.monotonic() + patience_s
        while not holds():
            self.check()
            if time.monotonic() > until:
                raise NotInTime(f"not within {patience_s:.0f} s: {what}")
            time.sleep(every_s)


def _ended(child: Child, code: int) -> StageError:
    error = StageError(f"{child.name} ended with exit code {code}: {child.last_words()}")
    error.exit_code = max(1, code)
    return error
