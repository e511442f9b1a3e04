"""Compiles every kernel into the cache, for a fast first start: ``python -m backwatch.detector.warm``.

A detector whose cache is cold does this in a process of its own: LLVM keeps the memory that it compiled with, 400 MB,
for as long as the process lives, while kernels that are loaded from the cache cost 40 MB.
"""

import contextlib
import fcntl
import hashlib
import logging
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path
from typing import Final, get_args

import llvmlite.binding
import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from backwatch.collector import names
from backwatch.detector.engine.clock import WINDOW_NS
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.log_entries import Approved, ModelVersion, ProfileVersion, StreamRecords, Tick
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.kernels.compiled import CACHE_FOLDER, CACHED
from backwatch.detector.rules.correlation import Correlation, Kind
from backwatch.detector.rules.correlation_state import CorrelationCounter, fold_column
from backwatch.detector.runtime.resident import release_start_up_memory
from backwatch.detector.state.key_space import Space

logger = logging.getLogger("backwatch")

START_NS: Final = 1_760_000_000_000_000_000
CALLS: Final = 200


def request() -> bytes:
    """Return a few minutes of an app's calls, an attack among them, so that each kernel is reached."""
    made = ExportTraceServiceRequest()
    spans = made.resource_spans.add()
    app = spans.resource.attributes.add()
    app.key, app.value.string_value = names.SERVICE_NAME, "warm"
    scope = spans.scope_spans.add()
    for number in range(CALLS):
        end_ns = START_NS + number * 3 * 10**9
        span = scope.spans.add(
            name="SELECT", kind=Span.SPAN_KIND_CLIENT, start_time_unix_nano=end_ns - 1, end_time_unix_nano=end_ns
        )
        facts: dict[str, str] = {
            names.DB_SYSTEM: "postgresql", names.SERVER_ADDRESS: "db", names.CERT_SHA256: f"{number % 2}",
            names.QUERY_TEXT: f"SELECT a FROM t WHERE b = {number} AND c IN (1, 2)" + (" -- x" if number % 9 else ""),
            names.QUERY_SIGNS: "comment-tail" if number > 150 else "",
            names.URL_FULL: "https://api.example/v1/a" if number % 7 == 0 else "",
            names.TOPOLOGY: "a:5432,b:5432" if number % 7 == 0 else "",
            names.REDIRECT_TARGET: "http://169.254.169.254/" if number == CALLS - 1 else "",
        }  # fmt: skip
        for key, value in facts.items():
            if value:
                attribute = span.attributes.add()
                attribute.key, attribute.value.string_value = key, value
    return made.SerializeToString()


def step_through(engine: Engine) -> None:
    """Run an engine through every kernel once, on a throw-away shard. Then release the memory that this needed."""
    shard = engine.new_shard()
    entry = StreamRecords(
        values=[request()],
        appended_ns=np.array([START_NS], np.int64),
        backfill=np.array([True]),
        offsets=np.zeros(1, np.int64),
    )
    swap = {names.CERT_SHA256: ["1"], names.TOPOLOGY: ["b:5432"]}
    place = "shop.py:f"
    approved = Approved(statements=((place, "SELECT A FROM B", 0),), destinations=((place, "other:5432", 0),))
    engine.step(shard, ProfileVersion("warm", "", {"postgresql db": swap}, approved))
    engine.step(shard, _model())
    engine.step(shard, entry)
    engine.step(shard, Tick(START_NS + CALLS * 3 * 10**9 + 3 * WINDOW_NS))
    again = engine.new_shard()
    again.apply([shard.snapshot()])
    for kind in get_args(Kind):
        _count_firing(kind)
    release_start_up_memory()


def _model() -> ModelVersion:
    """A forest of one tree, which is one leaf."""
    whole = {"root": 0, "feature": -1, "left": 0, "right": 0}
    real = {"threshold": 0.0, "path": 1.0, "usual_path": 1.0, "limit": 1.0}
    arrays = {name: np.array([value], np.int32) for name, value in whole.items()}
    return ModelVersion(
        "multivariate-anomaly", "", {**arrays, **{name: np.array([value], np.float64) for name, value in real.items()}}
    )


def _count_firing(kind: Kind) -> None:
    correlation = Correlation(
        kind=kind, rules=("a",), group_by=(), aliases={}, timespan_ns=WINDOW_NS, least=1, beyond=False, field="",
        generate=False,
    )  # fmt: skip
    counter = CorrelationCounter("warm", correlation)
    group, value = np.ones(1, np.uint64), np.ones(1)
    fold_column(group, value)
    counter.add(Space(counter.table.keys, [counter.table]), group, np.array([START_NS], np.int64), group, value)


def is_cached() -> bool:
    """Return whether this release's kernels were compiled into the cache, for this machine's CPU."""
    return CACHED and _marker().exists()


def fill_cache(stop: threading.Event) -> None:
    """Compile every kernel into the cache, in a separate process, until done or stopped.

    Where it fails, kernels are compiled here, as they are needed.
    """
    if not CACHED or not sys.executable:
        return
    child = subprocess.Popen(
        [sys.executable, "-m", "backwatch.detector.warm"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        while child.poll() is None and not stop.wait(0.1):
            pass
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
    if child.returncode and not stop.is_set():
        logger.warning("backwatch: compiling into %s failed with %d; done here instead", CACHE_FOLDER, child.returncode)


def _marker() -> Path:
    """Return the file that marks a complete cache. Its name depends on the source files and the CPU."""
    package = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=12)
    for path in sorted(package.rglob("*.py")):
        found = path.stat()
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    cpu = f"{llvmlite.binding.get_host_cpu_name()} {llvmlite.binding.get_host_cpu_features().flatten()}"
    digest.update(f"{version('numba')} {version('llvmlite')} {platform.python_version()} {cpu}".encode())
    return CACHE_FOLDER / f"complete-{digest.hexdigest()}"


@contextlib.contextmanager
def _compile_alone() -> Generator[None]:
    """Hold the lock of the cache: detectors that start together on one machine compile once."""
    if not CACHED:
        yield
        return
    with (CACHE_FOLDER / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Step one engine through everything once."""
    begun = time.monotonic()
    with _compile_alone():
        step_through(make_engine(EngineConfig()))
    where = "nowhere: the folder cannot be written"
    if CACHED:
        _marker().touch(mode=0o600)
        where = str(CACHE_FOLDER)
    print(f"kernels compiled in {time.monotonic() - begun:.0f} s, kept in {where}")


if __name__ == "__main__":
    main()
