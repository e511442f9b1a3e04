"""The demo's environment: inherited variables, reports of ended children, time limits."""

import os
import signal
import sys
from pathlib import Path

import pytest

from backwatch.attack.environment import (
    ComponentError,
    ConditionNotMet,
    Environment,
    clean_environment,
    free_port,
    is_listening,
)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path, os.environ)


def test_user_settings_services_and_proxies_do_not_affect_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ("BACKWATCH_RULES_DIR", "OTEL_SERVICE_NAME", "PGOPTIONS", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")
    for name in (*foreign, "PATH_OF_MINE"):
        monkeypatch.setenv(name, "http://192.0.2.1/")
    kept = clean_environment()
    assert not kept.keys() & set(foreign)
    assert "PATH_OF_MINE" in kept


def test_ended_child_is_reported_with_exit_code_and_sanitized_output(environment: Environment) -> None:
    program = "import sys; print('\\x1b[31mwhy it ended\\x07'); sys.exit(69)"
    with environment:
        environment.start("detector", ("run", "--", sys.executable, "-c", program))
        with pytest.raises(ComponentError) as caught:
            environment.wait_for("something", lambda: False)
    assert str(caught.value) == "detector ended with exit code 69: �[31mwhy it ended�"
    assert caught.value.exit_code == 69


def test_timeout_error_names_the_condition(environment: Environment) -> None:
    with pytest.raises(ConditionNotMet, match="not within 0 s: the moon is blue"):
        environment.wait_for("the moon is blue", lambda: False, patience_s=0)


def test_finished_child_is_not_reported_as_ended(environment: Environment) -> None:
    with environment:
        environment.wait_for_exit(environment.start("history", ("run", "--", sys.executable, "-c", "pass")))
        environment.check()


def test_failed_or_slow_child_raises_an_error(environment: Environment) -> None:
    with environment:
        with pytest.raises(ComponentError, match="history ended with exit code 3"):
            environment.wait_for_exit(
                environment.start("history", ("run", "--", sys.executable, "-c", "raise SystemExit(3)"))
            )
        with pytest.raises(ComponentError, match="is not done within 0 s"):
            environment.wait_for_exit(environment.start("sleeper", ("run", "--", "sleep", "60")), 0.1)


def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with Environment(tmp_path, os.environ) as environment:
        child = environment.start("deaf", ("run", "--", sys.executable, "-c", deaf))
        environment.wait_for("it is deaf", lambda: b"deaf" in child.log.read_bytes())
    assert child.process.returncode == -signal.SIGKILL


def test_free_port_has_no_listener() -> None:
    assert not is_listening("127.0.0.1", free_port())
