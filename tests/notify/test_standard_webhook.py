"""The one output: what it signs, whom it speaks to, and how it takes every kind of answer."""

import base64
import json
import logging
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from backwatch.collector.settings import SettingError
from backwatch.notify.outputs import Delivery, DeliveryOutcome, Kind, _http
from backwatch.notify.outputs.standard_webhook import StandardWebhook
from tests.notify.conftest import SECRET
from tests.services.authority import Authority
from tests.services.http import receiver as temper
from tests.services.http.receiver import Receiver, receiver

OTHER_SECRET = "whsec_" + base64.b64encode(b"t" * 24).decode()
LOOPBACK = ["127.0.0.1"]


def _delivery() -> Delivery:
    return Delivery(id="a" * 32, body=json.dumps({"type": "x", "e": "\u00e9"}).encode(), attempted_ns=time.time_ns())


def _send(one: Receiver, timeout_s: float = 3.0) -> DeliveryOutcome:
    return StandardWebhook(one.url, [SECRET], private_hosts=LOOPBACK).send(_delivery(), timeout_s)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("200 OK", Kind.DELIVERED), ("204 No Content", Kind.DELIVERED), ("299 Fine", Kind.DELIVERED),
        ("301 Moved", Kind.RETRY), ("304 Same", Kind.RETRY), ("400 Bad", Kind.REJECTED), ("401 Who", Kind.RETRY),
        ("404 Where", Kind.RETRY), ("408 Slow", Kind.RETRY), ("410 Gone", Kind.GONE), ("413 Big", Kind.REJECTED),
        ("422 What", Kind.REJECTED), ("429 Much", Kind.RETRY), ("500 Oops", Kind.RETRY), ("503 Away", Kind.RETRY),
    ],
)  # fmt: skip
def test_only_2xx_is_success_and_only_what_judges_the_body_is_final(line: str, kind: Kind) -> None:
    with receiver(temper.status(line, body=b"secret answer")) as one:
        outcome = _send(one)
    assert outcome == DeliveryOutcome(kind=kind, detail=f"HTTP {line[:3]}")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_never_followed(code: int) -> None:
    with receiver() as inner, receiver(temper.status(f"{code} There", f"Location: {inner.url}")) as one:
        assert _send(one).kind is Kind.RETRY
    assert inner.connections == 0


def test_the_body_of_a_redirect_is_not_read_either() -> None:
    def endless(connection: socket.socket, receiver: Receiver) -> None:
        connection.sendall(b"HTTP/1.1 302 There\r\nLocation: /there\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not receiver.stop.wait(0.05):
            connection.sendall(b"1\r\nx\r\n")

    with receiver(endless) as one:
        assert _send(one) == DeliveryOutcome(kind=Kind.RETRY, detail="HTTP 302")
    assert one.connections == 1


@pytest.mark.parametrize(
    "answer",
    [temper.stall, temper.drip, temper.reset, temper.garbage, temper.endless_headers],
    ids=lambda one: one.__name__,
)
def test_missing_response_is_retried_and_costs_at_most_the_timeout(
    answer: Callable[..., None],
) -> None:
    with receiver(answer) as one:
        begun = time.monotonic()
        assert _send(one, timeout_s=1.0).kind is Kind.RETRY
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("answer", [temper.huge, temper.drip_body], ids=lambda one: one.__name__)
def test_an_answers_body_is_not_read(answer: Callable[..., None]) -> None:
    with receiver(answer) as one:
        begun = time.monotonic()
        assert _send(one).kind is Kind.DELIVERED
        assert time.monotonic() - begun < 2


def test_a_dead_host_is_worth_another_try() -> None:
    with receiver() as one:
        url = one.url
    output = StandardWebhook(url, [SECRET], private_hosts=LOOPBACK)
    assert output.send(_delivery(), 1.0) == DeliveryOutcome(kind=Kind.RETRY, detail="ConnectionError")


def test_retry_after_is_seconds_or_a_date_of_at_most_a_day() -> None:
    soon = format_datetime(datetime.fromtimestamp(time.time() + 100, UTC), usegmt=True)
    expected = {"7": 7.0, "99999999": 86_400.0, "-5": None, "soon": None, "": None, "9" * 5_000: None}
    for text, seconds in expected.items():
        with receiver(temper.status("429 Much", f"Retry-After: {text}")) as one:
            got = _send(one).retry_after_s
            assert got == seconds or (len(text) > 100 and got == 86_400.0)
    with receiver(temper.status("503 Away", f"Retry-After: {soon}")) as one:
        assert 90 < (_send(one).retry_after_s or 0) <= 100


@pytest.mark.parametrize(
    "date",
    ["Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
     "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT"],
)  # fmt: skip
def test_a_retry_after_that_no_clock_knows_is_as_good_as_none(date: str) -> None:
    with receiver(temper.status("503 Away", f"Retry-After: {date}")) as one:
        assert _send(one) == DeliveryOutcome(kind=Kind.RETRY, detail="HTTP 503")


def test_a_delivery_verifies_with_either_secret_while_rotating() -> None:
    with receiver() as one:
        StandardWebhook(one.url, [SECRET, OTHER_SECRET], private_hosts=LOOPBACK).send(_delivery(), 3)
    (request,) = one.requests
    for secret in (SECRET, OTHER_SECRET):
        assert Webhook(secret).verify(request.body, request.headers) == {"type": "x", "e": "\u00e9"}
    assert request.body == _delivery().body
    assert request.path == "/hook/path-token"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0.0.0.0", "[::1]",
     "[::ffff:127.0.0.1]", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]", "[fd00::1]",
     "100.64.0.1", "[64:ff9b::7f00:1]", "[::]"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_never_spoken_to(host: str, ca: Authority) -> None:
    with receiver(certificate=ca.issue().both_file) as one:
        output = StandardWebhook(f"https://{host}:{one.port}/", [SECRET], ca_file=str(ca.ca_file))
        assert output.send(_delivery(), 2) == DeliveryOutcome(kind=Kind.RETRY, detail="InvalidIPAddress")
    assert one.connections == 0


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[::ffff:169.254.169.254]", "0.0.0.0", "[fe80::1]", "[64:ff9b::a9fe:a9fe]",
     "[2002:a9fe:a9fe::1]", "[::a9fe:a9fe]", "100.100.100.200", "168.63.129.16", "[::ffff:168.63.129.16]"],
)  # fmt: skip
def test_even_an_allowed_host_is_never_spoken_to_on_a_metadata_address(host: str) -> None:
    output = StandardWebhook(f"http://{host}/", [SECRET], private_hosts=[host.strip("[]")])
    assert output.send(_delivery(), 2) == DeliveryOutcome(kind=Kind.RETRY, detail="ForbiddenAddressError")


