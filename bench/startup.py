"""CPU time of an app's start, observed and bare: user and system time of the process, alternated, medians.

    make bench NAME=startup           ARGS="--rounds 30", "--variant server"

``script`` imports nothing and ends. ``driver`` imports ``sqlite3`` and makes one call. ``server`` is uvicorn with
Starlette, httpx and redis-py that makes one call when it starts, and then ends. All publish to an embedded stream.
``kafka`` is ``server`` with a Kafka stream URL without a listener: the client is imported. The last line is JSON:
``{variant: {bare_ms, watched_ms, added_ms, ratio}}``.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from backwatch.collector.bootstrap.start import BOOTSTRAP
from bench import rounds
from tests.services.process import free_port
from tests.system.commands import environment

SERVER = """
import os, signal, sqlite3
from contextlib import asynccontextmanager
import httpx, redis
from starlette.applications import Starlette

@asynccontextmanager
async def lifespan(_):
    sqlite3.connect(":memory:").execute("SELECT 1")
    os.kill(os.getpid(), signal.SIGTERM)
    yield

app = Starlette(lifespan=lifespan)
"""
DRIVER = "import sqlite3\nsqlite3.connect(':memory:').execute('SELECT 1')"
UVICORN = ("-m", "uvicorn", "--port", "0", "--log-level", "critical", "server:app")
VARIANTS: Mapping[str, Sequence[str]] = {
    "script": ("-c", "pass"), "driver": ("-c", DRIVER), "server": UVICORN, "kafka": UVICORN,
}  # fmt: skip


def start_cpu_s(arguments: Sequence[str], folder: Path, variables: Mapping[str, str]) -> float:
    """Return user and system seconds of one Python that starts and ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=dict(variables), check=False, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(variant: str, folder: Path, count: int) -> dict[str, float]:
    """Start that many times, observed and bare in turns."""
    (folder / "server.py").write_text(SERVER)
    url = f"kafka://127.0.0.1:{free_port()}" if variant == "kafka" else f"sqlite:///{folder}/stream.db"
    bare = environment({"BACKWATCH_STREAM_URL": url})
    watched = bare | {"PYTHONPATH": os.pathsep.join(filter(None, (str(BOOTSTRAP), bare.get("PYTHONPATH"))))}
    found: dict[str, list[float]] = {"bare": [], "watched": []}
    for number in range(count + 1):
        for name, variables in (("bare", bare), ("watched", watched)):
            spent = start_cpu_s(VARIANTS[variant], folder, variables)
            if number:  # the first one compiles
                found[name].append(spent)
    bare_s, watched_s = (statistics.median(found[name]) for name in ("bare", "watched"))
    added_s = statistics.median(above - below for below, above in zip(found["bare"], found["watched"], strict=True))
    return {
        "bare_ms": round(1000 * bare_s), "watched_ms": round(1000 * watched_s),
        "added_ms": round(1000 * added_s),
        "ratio": round(rounds.ratio(found["watched"], found["bare"]), 2),
    }  # fmt: skip


def main() -> None:
    """``--rounds``: starts of each; ``--variant``: one of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--variant", choices=("all", *VARIANTS), default="all")
    options = parser.parse_args()
    print(rounds.machine("kafka-python", "uvicorn", "starlette"))
    chosen = list(VARIANTS) if options.variant == "all" else [options.variant]
    with tempfile.TemporaryDirectory() as folder:
        result = {name: measure(name, Path(folder), options.rounds) for name in chosen}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
