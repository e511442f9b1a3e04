"""A server that cannot be had: skipped and told in the last line, or, under CI=true, a failure."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDS_REDIS = "tests/services/test_services.py::test_redis_speaks_in_the_clear_over_tls_and_on_its_socket"


def run_without_any_server(**environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "BACKWATCH_TEST_REDIS_URL")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", NEEDS_REDIS],
        cwd=ROOT, env={**kept, "PATH": "/nonexistent", **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_last_line_says_how_many_tests_were_skipped_for_want_of_a_server_and_why() -> None:
    run = run_without_any_server()
    assert run.returncode == 0
    assert run.stdout.splitlines()[-1].startswith(
        "skipped for want of a real server: 1: 1 because of redis: redis-server"
    )


def test_in_ci_a_missing_server_is_a_failure() -> None:
    run = run_without_any_server(CI="true")
    assert run.returncode == 1
    assert "CI=true and redis: redis-server is not installed" in run.stdout


def test_a_named_server_takes_the_place_of_a_missing_one(tmp_path: Path) -> None:
    probe = tmp_path / "test_probe.py"
    probe.write_text("def test_it(redis_server):\n    assert (redis_server.host, redis_server.port) == ('::1', 7)\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", f"--rootdir={ROOT}", str(probe)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "BACKWATCH_TEST_REDIS_URL": "redis://[::1]:7/0"},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