def test_a_metadata_address_in_a_public_range_is_no_public_host_either() -> None:
    output = StandardWebhook("https://168.63.129.16/", [SECRET])
    assert output.send(_delivery(), 2) == DeliveryOutcome(kind=Kind.RETRY, detail="ForbiddenAddressError")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_name_rebound_after_its_check_receives_no_byte(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, answers = socket.getaddrinfo, ["127.0.0.1", "127.0.0.2"]

    def rebinding(host: Any, port: Any, *arguments: Any, **more: Any) -> Any:
        """As a resolver that its attacker owns: no such server can be put before this process's own look-ups."""
        return real(answers.pop(0) if host == "alerts.internal" else host, port, *arguments, **more)

    with socket.create_server(("127.0.0.2", 0)) as forbidden:
        monkeypatch.setattr(_http, "METADATA", frozenset({ip_address("127.0.0.2")}))
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        url = f"{scheme}://alerts.internal:{forbidden.getsockname()[1]}/"
        outcome = StandardWebhook(url, [SECRET], private_hosts=["alerts.internal"]).send(_delivery(), 3)
        forbidden.setblocking(False)
        with pytest.raises(BlockingIOError):
            forbidden.accept()
    assert answers == ["127.0.0.2"]  # the address that was checked is the one that is connected to
    assert outcome == DeliveryOutcome(kind=Kind.RETRY, detail="ConnectionError")


def test_tls_is_verified(ca: Authority) -> None:
    with receiver(certificate=ca.issue().both_file) as one:
        trusting = StandardWebhook(one.url, [SECRET], private_hosts=LOOPBACK, ca_file=str(ca.ca_file))
        assert trusting.send(_delivery(), 3).kind is Kind.DELIVERED
        assert StandardWebhook(one.url, [SECRET], private_hosts=LOOPBACK).send(_delivery(), 3).detail == "SSLError"
    assert len(one.requests) == 1


def test_a_receiver_that_drips_within_tls_is_cut_off_too(ca: Authority) -> None:
    with receiver(temper.drip, certificate=ca.issue().both_file) as one:
        output = StandardWebhook(one.url, [SECRET], private_hosts=LOOPBACK, ca_file=str(ca.ca_file))
        begun = time.monotonic()
        assert output.send(_delivery(), 1).kind is Kind.RETRY
        assert time.monotonic() - begun < 3
        assert one.requests


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as proxy, receiver() as one:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert _send(one).kind is Kind.DELIVERED
    assert proxy.connections == 0


@pytest.mark.parametrize(
    ("url", "secrets", "message"),
    [
        ("http://example.com/token-in-path", [SECRET], "only https"),
        ("ftp://example.com/token-in-path", [SECRET], "use https"),
        ("https:///token-in-path", [SECRET], "use https"),
        ("https://user:token-in-path@example.com/", [SECRET], "user-info"),
        ("https://example.com:port/token-in-path", [SECRET], "not a URL"),
        ("https://example.com/", [], "one secret, or two"),
        ("https://example.com/", [SECRET] * 3, "one secret, or two"),
        ("https://example.com/", ["token-in-path"], "whsec_ and base64"),
        ("https://example.com/", ["whsec_" + base64.b64encode(b"token-in-path").decode()], "24 to 64 bytes"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_without_secrets(url: str, secrets: list[str], message: str) -> None:
    with pytest.raises(SettingError, match=message) as error:
        StandardWebhook(url, secrets)
    text = str(error.value)
    assert "BACKWATCH_WEBHOOK_" in text
    assert "token-in-path" not in text
    assert "\n" not in text
    assert not any(one in text for one in secrets)


def test_neither_secret_nor_path_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for answer in (temper.OK, temper.status("500 Oops"), temper.reset):
        with receiver(answer) as one:
            output = StandardWebhook(one.url, [SECRET], private_hosts=LOOPBACK)
            outcome = output.send(_delivery(), 1)
            assert "path-token" not in outcome.detail + output.endpoint + repr(output)
    assert "path-token" not in caplog.text
    assert SECRET not in caplog.text
