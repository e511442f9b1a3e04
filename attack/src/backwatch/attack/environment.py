"""The environment of a run: a private folder and its child processes."""

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
from backwatch.attack.terminal import printable
from backwatch.collector.settings import StreamSettings

PATIENCE_S = 90.0
"""A busy machine takes several times as long as an idle one."""
EXIT_TIMEOUT_S = 5.0
LOG_TAIL_BYTES = 1_500
"""Bytes of a child's log that are shown when it fails."""
REMOVED_PREFIXES = ("BACKWATCH_", "OTEL_", "PG")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class ComponentError(RuntimeError):
    """A component did not start. The message names it and shows the end of its log."""

    exit_code: int = 1
    """Exit code of the child, if it ended."""


class ConditionNotMet(ComponentError):
    """A condition did not hold in time, although everything runs."""


def free_port() -> int:
    """Return an unused port of loopback."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return listener.getsockname()[1]


def detector_settings(stream: StreamSettings, store_url: str) -> dict[str, str]:
    """Return settings of a detector on one partition that judges loopback too and commits at once."""
    return {
        "BACKWATCH_STREAM_URL": stream.url, "BACKWATCH_STREAM_PARTITIONS": "1", "BACKWATCH_STORE_URL": store_url,
        "BACKWATCH_DETECTOR_COMMIT_INTERVAL_S": "0.2", "BACKWATCH_DETECTOR_LOOPBACK": "judge",
    }  # fmt: skip


def is_listening(address: str, port: int) -> bool:
    """Return whether a server listens there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def clean_environment() -> dict[str, str]:
    """Return this process's environment without settings, services and proxies that would change the demo."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(REMOVED_PREFIXES) and name.lower() not in PROXIES
    }


def exit_on_signals() -> None:
    """Have SIGTERM and SIGHUP end the program in order, by :class:`SystemExit`."""
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]

    def leave(number: int, _frame: FrameType | None) -> None:
        for handled in numbers:
            signal.signal(handled, signal.SIG_IGN)  # once is enough: a second signal must not interrupt the cleanup
        raise SystemExit(128 + number)

    for number in numbers:
        signal.signal(number, leave)


@dataclass(slots=True)
class Child:
    """One process of the environment."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def log_tail(self) -> str:
        """Return the end of its output, without control characters."""
        return printable(self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")).strip()


class Environment:
    """Starts processes, checks that they are alive, and ends them all.

    Args:
        folder: Folder for their logs.
        variables: Environment variables of the processes.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = dict(variables)
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        """Return itself; no process runs yet."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End every process, last started first. A process that is still alive after ``EXIT_TIMEOUT_S`` is killed."""
        for child in reversed(self._children):
            child.process.terminate()
        until = time.monotonic() + EXIT_TIMEOUT_S
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
        """Start ``backwatch`` with these arguments as a child."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "backwatch.attack.child", str(os.getpid()), *arguments],
                env={**self.variables, **(more or {})}, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C goes to this process only, which ends the others in order
            )  # fmt: skip
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def wait_for_exit(self, child: Child, patience_s: float = PATIENCE_S) -> None:
        """Wait for a child to end by itself.

        Raises:
            ComponentError: The child failed or timed out.
        """
        try:
            code = child.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise ComponentError(f"{child.name} is not done within {patience_s:.0f} s: {child.log_tail()}") from None
        self._children.remove(child)
        if code:
            raise _ended(child, code)

    def kill(self, child: Child) -> None:
        """Kill one child, and wait only until it has ended."""
        if child in self._children:
            self._children.remove(child)
        child.process.kill()
        child.process.wait()

    def check(self) -> None:
        """Check that every child is alive.

        Raises:
            ComponentError: A child has ended.
        """
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise _ended(child, code)

    def wait_for(
        self, what: str, holds: Callable[[], bool], patience_s: float = PATIENCE_S, every_s: float = 0.1
    ) -> None:
        """Wait until a condition holds, while every child is alive.

        Raises:
            ConditionNotMet: The condition does not hold within ``patience_s``.
            ComponentError: A child has ended.
        """
        until = time.monotonic() + patience_s
        while not holds():
            self.check()
            if time.monotonic() > until:
                raise ConditionNotMet(f"not within {patience_s:.0f} s: {what}")
            time.sleep(every_s)


def _ended(child: Child, code: int) -> ComponentError:
    error = ComponentError(f"{child.name} ended with exit code {code}: {child.log_tail()}")
    error.exit_code = max(1, code)
    return error
