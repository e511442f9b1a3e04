"""Properties of a test run: missing servers, swallowed errors, outside data, signals, workers."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.services.process import ROOT

NEEDS_REDIS = "tests/services/test_services.py::test_redis_speaks_in_the_clear_over_tls_and_on_its_socket"


def run(
    *arguments: str, before: Callable[[], object] | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("BACKWATCH_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "pyproject.toml", *arguments],
        cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=60,
        preexec_fn=before,
    )  # fmt: skip


def run_text(folder: Path, text: str, *options: str, **environment: Any) -> "subprocess.CompletedProcess[str]":
    (folder / "test_probe.py").write_text(text)
    return run("-p", "tests.conftest", str(folder / "test_probe.py"), *options, **environment)


def test_last_line_counts_tests_skipped_because_a_server_is_missing() -> None:
    done = run(NEEDS_REDIS, PATH="/nonexistent")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith(
        "skipped because a real server is missing: 1: 1 because of redis: redis-server"
    )


def test_missing_server_is_a_failure_in_ci() -> None:
    done = run(NEEDS_REDIS, PATH="/nonexistent", CI="true")
    assert done.returncode == 1
    assert "CI=true and redis: redis-server is not installed" in done.stdout


def test_server_named_by_environment_is_used(tmp_path: Path) -> None:
    text = "def test_it(redis_server):\n    assert (redis_server.host, redis_server.port) == ('::1', 7)\n"
    assert run_text(tmp_path, text, BACKWATCH_TEST_REDIS_URL="redis://[::1]:7/0").returncode == 0


def test_swallowed_error_fails_a_test_that_does_not_expect_it(tmp_path: Path) -> None:
    done = run_text(tmp_path, """
from backwatch.collector.runtime import guard
def test_unasked():
    guard.swallow("probe", ValueError("broken"))
def test_asked(swallowed_faults):
    guard.swallow("probe", ValueError("broken"))
    assert [name for name, _ in swallowed_faults] == ["probe"]
""")  # fmt: skip
    assert "2 passed, 1 error" in done.stdout
    assert "the guard swallowed 1 errors of Backwatch, first in probe" in done.stdout


def test_tests_on_outside_data_need_the_variable(tmp_path: Path) -> None:
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


def test_settings_of_the_shell_do_not_reach_a_test(tmp_path: Path) -> None:
    text = "import os\ndef test_it():\n    assert not {'BACKWATCH_ENABLED', 'OTEL_SDK_DISABLED'} & set(os.environ)\n"
    assert run_text(tmp_path, text, BACKWATCH_ENABLED="false", OTEL_SDK_DISABLED="true").returncode == 0


@pytest.mark.parametrize("options", [("-n0",), ("-n1",)])
def test_apps_of_tests_start_with_default_signals(tmp_path: Path, options: tuple[str, ...]) -> None:
    text = """
import subprocess, sys
def test_it():
    code = "import signal; print([signal.getsignal(n) is signal.SIG_IGN for n in (signal.SIGHUP, signal.SIGINT)])"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"[False, False]\\n"
"""

    def ignore() -> None:
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    done = run_text(tmp_path, text, *options, before=ignore)
    assert done.returncode == 0, done.stdout


def test_workers_share_one_server(tmp_path: Path) -> None:
    text = """
import os, pathlib, pytest
pytestmark = pytest.mark.spread
@pytest.mark.parametrize("number", range(4))
def test_it(redis_server, number):
    seen = pathlib.Path(__file__).with_name("ports")
    with seen.open("a") as file:
        file.write(f"{redis_server.port}\\n")
"""
    done = run_text(tmp_path, text, "-n2")
    assert done.returncode == 0, done.stdout
    assert len(set((tmp_path / "ports").read_text().split())) == 1


def test_units_keep_files_and_groups_together(tmp_path: Path) -> None:
    text = """
import os, pathlib, pytest
@pytest.mark.parametrize("number", range(8))
def test_it(number):
    with pathlib.Path(__file__).with_name("workers").open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + " ")
"""
    assert run_text(tmp_path, text, "-n2").returncode == 0
    assert len(set((tmp_path / "workers").read_text().split())) == 1
