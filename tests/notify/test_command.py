"""``backwatch notify`` as people start it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from backwatch.notify.command import notify
from backwatch.store import deliveries, tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.notify.conftest import SECRET, settings_of
from tests.services.commits import Owner, make_raised
from tests.services.http import receiver as temper
from tests.services.http.receiver import Receiver, receiver

COMMAND = [sys.executable, "-c", "from backwatch.collector.cli import main; main()", "notify"]


def _notify(url: str, one: Receiver | None, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **settings_of(url, one), **more}
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60)


def _fill(store_url: str) -> None:
    engine = open_store(store_url)
    Owner(engine).commit(make_raised(), now_ns=time.time_ns())
    engine.dispose()


def _empty_store(folder: Path) -> str:
    url = f"sqlite:///{folder / 'store.db'}"
    open_store(url).dispose()
    return url


def _change(store_url: str, statement: str) -> None:
    engine = open_store(store_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_once_delivers_due_events_and_prints_their_number(store_url: str) -> None:
    _fill(store_url)
    with receiver(temper.status("500 Oops")) as one:
        first = _notify(store_url, one, "--once")
        assert (first.returncode, first.stdout) == (1, "1 new events, 0 delivered, 1 failed\n")
        one.answer = temper.OK
        _change(store_url, "update backwatch_delivery set next_ns = 0")  # the wait would run out by itself
        second = _notify(store_url, one, "--once")
    assert (second.returncode, second.stdout) == (0, "0 new events, 1 delivered, 0 failed\n")
    assert len(one.requests) == 2
    assert len(set(one.ids)) == 1


def test_test_event_is_sent_at_once_and_its_response_printed(tmp_path: Path) -> None:
    url = _empty_store(tmp_path)
    with receiver() as one:
        taken = _notify(url, one, "--test")
        one.answer = temper.status("404 Where")
        refused = _notify(url, one, "--test")
    assert (taken.returncode, refused.returncode) == (0, 1)
    assert "delivered (HTTP 200)" in taken.stdout
    assert "retry (HTTP 404)" in refused.stdout
    assert json.loads(one.requests[0].body)["type"] == "backwatch.test"
    assert "path-token" not in taken.stdout + taken.stderr + refused.stdout + refused.stderr


def test_test_event_to_a_private_host_names_the_setting_for_it(tmp_path: Path) -> None:
    url = _empty_store(tmp_path)
    refused = _notify(
        url, None, "--test", BACKWATCH_WEBHOOK_URL="https://127.0.0.1:9/", BACKWATCH_WEBHOOK_SECRET=SECRET
    )
    assert refused.returncode == 1
    assert "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS" in refused.stderr


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (temper.status("410 Gone"), r"is disabled \(HTTP 410\) until `backwatch notify --test` is taken"),
        (temper.status("503 Away", "Retry-After: 3600"), r"is left alone until 2\S+Z, 2 wait"),
    ],
    ids=["disabled", "paused"],
)
def test_once_fails_with_a_reason_while_its_endpoint_receives_nothing(
    store_url: str, answer: Callable[..., None], why: str
) -> None:
    engine = open_store(store_url)
    owner = Owner(engine)
    owner.commit(make_raised("a"), now_ns=time.time_ns())
    with receiver(answer) as one:
        assert _once(store_url, one)[0] == 1
        owner.commit(make_raised("b"), now_ns=time.time_ns())
        code, output, error = _once(store_url, one)
    engine.dispose()
    assert (code, output) == (1, "1 new events, 0 delivered, 0 failed\n")
    assert re.fullmatch(rf"backwatch: standard_webhook 127\.0\.0\.1:\d+ \w+ {why}\n", error)
    assert len(one.requests) == 1


def test_once_fails_with_a_reason_if_due_events_are_refused(store_url: str) -> None:
    engine = open_store(store_url)
    Owner(engine).commit(make_raised("a"), now_ns=time.time_ns())
    with receiver(temper.status("500 Oops")) as one:
        _once(store_url, one)
        with reading(engine) as connection:
            endpoint = connection.scalars(sa.select(tables.endpoint.c.name)).one()
        _change(store_url, "update backwatch_delivery set next_ns = 0")
        assert deliveries.lease(engine, endpoint, now_ns=time.time_ns(), lease_ns=10**12)  # another notifier's
        assert _once(store_url, one) == (
            1, "0 new events, 0 delivered, 0 failed\n", f"backwatch: {endpoint}: 1 that are due were not taken\n",
        )  # fmt: skip
    engine.dispose()


def _once(store_url: str, one: Receiver) -> tuple[int, str, str]:
    done = CliRunner().invoke(notify, ["--once"], env=settings_of(store_url, one), catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_goes_on_until_it_is_stopped(tmp_path: Path, number: signal.Signals, code: int) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    _fill(url)
    with receiver() as one:
        process = subprocess.Popen(COMMAND, env={**os.environ, **settings_of(url, one)}, stderr=subprocess.PIPE)
        begun = time.monotonic()
        while not one.requests and time.monotonic() - begun < 60:
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == code
        assert process.stderr is not None
        process.stderr.close()
    assert len(one.requests) == 1


def test_a_notifier_killed_while_it_sends_sends_again_under_the_same_id(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    _fill(url)
    with receiver(temper.stall) as one:
        process = subprocess.Popen(COMMAND, env={**os.environ, **settings_of(url, one)}, stderr=subprocess.DEVNULL)
        begun = time.monotonic()
        while not one.requests and time.monotonic() - begun < 60:
            time.sleep(0.02)
        process.kill()
        process.wait(10)
        one.answer = temper.OK
        _change(url, "update backwatch_delivery set locked_until_ns = 0")  # the lease would run out by itself
        assert _notify(url, one, "--once").returncode == 0
    assert len(one.requests) == 2
    assert len(set(one.ids)) == 1
    assert one.requests[0].body == one.requests[1].body


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "named"),
    [
        (("--once",), {}, 78, "BACKWATCH_WEBHOOK_URL"),
        (("--once",), {"BACKWATCH_WEBHOOK_URL": "http://example.com/path-token"}, 78, "BACKWATCH_WEBHOOK_URL"),
        (("--once",), {"BACKWATCH_WEBHOOK_URL": "https://example.com/"}, 78, "BACKWATCH_WEBHOOK_SECRET"),
        (
            ("--once",),
            {"BACKWATCH_WEBHOOK_URL": "https://example.com/", "BACKWATCH_WEBHOOK_SECRET": SECRET,
             "BACKWATCH_WEBHOOK_MINIMUM_LEVEL": "urgent"},
            78, "BACKWATCH_WEBHOOK_MINIMUM_LEVEL",
        ),
        ((), {"BACKWATCH_STORE_URL": "postgresql://u:hunter2@127.0.0.1:1/d"}, 69, "BACKWATCH_STORE_URL"),
        (("--nonsense",), {}, 2, "--nonsense"),
    ],
)  # fmt: skip
def test_it_fails_in_one_line_that_names_the_setting(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], code: int, named: str
) -> None:
    done = _notify(_empty_store(tmp_path), None, *arguments, **settings)
    assert done.returncode == code
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(secret in done.stderr for secret in ("path-token", "hunter2", SECRET))
