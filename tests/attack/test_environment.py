"""The demo's environment: inherited variables, reports of ended children, time limits."""

import os
import signal
import sys
from pathlib import Path

import pytest

from backwatch.attack.environment import NotInTime, Stage, StageError, answers, free_port, own_environment


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, os.environ)


def test_user_settings_services_and_proxies_do_not_affect_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ("BACKWATCH_RULES_DIR", "OTEL_SERVICE_NAME", "PGOPTIONS", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")
    for name in (*foreign, "PATH_OF_MINE"):
        monkeypatch.setenv(name, "http://192.0.2.1/")
    kept = own_environment()
    assert not kept.keys() & set(foreign)
    assert "PATH_OF_MINE" in kept


def test_ended_child_is_reported_with_exit_code_and_sanitized_output(stage: Stage) -> None:
    program = "import sys; print('\\x1b[31mwhy it ended\\x07'); sys.exit(69)"
    with stage:
        stage.start("detector", ("run", "--", sys.executable, "-c", program))
        with pytest.raises(StageError) as caught:
            stage.wait_for("something", lambda: False)
    assert str(caught.value) == "detector ended with exit code 69: �[31mwhy it ended�"
    assert caught.value.exit_code == 69


def test_timeout_error_names_the_condition(stage: Stage) -> None:
    with pytest.raises(NotInTime, match="not within 0 s: the moon is blue"):
        stage.wait_for("the moon is blue", lambda: False, patience_s=0)


def test_finished_child_is_not_reported_as_ended(stage: Stage) -> None:
    with stage:
        stage.finished(stage.start("history", ("run", "--", sys.executable, "-c", "pass")))
        stage.check()


def test_failed_or_slow_child_raises_an_error(stage: Stage) -> None:
    with stage:
        with pytest.raises(StageError, match="history ended with exit code 3"):
            stage.finished(stage.start("history", ("run", "--", sys.executable, "-c", "raise SystemExit(3)")))
        with pytest.raises(StageError, match="is not done within 0 s"):
            stage.finished(stage.start("sleeper", ("run", "--", "sleep", "60")), 0.1)


def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with Stage(tmp_path, os.environ) as stage:
        child = stage.start("deaf", ("run", "--", sys.executable, "-c", deaf))
        stage.wait_for("it is deaf", lambda: b"deaf" in child.log.read_bytes())
    assert child.process.returncode == -signal.SIGKILL


def test_free_port_has_no_listener() -> None:
    assert not answers("127.0.0.1", free_port())
