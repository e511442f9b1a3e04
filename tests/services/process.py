"""Start servers in private folders on free ports, and wait until they are ready."""

import contextlib
import os
import pwd
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.services.server import HOST, MissingServerError

ROOT = Path(__file__).parents[2]
"""The folder of the repository."""
KEEPER = Path(__file__).with_name("keeper.py")


class StartError(RuntimeError):
    """An installed server that did not start; the message ends with its last output."""


def password() -> str:
    """Return a secret that no configuration file or URL needs to quote."""
    return secrets.token_hex(12)


class _Ports:
    """The part of the ports that this process hands out: each process of a run has a separate part."""

    part, parts = 0, 1
    given: ClassVar[set[int]] = set()


def use_ports(part: int, parts: int) -> None:
    """Hand out only every ``parts``-th port, so that no other process of the run hands out the same one."""
    _Ports.part, _Ports.parts = part % parts, parts


def free_port() -> int:
    """Return an unused port on loopback, below those that the kernel gives to outgoing connections.

    The caller binds it a moment later, so each port is given once, and by one process of the run only.
    """
    for _ in range(1000):
        step = random.SystemRandom().randrange(15_000 // _Ports.parts, 32_000 // _Ports.parts)
        port = step * _Ports.parts + _Ports.part
        if port in _Ports.given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _Ports.given.add(port)
        return port
    raise StartError("no free port on loopback")


def binary(kind: str, name: str, *folders: str) -> str:
    """Return the path of a server's program.

    Raises:
        MissingServerError: It is not installed.

    """
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if found is None:
        raise MissingServerError(f"{kind}: {name} is not installed (as root, `make test` installs it), "
                      f"and BACKWATCH_TEST_{kind.upper()}_URL is not set")  # fmt: skip
    return found


def account(name: str) -> str | None:
    """Return the account of a server that refuses root: ``name`` under root, else ``None``, the current account."""
    return name if os.geteuid() == 0 else None


@contextlib.contextmanager
def private_folder(kind: str, user: str | None = None) -> Generator[Path]:
    """Create a private folder of the server's account; it is deleted after the block."""
    folder = Path(tempfile.mkdtemp(prefix=f"backwatch-{kind}-"))
    try:
        yield give(folder, user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def give(path: Path, user: str | None) -> Path:
    """Give a file or folder to the server's account, closed to all others."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if user:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def write(path: Path, text: str, user: str | None = None) -> Path:
    """Write a file that only the server's account can read."""
    path.touch(mode=0o600)
    path.write_text(text)
    return give(path, user)


def _group(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None


def prepare(
    command: Sequence[str],
    folder: Path,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    say: str = "",
) -> None:
    """Run a server's own setup program (``initdb`` and the like) to its end, with ``say`` on its standard input."""
    done = subprocess.run(
        command, cwd=folder, user=user, group=_group(user), extra_groups=[] if user else None, check=False,
        env={**os.environ, **(environment or {})}, input=say, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise StartError(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}")


@contextlib.contextmanager
def run_process(
    command: Sequence[str], *, folder: Path, ready: Callable[[], bool], user: str | None = None,
    environment: Mapping[str, str] | None = None, stop: str = "KILL", grace_s: float = 3, timeout_s: float = 180,
) -> Generator[Path]:  # fmt: skip
    """Keep ``command`` running inside the block, once ``ready`` succeeds; yield the path of its log.

    ``folder`` is the server's private one, removed at any end of this process. ``stop`` is the signal that ends the
    server (no test needs a slow shutdown); after ``grace_s`` it is killed.

    """
    log = folder / "log.txt"
    options = ["--signal", stop, "--grace", str(grace_s), "--remove", str(folder), *(["--user", user] if user else [])]
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-IS", str(KEEPER), *options, "--", *command], cwd=folder, start_new_session=True,
            env={**os.environ, **(environment or {})}, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + timeout_s
        while not ready():
            if keeper.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.03)
        yield log
    finally:
        keeper.communicate()  # closes its standard input, which ends the server
