"""The real ``backwatch`` command in separate processes, and waits for their output."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

BACKWATCH = str(Path(sys.executable).with_name("backwatch"))
PATIENCE_S = 60.0


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with only these Backwatch settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BACKWATCH_", "OTEL_"))}
    return inherited | dict(settings)


@dataclass(frozen=True, slots=True)
class Ran:
    """The result of a finished command."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line of its standard error."""
        return self.err.rstrip().rpartition("\n")[2]


def run_command(*arguments: str, **settings: str) -> Ran:
    """Run ``backwatch`` with these arguments and settings to its end."""
    done = subprocess.run(
        [BACKWATCH, *arguments], env=environment(settings), capture_output=True, text=True, timeout=PATIENCE_S
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Running:
    """A command that keeps running; both its outputs are in ``log``."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def output(self) -> str:
        """Return its whole output."""
        return self.log.read_text(errors="replace")

    def wait_for_output(self, words: str) -> None:
        """Wait for these words; an earlier exit is an error."""
        self.until(lambda: words in self.output(), f"{words!r} is not in the output")

    def until(self, true: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
        """Wait while the command runs; return the final true value."""
        deadline = time.monotonic() + patience_s
        while not (found := true()):
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output()[-3_000:]}"
            assert time.monotonic() < deadline, f"{what} after {patience_s:.0f} s:\n{self.output()[-3_000:]}"
            time.sleep(0.03)
        return found

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def run_in_background(folder: Path, *arguments: str, **settings: str) -> Generator[Running]:
    """Keep ``backwatch`` running with these arguments and settings inside the block."""
    log = folder / f"{arguments[0]}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [BACKWATCH, *arguments], env=environment(settings), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    one = Running(process, log)
    try:
        yield one
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
        process.kill()
        process.wait()
