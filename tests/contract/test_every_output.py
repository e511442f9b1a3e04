"""Requirements of every output.

For each output there is ``outputs/<name>.py``, found here by the output's name: ``environment(url)`` returns the
variables that configure it.
"""

import importlib
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from backwatch.collector.settings import NotifySettings, SettingError, load
from backwatch.notify.outputs import Delivery, DeliveryOutcome, Kind, Output, discover
from backwatch.store.deliveries import EventRow
from tests.contract.outputs.standard_webhook import SECRET
from tests.services.http import receiver as temper
from tests.services.http.receiver import Receiver, receiver

every_output = pytest.mark.parametrize("kind", [*discover()], ids=lambda one: one.name)
EVENT = EventRow(
    id="e" * 32, kind="alert.opened", alert_id="a" * 64, level_rank=3, body='{"data":{},"type":"alert.opened"}'
)


@pytest.fixture
def open_receiver() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


def _configure(kind: type[Output], url: str) -> Sequence[Output]:
    """Return what the environment of ``outputs/<name>.py`` configures."""
    setup: Any = importlib.import_module(f"tests.contract.outputs.{kind.name}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in setup.environment(url).items():
            patch.setenv(name, value)
        return kind.from_settings(load(NotifySettings))


def _make(kind: type[Output], url: str) -> Output:
    (output,) = _configure(kind, url)
    return output


def _delivery(output: Output) -> Delivery:
    return Delivery(id=EVENT.id, body=output.render(EVENT), attempted_ns=time.time_ns())


def test_outputs_exist_and_have_unique_names() -> None:
    names = [one.name for one in discover()]
    assert names
    assert len(set(names)) == len(names)


@every_output
def test_an_output_is_named_as_its_file(kind: type[Output]) -> None:
    assert kind.__module__.rpartition(".")[2] == kind.name


@every_output
def test_nothing_is_configured_where_nothing_is_set(kind: type[Output]) -> None:
    assert [*kind.from_settings(NotifySettings())] == []


@every_output
def test_the_same_event_is_rendered_into_the_same_bounded_bytes(kind: type[Output]) -> None:
    output = _make(kind, "https://example.com/")
    big = EventRow(id="e", kind="k", alert_id="a", level_rank=0, body=json.dumps({"data": "x" * 19_000}))
    assert output.render(EVENT) == _make(kind, "https://example.com/").render(EVENT)
    assert len(output.render(big)) <= 20_000


@every_output
@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("200 OK", {Kind.DELIVERED}),
        ("302 There", {Kind.RETRY, Kind.REJECTED}),
        ("400 Bad", {Kind.REJECTED}),
        ("410 Gone", {Kind.GONE}),
        ("429 Much", {Kind.RETRY}),
        ("500 Oops", {Kind.RETRY}),
    ],
)
def test_output_reports_its_result(kind: type[Output], line: str, allowed: set[Kind]) -> None:
    with receiver(temper.status(line)) as one:
        output = _make(kind, one.url)
        assert output.send(_delivery(output), 3).kind in allowed


@every_output
@pytest.mark.parametrize(
    "answer",
    [
        temper.status("503 Away", "Retry-After: Mon, 01 Jan 2024 00:00:00 +99999999999999999999"),
        temper.status("302 There", "Location: http://[", "Content-Encoding: gzip", body=b"not gzip"),
        temper.status("200 OK", "Content-Length: -1", "Transfer-Encoding: nonsense"),
        temper.garbage,
        temper.reset,
    ],
    ids=["date", "redirect", "length", "garbage", "reset"],
)
def test_no_answer_makes_an_output_raise(kind: type[Output], answer: Callable[..., None]) -> None:
    with receiver(answer) as one:
        output = _make(kind, one.url)
        assert isinstance(output.send(_delivery(output), 3), DeliveryOutcome)


@every_output
def test_a_dead_host_is_worth_another_try(kind: type[Output]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    output = _make(kind, f"http://127.0.0.1:{port}/")
    assert output.send(_delivery(output), 1).kind is Kind.RETRY


@every_output
def test_an_output_never_sleeps(kind: type[Output], open_receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("an output slept"))
    open_receiver.answer = temper.status("429 Much", "Retry-After: 3600")
    output = _make(kind, open_receiver.url)
    assert output.send(_delivery(output), 3).retry_after_s == 3600


@every_output
def test_an_attempt_sends_the_rendered_bytes_as_they_are(kind: type[Output], open_receiver: Receiver) -> None:
    output = _make(kind, open_receiver.url)
    output.send(_delivery(output), 3)
    assert [one.body for one in open_receiver.requests] == [output.render(EVENT)]


@every_output
def test_no_secret_is_in_a_name_a_log_or_a_refusal(
    kind: type[Output], open_receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    output = _make(kind, open_receiver.url)
    open_receiver.answer = temper.status("500 Oops")
    outcome = output.send(_delivery(output), 3)
    shown = output.endpoint + outcome.detail + caplog.text
    assert len(output.endpoint) <= 200
    with pytest.raises(SettingError) as error:
        _configure(kind, "gopher://path-token@h/path-token")
    for secret in (SECRET, "path-token"):
        assert secret not in shown + str(error.value)
