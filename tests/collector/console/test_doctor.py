"""``backwatch doctor`` names what is not watched, and why."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backwatch.collector.console import doctor


def run_doctor(tmp_path: Path, **variables: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code, and the diagnoses by subject."""
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "OTEL_SERVICE_NAME": "shop",
        "BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path / 'stream.db'}", **variables,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "backwatch.collector", "doctor", "--json"], env=environment, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    return done.returncode, {one["subject"]: one for one in json.loads(done.stdout)}


def test_watched_drivers_and_a_stream_that_responds_are_good(tmp_path: Path) -> None:
    _, found = run_doctor(tmp_path)
    assert found["driver psycopg"]["status"] == "ok"
    assert found["stream"]["status"] == "ok"
    assert found["processes"]["status"] == "unknown"


def test_disabled_probe_and_kill_switch_are_faults(tmp_path: Path) -> None:
    code, found = run_doctor(tmp_path, BACKWATCH_DISABLED_PROBES="psycopg", BACKWATCH_ENABLED="false")
    assert code == 3
    assert found["driver psycopg"]["status"] == "fault"
    assert found["collector"]["status"] == "fault"


def test_stream_that_is_away_is_a_fault_without_its_password(tmp_path: Path) -> None:
    code, found = run_doctor(
        tmp_path, BACKWATCH_STREAM_URL="kafka://127.0.0.1:1", BACKWATCH_KAFKA_PASSWORD="SECRET",
        BACKWATCH_KAFKA_USERNAME="app",
    )  # fmt: skip
    assert code == 3
    assert found["stream"]["status"] == "fault"
    assert "SECRET" not in json.dumps(found)


def test_library_without_a_probe_and_an_old_version_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        name, version = "AIOMySQL", "0.2.0"

    monkeypatch.setattr(doctor, "distributions", lambda: [Found()])
    monkeypatch.setattr(doctor, "is_supported", lambda _: False)
    found = {one.subject: one for one in doctor._diagnose_drivers()}
    assert "PyMySQL is watched" in found["driver aiomysql"].fix
    assert "is not watched" in found["driver psycopg"].seen
