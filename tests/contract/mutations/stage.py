"""The process that runs parts: ``python -m tests.contract.mutations.stage`` has every client, and forks.

Lists of parts arrive as pickles on its standard input. The parts of one list run side by side, each in a separate
process, and their results go as one pickle to its standard output.
"""

import contextlib
import gc
import importlib
import logging
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

from backwatch.attack.protocols import server
from tests.collector.memory_stream import MemoryStream
from tests.contract.mutations.answers import Mutating
from tests.contract.mutations.haste import hurry, hurry_clients
from tests.services.process import ROOT

if __name__ == "__main__":
    sys.modules.setdefault("eventlet", None)  # pyright: ignore[reportArgumentType]  see conftest.py
    server.ServerSession = Mutating  # before protocols subclass it
    hurry()

from backwatch.attack.authority import Authority
from backwatch.attack.scenarios import discover
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.probes import Probe
from backwatch.collector.probes import discover as discover_probes
from backwatch.collector.settings import CollectorSettings
from tests.contract.mutations.playing import Part, Seen, play

LANES = 16
PORTS_EACH = 32


class Stage:
    """One such process, from entering to leaving.

    Attributes:
        port: The first of a private block of ports: ``PORTS_EACH`` for each of ``LANES`` parts side by side.
    """

    def __enter__(self) -> Self:
        self._claim, self.port = _claim_ports()
        self._folder = tempfile.TemporaryDirectory(prefix="backwatch-mutations-")
        authority = Authority(Path(self._folder.name))
        command = (sys.executable, "-m", __name__)
        # To read all the authorities that a machine trusts takes 60 ms, and some clients do it for each connection.
        trusted = {"SSL_CERT_FILE": str(authority.ca_file), "SSL_CERT_DIR": os.devnull}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | trusted, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()
        self._claim.close()

    def play(self, parts: Sequence[Part]) -> list[Seen]:
        """Run the parts side by side.

        Raises:
            AssertionError: A process ended before its part; its last output is on standard error.
        """
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answered is not None
        pickle.dump(list(parts), asked)
        asked.flush()
        seen: list[Seen | None] = pickle.load(answered)
        missing = [str(part) for part, one in zip(parts, seen, strict=True) if one is None]
        assert not missing, f"a process ended before its part was over: {missing}"
        return [one for one in seen if one is not None]


def _claim_ports() -> tuple[socket.socket, int]:
    """Return a block below the ephemeral ports of the system; its first port is locked against other runs."""
    for first in range(10_000, 32_000, LANES * PORTS_EACH + 1):
        with contextlib.suppress(OSError):
            return socket.create_server((server.LOOPBACK, first)), first + 1
    raise OSError("no ports are left for hostile services")


def _serve(asked: IO[bytes], answered: IO[bytes]) -> None:
    for driver in sorted({kind.driver for kind in discover()}):
        importlib.import_module(driver)
    probes = [kind for kind in discover_probes() if kind.module.partition(".")[0] in sys.modules]
    hurry_clients()
    gc.freeze()  # or each fork would copy all of it at its first collection
    while True:
        try:
            parts: list[Part] = pickle.load(asked)
        except EOFError:
            return
        pickle.dump(_all(parts, probes), answered)
        answered.flush()


def _all(parts: Sequence[Part], probes: Sequence[type[Probe]]) -> list[Seen | None]:
    """Return the results of each part; empty for one whose process ended before it began."""
    found: list[Seen | None] = [Seen(sent=part.sent) for part in parts]
    left = list(enumerate(parts))
    while left:
        running = [(at, part, *_fork(part, probes)) for at, part in left]
        left.clear()
        for at, part, child, out in running:
            seen, is_over = _collect(child, out)
            if not is_over and not seen.outcomes:
                found[at] = None
            elif (before := found[at]) is not None:
                before.take(seen)
                rest = [seed for seed in part.seeds if seed not in before.outcomes]
                if not is_over and rest:  # its app never returned from a seed: the others go to another process
                    left.append((at, replace(part, seeds=rest)))
    return found


def _fork(part: Part, probes: Sequence[type[Probe]]) -> tuple[int, int]:
    """Start the process; return it and the pipe for its results."""
    out, into = os.pipe()
    child = os.fork()
    if child:
        os.close(into)
        return child, out
    try:
        os.close(out)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # standard input belongs to the parent
        warnings.simplefilter("ignore")
        logging.disable()  # clients log a lot about such services
        with os.fdopen(into, "wb") as pipe:

            def say(seen: Seen) -> None:
                pickle.dump(seen, pipe)
                pipe.flush()

            play(part, lambda: _observe_all(probes), say)
            pickle.dump(None, pipe)
    except BaseException:  # noqa: BLE001  a fork must never go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _collect(child: int, out: int) -> tuple[Seen, bool]:
    """Return the results of one process, and whether it finished."""
    found, over = Seen(sent=()), False
    with os.fdopen(out, "rb") as pipe:
        while True:
            try:
                one: Seen | None = pickle.load(pipe)
            except EOFError:
                break
            over = one is None
            if one is not None:
                found.take(one)
    os.waitpid(child, 0)
    return found, over


@contextlib.contextmanager
def _observe_all(probes: Sequence[type[Probe]]) -> Generator[Callable[[], list[bytes]]]:
    """Observe every library, as with ``backwatch run``; yields a function that returns the messages so far."""
    log = MemoryStream()
    pipeline = Pipeline(CollectorSettings(flush_interval_s=0.05, heartbeat_s=3600.0, app_name="shop"), lambda: log)

    def reported() -> list[bytes]:
        assert pipeline.flush(10)
        return [message.value for message in log.messages]

    instruments: list[Any] = [kind() for kind in probes]
    for one in instruments:
        one.instrument(recorder=pipeline, skip_dep_check=True)
    yield reported  # the process ends with it


if __name__ == "__main__":
    _serve(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
