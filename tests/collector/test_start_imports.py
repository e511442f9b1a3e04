"""What the collector imports when an app starts: a set of modules, not a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = {
    "asyncio", "click", "concurrent.futures", "email", "importlib.metadata", "importlib.resources", "multiprocessing",
    "packaging", "pkgutil", "ssl", "tomllib", "unittest", "wrapt", "zipfile", "opentelemetry.sdk",
    "opentelemetry.instrumentation", "opentelemetry.semconv", "kafka", "zstandard",
}  # fmt: skip
"""Each cost between five and a hundred milliseconds of CPU at every start of an app that does not use it."""
LOOK = """
import json, sys
before = set(sys.modules)
from backwatch.collector import start
start.start()
at_start = set(sys.modules) - before
import sqlite3
sqlite3.connect(":memory:").execute("SELECT 1")
delivered = start.begin_pipeline().flush(30)
from backwatch.collector.statements import tokens
dialects = tokens.pattern_of.cache_info().currsize
print(json.dumps([delivered, dialects, sorted(at_start), sorted(set(sys.modules) - before)]))
"""


def loaded(folder: Path) -> tuple[bool, int, set[str], set[str]]:
    """Whether a call was delivered, how many dialects are compiled, modules of the start, and of the call as well."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys\nsys.path[:] = {sys.path!r}\n{LOOK}"], capture_output=True, text=True,
        timeout=60, check=True, env=os.environ | {"BACKWATCH_STREAM_URL": f"sqlite:///{folder}/stream.db"},
    )  # fmt: skip
    delivered, dialects, at_start, later = json.loads(done.stdout)
    return delivered, dialects, set(at_start), set(later)


def test_start_and_first_call_import_nothing_heavy(tmp_path: Path) -> None:
    delivered, dialects, at_start, later = loaded(tmp_path)
    assert delivered
    assert at_start & HEAVY == set()
    assert later & HEAVY == set()
    assert dialects == 1
    assert not [name for name in at_start if name.startswith(("opentelemetry", "backwatch.collector.probes"))]
