"""Logs of the commands that keep running: one event is one line, with any text in it."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

HOSTILE = 'a\nb\r\x1b[2J"}\x00\u202e\u2028\x85é\ud800 {"level": "info"}'
SCRIPT = """
import logging, sys, threading, warnings
from backwatch.collector.console import logs
from backwatch.collector.settings import LogSettings, load
logs.configure(load(LogSettings), "detect")
hostile = {hostile!r}
logger = logging.getLogger("backwatch")
{body}
"""


def run(body: str, **settings: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKWATCH_")}
    script = SCRIPT.format(hostile=HOSTILE, body=body)
    return subprocess.run(
        [sys.executable, "-c", script], env=environment | settings, capture_output=True, timeout=60, check=False
    )


def events(done: "subprocess.CompletedProcess[bytes]") -> list[dict[str, str]]:
    return [json.loads(line) for line in done.stderr.decode("ascii").splitlines()]


def test_a_hostile_event_is_one_line_of_ascii_json() -> None:
    done = run("logger.warning('backwatch: %s', hostile)", BACKWATCH_LOG_FORMAT="json")
    [event] = events(done)
    assert event["message"] == f"backwatch: {HOSTILE}"
    assert (event["level"], event["logger"]) == ("warning", "backwatch")
    assert datetime.fromisoformat(event["time"]).tzinfo is not None
    assert done.stderr.count(b"\n") == 1


def test_a_hostile_event_is_one_line_of_text_with_its_controls_escaped() -> None:
    done = run("logger.warning('backwatch: %s', hostile)")
    expected = 'backwatch: a\\nb\\r\\x1b[2J"}\\x00\\u202e\\u2028\\x85é\\ud800 {"level": "info"}\n'
    assert done.stderr.decode() == expected


@pytest.mark.parametrize("format_", ["text", "json"])
def test_an_event_is_bounded(format_: str) -> None:
    done = run("logger.warning('x' * 1_000_000)", BACKWATCH_LOG_FORMAT=format_)
    assert 8_000 < len(done.stderr) < 9_000


def test_library_output_on_standard_error_is_json() -> None:
    body = (
        "sys.stderr.write('half ')\nprint('a line\\nanother', file=sys.stderr)\n"
        "logging.getLogger('kafka').error('away')\nimport click\nclick.echo('refused', err=True)\nwarnings.warn('old')"
    )
    done = run(body, BACKWATCH_LOG_FORMAT="json")
    messages = [event["message"] for event in events(done)]
    assert messages[:4] == ["half a line", "another", "away", "refused"]
    assert any("UserWarning: old" in message for message in messages)


def test_a_library_that_silences_itself_stays_silent() -> None:
    body = "kafka = logging.getLogger('kafka')\nkafka.addHandler(logging.NullHandler())\nkafka.error('away')"
    assert run(body).stderr == b""


@pytest.mark.parametrize(
    "body", ["raise ValueError(hostile)", "threading.Thread(target=lambda: {}[hostile]).start()",
             "try:\n    int(hostile)\nexcept ValueError:\n    logger.exception('backwatch: failed')"]
)  # fmt: skip
def test_fault_is_one_event_without_its_own_text(body: str) -> None:
    [event] = events(run(body, BACKWATCH_LOG_FORMAT="json"))
    assert "Error at <string>:" in event["message"]
    assert "2J" not in event["message"]


@pytest.mark.parametrize(("level", "expected"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_events_below_the_level_are_left_out(level: str, expected: int) -> None:
    done = run("logger.debug('a'); logger.info('b'); logger.warning('c')", BACKWATCH_LOG_LEVEL=level)
    assert len(done.stderr.splitlines()) == expected


def backwatch(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKWATCH_")}
    command = [sys.executable, "-m", "backwatch.collector", *arguments]
    return subprocess.run(command, env=environment | settings, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", ["detect", "notify", "dashboard", "up"])
def test_a_refusal_of_a_command_is_an_event_too(command: str, tmp_path: Path) -> None:
    done = backwatch(command, BACKWATCH_STORE_URL="foo://x", BACKWATCH_LOG_FORMAT="json", HOME=str(tmp_path))
    assert done.returncode == 78
    [event] = [json.loads(line) for line in done.stderr.splitlines()]
    assert event["level"] == "error"
    assert event["message"] == "Error: BACKWATCH_STORE_URL='foo://x': 'foo' is neither sqlite nor postgresql"


def test_a_wrong_format_is_one_line_with_setting_and_value() -> None:
    done = backwatch("notify", BACKWATCH_LOG_FORMAT="xml")
    assert (done.returncode, done.stderr) == (78, "Error: BACKWATCH_LOG_FORMAT='xml': must be one of text, json\n")


def test_the_logging_of_an_app_under_watch_stays_its_own() -> None:
    look = "import logging, sys; print(logging.root.handlers, logging.root.level, type(sys.stderr).__name__)"
    done = backwatch("run", "--", sys.executable, "-c", look, BACKWATCH_LOG_FORMAT="json")
    assert done.stdout == "[] 30 TextIOWrapper\n"
