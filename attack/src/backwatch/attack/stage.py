"""The demo's stage: one private folder with stream and store, and the processes that work on it, all children of this one."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from backwatch.attack.servers import LOOPBACK

PATIENCE_S = 30.0


class StageError(RuntimeError):
    """Something on the stage did not come up; the message says what and shows its last words."""


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return listener.getsockname()[1]


def wait_for(what: str, holds: Callable[[], bool], patience_s: float = PATIENCE_S, every_s: float = 0.1) -> None:
    """Waits until it holds.

    Raises:
        StageError: It does not within ``patience_s``.
    """
    until = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > until:
            raise StageError(f"{what}: not within {patience_s:.0f} s")
        time.sleep(every_s)


@dataclass(slots=True)
class Child:
    """One process of the stage."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def last_words(self) -> str:
        """The end of what it wrote, without control characters."""
        text = self.log.read_bytes()[-600:].decode("utf-8", "replace")
        return "".join(one if one.isprintable() or one == "\n" else "�" for one in text)


class Stage:
    """Starts processes, watches that they live, and ends them all."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, **settings}
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Ends every process, last started first."""
        for child in reversed(self._children):
            child.process.terminate()
        for child in reversed(self._children):
            try:
                child.process.wait(5)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait(5)

    def start(
        self, name: str, arguments: Sequence[str], more: Mapping[str, str] | None = None, *, stdin: bool = False
    ) -> Child:
        """Starts ``backwatch`` with these arguments as a child."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "backwatch.attack.child", *arguments],
                env={**self.environment, **(more or {})}, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT,
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
            raise StageError(f"{child.name} is not done within {patience_s:.0f} s") from None
        self._children.remove(child)
        if code:
            raise StageError(f"{child.name} failed with exit code {code}: {child.last_words()}")

    def check(self) -> None:
        """Sees that every child lives.

        Raises:
            StageError: One has ended.
        """
        for child in self._children:
            if child.process.poll() is not None:
                raise StageError(f"{child.name} ended with exit code {child.process.returncode}: {child.last_words()}")
