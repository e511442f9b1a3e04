"""The oldest supported version of every driver is written down, and keeps the contract as the newest does.

``tests/oldest.txt`` has one line per driver: that version first, then its dependencies. Drivers whose own tests run it
are left to them; for the others ``test_every_probe.py`` runs anew, in a process with those versions in front.
"""

import importlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from backwatch.collector.probes import Probe, discover
from tests.services.overlays import overlay
from tests.services.process import ROOT
from tests.services.server import Server, to_environment

pytestmark = pytest.mark.xdist_group("exercises")  # which use fixed names on servers
OLDEST = "BACKWATCH_TEST_OLDEST"
"""Set in such a process: the line it is about."""
NOT_OF_VERSIONS = "even_if or removed_probe or again"
"""Tests of the contract that say more about our guard than about a version; the newest one keeps them."""
SAME_CODE = {"psycopg2": "psycopg2-binary"}
"""Distributions that differ from another one in how they are built only."""
PROBES = [kind for kind in discover() if kind.distributions]


class Line(NamedTuple):
    """One driver in ``tests/oldest.txt``."""

    name: str
    version: str
    requirements: tuple[str, ...]


def _lines() -> list[Line]:
    found: list[Line] = []
    for text in (ROOT / "tests" / "oldest.txt").read_text().splitlines():
        name, _, oldest = text.split()[0].partition("==")
        found.append(Line(name, oldest, tuple(text.split())))
    return found


def _lower_bounds(kind: type[Probe]) -> dict[str, str]:
    """Map distributions to the oldest supported version, as the probe declares it."""
    wanted = [Requirement(text) for text in kind.distributions]
    return {one.name: next(part.version for part in one.specifier if part.operator == ">=") for one in wanted}


LINES = _lines()
OWNER = {name.lower(): kind for kind in PROBES for name in _lower_bounds(kind)}


def _is_run_elsewhere(line: Line, name: str) -> bool:
    """Return whether the probe's own tests run this version."""
    files = (ROOT / "tests/collector/probes").glob(f"**/test_{name}*.py")
    tests = "".join(file.read_text() for file in files)
    runs = any(f"{function}(" in tests for function in ("overlay", "run_tests_with", "run_the_exercise"))
    return runs and (f"=={line.version}" in tests or f'"{line.version}"' in tests)


TO_TEST = [
    line for line in LINES if (kind := OWNER.get(line.name.lower())) and not _is_run_elsewhere(line, kind.name)
]  # fmt: skip


def _release(text: str) -> tuple[int, ...]:
    """Normalize a version: ``1.0`` and ``1.0.0`` are the same."""
    parts = [int(part) for part in text.split(".")]
    return tuple(parts + [0] * (4 - len(parts)))


@pytest.mark.parametrize("kind", PROBES, ids=[kind.name for kind in PROBES])
def test_the_oldest_supported_version_is_written_down(kind: type[Probe]) -> None:
    written = {line.name.lower(): _release(line.version) for line in LINES}
    declared = {SAME_CODE.get(name, name).lower(): _release(oldest) for name, oldest in _lower_bounds(kind).items()}
    assert declared == {name: written.get(name) for name in declared}


def test_every_line_belongs_to_a_probe() -> None:
    assert [line.name for line in LINES if line.name.lower() not in OWNER] == []
    assert len({line.name for line in LINES}) == len(LINES)


@pytest.mark.slow
@pytest.mark.skipif(OLDEST in os.environ, reason="this is one of them")
@pytest.mark.parametrize("line", TO_TEST, ids=[line.requirements[0] for line in TO_TEST])
def test_the_oldest_version_keeps_the_contract(line: Line, request: pytest.FixtureRequest) -> None:
    name = OWNER[line.name.lower()].name
    services = importlib.import_module(f"tests.contract.exercises.{name}").SERVICES
    servers = [one for one in map(request.getfixturevalue, services) if isinstance(one, Server)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "--assert=plain",
         "tests/contract/test_every_probe.py", "tests/contract/test_oldest.py",
         "-k", f"[{name}] and not ({NOT_OF_VERSIONS})"],
        cwd=ROOT, capture_output=True, text=True, timeout=380, check=False,
        env={**os.environ, **{key: value for one in servers for key, value in to_environment(one).items()},
             "PYTHONPATH": str(overlay(*line.requirements)), OLDEST: " ".join(line.requirements)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout


@pytest.mark.skipif(OLDEST not in os.environ, reason="only where the oldest is asked for")
@pytest.mark.parametrize("kind", PROBES, ids=[kind.name for kind in PROBES])
def test_the_oldest_is_really_at_hand(kind: type[Probe]) -> None:
    requirements = os.environ[OLDEST].split()
    assert [f"{name}=={version(name)}" for name in (one.partition("==")[0] for one in requirements)] == requirements
    file = importlib.import_module(kind.module).__file__
    assert file is not None
    assert Path(file).is_relative_to(overlay(*requirements))
