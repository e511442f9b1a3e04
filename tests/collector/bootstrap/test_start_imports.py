"""Imports of the collector when an app starts: a set of modules, not a time."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from backwatch.collector.bootstrap import installed_drivers
from backwatch.collector.runtime.release import RELEASE

HEAVY = {
    "asyncio", "click", "concurrent.futures", "email", "importlib.metadata", "importlib.resources", "multiprocessing",
    "packaging", "pkgutil", "ssl", "tomllib", "unittest", "wrapt", "zipfile", "opentelemetry.sdk",
    "opentelemetry.instrumentation", "opentelemetry.semconv", "kafka", "zstandard",
}  # fmt: skip
"""Each cost between five and a hundred milliseconds of CPU at every start of an app that does not use it."""
LOOK = """
import json, sys
before = set(sys.modules)
from backwatch.collector.bootstrap import start
start.start()
at_start = set(sys.modules) - before
import sqlite3
sqlite3.connect(":memory:").execute("SELECT 1")
delivered = start.start_pipeline().flush(30)
from backwatch.collector.statements import tokens
dialects = tokens.pattern_of.cache_info().currsize
print(json.dumps([delivered, dialects, sorted(at_start), sorted(set(sys.modules) - before)]))
"""


def run_and_list_imports(folder: Path) -> tuple[bool, int, set[str], set[str]]:
    """Return whether a call was delivered, the count of compiled dialects, and modules of the start and the call."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys\nsys.path[:] = {sys.path!r}\n{LOOK}"], capture_output=True, text=True,
        timeout=60, check=True, env=os.environ | {"BACKWATCH_STREAM_URL": f"sqlite:///{folder}/stream.db"},
    )  # fmt: skip
    delivered, dialects, at_start, later = json.loads(done.stdout)
    return delivered, dialects, set(at_start), set(later)


def test_start_and_first_call_import_nothing_heavy(tmp_path: Path) -> None:
    delivered, dialects, at_start, later = run_and_list_imports(tmp_path)
    assert delivered
    assert at_start & HEAVY == set()
    assert later & HEAVY == set()
    assert dialects == 1
    assert not [name for name in at_start if name.startswith(("opentelemetry", "backwatch.collector.probes"))]


def test_release_matches_the_distribution() -> None:
    assert version("backwatch-collector") == RELEASE


@pytest.mark.parametrize(
    ("folder", "requirement", "expected"),
    [
        ("some_driver-2.10.dist-info", "some-driver>=2.9", True),
        ("some.driver-2.0.0.dist-info", "Some_Driver>=2", True),
        ("some_driver-2.dist-info", "some-driver>=2.0.1", False),
        ("some_driver-2.0rc1.dist-info", "some-driver>=2", False),
        ("some_driver-2.1.post1.dist-info", "some-driver>=2.1", True),
        ("some_driver-2.1.dist-info", "some-driver>=2,<2.1", False),
        ("some_driver-2.1.dist-info", "some-driver>=2,<3", True),
        ("another_driver-2.1.dist-info", "some-driver>=2", False),
    ],
)
def test_a_driver_is_supported_exactly_if_packaging_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, requirement: str, expected: bool
) -> None:
    (tmp_path / folder).mkdir()
    name, _, release = folder.removesuffix(".dist-info").partition("-")
    (tmp_path / folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_drivers.is_supported((requirement,)) is expected
    assert installed_drivers._is_met_by_metadata(requirement) is expected


def test_driver_of_which_an_upgrade_left_two_versions_goes_by_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for release in ("1.0", "3.0"):
        folder = tmp_path / f"some_driver-{release}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: some-driver\nVersion: {release}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    expected = version("some-driver") == "3.0"
    assert installed_drivers.is_supported(("some-driver>=2",)) is expected
