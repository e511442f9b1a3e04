"""What a run promises: missing servers are told, or fail in CI; nothing is swallowed; data are asked for."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDS_REDIS = "tests/services/test_services.py::test_redis_speaks_in_the_clear_over_tls_and_on_its_socket"


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("BACKWATCH_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "pyproject.toml", *arguments],
        cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def run_text(folder: Path, text: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    (folder / "test_probe.py").write_text(text)
    return run("-p", "tests.conftest", str(folder / "test_probe.py"), **environment)


def test_the_last_line_says_how_many_tests_were_skipped_for_want_of_a_server_and_why() -> None:
    done = run(NEEDS_REDIS, PATH="/nonexistent")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith(
        "skipped because a real server is missing: 1: 1 because of redis: redis-server"
    )


def test_in_ci_a_missing_server_is_a_failure() -> None:
    done = run(NEEDS_REDIS, PATH="/nonexistent", CI="true")
    assert done.returncode == 1
    assert "CI=true and redis: redis-server is not installed" in done.stdout


def test_a_named_server_takes_the_place_of_our_own(tmp_path: Path) -> None:
    text = "def test_it(redis_server):\n    assert (redis_server.host, redis_server.port) == ('::1', 7)\n"
    assert run_text(tmp_path, text, BACKWATCH_TEST_REDIS_URL="redis://[::1]:7/0").returncode == 0


def test_a_test_that_leaves_a_swallowed_fault_of_ours_fails_unless_it_asked_for_it(tmp_path: Path) -> None:
    done = run_text(tmp_path, """
from backwatch.collector.runtime import guard
def test_unasked():
    guard.swallow("probe", ValueError("ours"))
def test_asked(swallowed_faults):
    guard.swallow("probe", ValueError("ours"))
    assert [name for name, _ in swallowed_faults] == ["probe"]
""")  # fmt: skip
    assert "2 passed, 1 error" in done.stdout
    assert "the guard swallowed 1 errors of Backwatch, first in probe" in done.stdout


def test_tests_on_outside_data_are_deselected_where_nobody_says_where_the_data_are(tmp_path: Path) -> None:
    text = """
import pytest
@pytest.mark.data
def test_on_data(data_folder):
    assert data_folder.is_dir()
def test_without_data():
    pass
"""
    assert "1 passed, 1 deselected" in run_text(tmp_path, text).stdout
    assert "2 passed" in run_text(tmp_path, text, BACKWATCH_TEST_DATA=str(tmp_path)).stdout


def test_the_shells_settings_do_not_reach_a_test(tmp_path: Path) -> None:
    text = "import os\ndef test_it():\n    assert not {'BACKWATCH_ENABLED', 'OTEL_SDK_DISABLED'} & set(os.environ)\n"
    assert run_text(tmp_path, text, BACKWATCH_ENABLED="false", OTEL_SDK_DISABLED="true").returncode == 0
