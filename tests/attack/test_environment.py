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


def test_a_users_settings_services_and_proxies_make_no_other_demo_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ("BACKWATCH_RULES_DIR", "OTEL_SERVICE_NAME", "PGOPTIONS", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")
    for name in (*foreign, "PATH_OF_MINE"):
        monkeypatch.setenv(name, "http://192.0.2.1/")
    kept = own_environment()
    assert not kept.keys() & set(foreign)
    assert "PATH_OF_MINE" in kept


def test_a_child_that_ends_is_told_with_its_code_and_its_last_words_without_control_characters(stage: Stage) -> None:
    says = "import sys; print('\\x1b[31mwhy it ended\\x07'); sys.exit(69)"
    with stage:
        stage.start("detector", ("run", "--", sys.executable, "-c", says))
        with pytest.raises(StageError) as caught:
            stage.wait_for("something", lambda: False)
    assert str(caught.value) == "detector ended with exit code 69: �[31mwhy it ended�"
    assert caught.value.exit_code == 69


def test_who_waits_in_vain_is_told_for_what(stage: Stage) -> None:
    with pytest.raises(NotInTime, match="not within 0 s: the moon is blue"):
        stage.wait_for("the moon is blue", lambda: False, patience_s=0)


def test_a_child_that_is_done_is_missed_by_nobody(stage: Stage) -> None:
    with stage:
        stage.finished(stage.start("history", ("run", "--", sys.executable, "-c", "pass")))
        stage.check()


def test_a_child_that_is_done_badly_or_not_in_time_is_told(stage: Stage) -> None:
    with stage:
        with pytest.raises(StageError, match="history ended with exit code 3"):
            stage.finished(stage.start("history", ("run", "--", sys.executable, "-c", "raise SystemExit(3)")))
        with pytest.raises(StageError, match="is not done within 0 s"):
            stage.finished(stage.start("sleeper", ("run", "--", "sleep", "60")), 0.1)


def test_a_child_that_does_not_listen_to_the_request_to_leave_is_ended_all_the_same(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with Stage(tmp_path, os.environ) as stage:
        child = stage.start("deaf", ("run", "--", sys.executable, "-c", deaf))
        stage.wait_for("it is deaf", lambda: b"deaf" in child.log.read_bytes())
    assert child.process.returncode == -signal.SIGKILL


def test_a_free_port_has_nobody_who_answers() -> None:
    assert not answers("127.0.0.1", free_port())
