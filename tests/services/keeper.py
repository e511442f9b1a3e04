"""Keep one server while standard input stays open, then end it and its children.

The process that starts a server holds the other end of that pipe. If that process ends in any way, ``kill -9``
included, the kernel closes the pipe, and no server, no forked daemon and no data directory is left behind. Standard
library only. Run it as a script:
``python -IS keeper.py [--user NAME] [--signal TERM] [--grace S] [--remove DIR] -- COMMAND…``
"""

import argparse
import ctypes
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make daemons that the server forks children of this process, so that it can end them (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> list[int]:
    """Return the processes whose parent is this one, adopted ones among them."""
    found: list[int] = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == os.getpid():
            found.append(int(status.parent.name))
    return found


def end(server: "subprocess.Popen[Any]", first: signal.Signals, grace_s: float) -> None:
    """Ask the server to stop, wait, then kill the rest, generation by generation."""
    if server.poll() is None:
        server.send_signal(first)
        try:
            server.wait(grace_s)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    deadline = time.monotonic() + grace_s
    while (left := children()) and time.monotonic() < deadline:
        for process in left:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def main() -> int:
    """Run until the server ends or standard input closes; return the server's exit code, or 0 if it was ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--user")
    parser.add_argument("--signal", default="TERM")
    parser.add_argument("--grace", type=float, default=5.0)
    parser.add_argument("--remove")
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # a Ctrl-C at the tests must not leave the server without its keeper
    adopt_orphans()
    identity: dict[str, Any] = {}
    if asked.user:
        identity = {"user": asked.user, "group": pwd.getpwnam(asked.user).pw_gid, "extra_groups": []}
    server = subprocess.Popen(
        asked.command, stdin=subprocess.DEVNULL, start_new_session=True, restore_signals=True, **identity
    )
    while server.poll() is None and not select.select([0], [], [], 0.2)[0]:
        pass
    ended_by_itself = server.poll() is not None
    end(server, signal.Signals["SIG" + asked.signal], asked.grace)
    if asked.remove and not ended_by_itself:
        shutil.rmtree(asked.remove, ignore_errors=True)
    return abs(server.returncode) if ended_by_itself else 0


if __name__ == "__main__":
    sys.exit(main())
