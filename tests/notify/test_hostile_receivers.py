"""Receivers that an attacker controls: they harm no other endpoint, and are reported."""

import contextlib
import socket
import time
import tracemalloc
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from backwatch.notify.outputs import Delivery, Kind
from backwatch.notify.outputs.standard_webhook import StandardWebhook
from backwatch.notify.service import NotifyService
from backwatch.store.events import event_id
from backwatch.store.monitoring.incidents import CRITICAL_UNSENT, find_delivery_incidents
from backwatch.store.transactions import reading
from tests.notify.conftest import SECRET, Clock
from tests.services.commits import Owner, alert_id, make_raised
from tests.services.http import receiver as temper
from tests.services.http.receiver import Receiver, receiver
from tests.services.in_thread import run_in_thread
from tests.services.waiting import wait_until

Serving = Callable[..., NotifyService]
URGENT_S = 5.0


def drip_each_second(connection: socket.socket, one: Receiver) -> None:
    """A temper: accepts, then sends a byte of a body each second."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not one.stop.wait(1):
        connection.sendall(b"x")


def drip_head_each_second(connection: socket.socket, one: Receiver) -> None:
    """A temper: accepts, then sends a byte of the head each second."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X" * 1_000:
        if one.stop.wait(1):
            break
        connection.sendall(bytes([byte]))


def continue_for_ever(connection: socket.socket, one: Receiver) -> None:
    """A temper: an interim answer after the other."""
    while not one.stop.is_set():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def megabyte_of_headers(connection: socket.socket, _one: Receiver) -> None:
    """A temper: 99 headers of ten kilobytes, then the end of the head."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(99):
        connection.sendall(f"X-{number}: ".encode() + b"x" * 10_600 + b"\r\n")
    connection.sendall(b"\r\n")


def headers(lines: list[bytes]) -> Callable[[socket.socket, Receiver], None]:
    """A temper: success, with these headers."""
    head = b"".join(line + b"\r\n" for line in (b"HTTP/1.1 200 OK", *lines, b""))
    return lambda connection, _: connection.sendall(head)


def close_in_the_head(connection: socket.socket, _one: Receiver) -> None:
    """A temper: half a head, then an orderly end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


HOSTILE = (
    temper.stall, drip_each_second, drip_head_each_second, temper.drip_body, temper.huge, temper.status("500 Oops"),
    close_in_the_head, megabyte_of_headers, continue_for_ever,
)  # fmt: skip


def test_nine_hostile_receivers_delay_no_critical_alert_of_the_tenth(store: sa.Engine, serving: Serving) -> None:
    owner = Owner(store)
    with contextlib.ExitStack() as stack:
        hostile = [stack.enter_context(receiver(answer)) for answer in HOSTILE[:-1]]
        good = stack.enter_context(receiver())
        elsewhere = temper.status("307 There", f"Location: {good.url}")
        hostile.append(stack.enter_context(receiver(elsewhere)))
        service = serving(*hostile, good, clock_ns=time.time_ns, timeout_s=4)
        owner.commit(*(make_raised(f"low {number}", level="low") for number in range(100)), now_ns=time.time_ns())
        stack.enter_context(run_in_thread(service.run))
        wait_until(lambda: all(one.requests for one in (*hostile, good)), within_s=60)
        for number in range(12):
            key = f"urgent {number}"
            owner.commit(make_raised(key, level="critical"), now_ns=time.time_ns())
            expected = event_id(alert_id("unusual-query", key), 1, 1_000, "alert.opened")
            wait_until(lambda: expected in good.ids, within_s=URGENT_S)  # noqa: B023  it is waited for here
        assert {request.headers["host"] for request in good.requests} == {f"127.0.0.1:{good.port}"}


def test_receiver_that_asks_for_a_day_is_reported_after_ten_minutes(
    store: sa.Engine, serving: Serving, clock: Clock
) -> None:
    def kinds() -> list[str]:
        with reading(store) as connection:
            return [found.kind for found in find_delivery_incidents(connection, {endpoint: 2.0}, clock())]

    with receiver(temper.status("429 Slow", "Retry-After: 86400")) as one:
        service = serving(one, clock_ns=clock)
        endpoint = service.workers[0].output.endpoint
        Owner(store).commit(make_raised(level="critical"), now_ns=clock())
        found: list[list[str]] = []
        for seconds in (0, 300, 301):
            clock.pass_s(seconds)
            service.run_once()
            found.append(kinds())
    assert found == [[], [], [CRITICAL_UNSENT]]
    assert len(one.requests) == 1


@pytest.mark.parametrize(
    "line",
    [b"Set-Cookie: " + b"a;" * 32_000, b"X: " + b"\r" * 64_000, b"Content-Type: " + b'a;b="' * 12_000],
    ids=["cookies", "returns", "types"],
)
def test_head_of_megabytes_costs_no_cpu_and_no_memory(line: bytes) -> None:
    with receiver(headers([line] * 98)) as one:
        output = StandardWebhook(one.url, [SECRET], private_hosts=["127.0.0.1"])
        tracemalloc.start()
        begin_s = time.thread_time()
        outcome = output.send(Delivery(id="e" * 32, body=b"{}", attempted_ns=time.time_ns()), 5.0)
        took_s = time.thread_time() - begin_s
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (outcome.kind, outcome.detail) == (Kind.RETRY, "ConnectionError")
    assert took_s < 0.3
    assert most_bytes < 4 << 20


def test_head_that_cannot_be_parsed_logs_neither_its_text_nor_the_path(caplog: pytest.LogCaptureFixture) -> None:
    lines = [b"X: \r\r\rattackers-text", b"no header at all", b": attackers-text"]
    with caplog.at_level("WARNING"), receiver(headers(lines)) as one:
        output = StandardWebhook(one.url, [SECRET], private_hosts=["127.0.0.1"])
        outcome = output.send(Delivery(id="e" * 32, body=b"{}", attempted_ns=time.time_ns()), 5.0)
    assert outcome.kind is Kind.DELIVERED
    assert caplog.text == ""


def test_head_of_ordinary_length_is_read() -> None:
    lines = [f"X-{number}: ".encode() + b"x" * 600 for number in range(90)]
    with receiver(headers(lines)) as one:
        output = StandardWebhook(one.url, [SECRET], private_hosts=["127.0.0.1"])
        outcome = output.send(Delivery(id="e" * 32, body=b"{}", attempted_ns=time.time_ns()), 5.0)
    assert outcome.kind is Kind.DELIVERED


@pytest.mark.parametrize("last_one_answers", [False, True])
def test_host_with_dead_addresses_has_one_deadline_for_all(
    monkeypatch: pytest.MonkeyPatch, *, last_one_answers: bool
) -> None:
    silent = list[socket.socket]()
    addresses = [f"127.0.0.{number}" for number in range(2, 8)]
    with receiver() as one:
        for address in addresses:  # a full backlog: the kernel answers no further connection
            listener = socket.create_server((address, one.port), backlog=0)
            filling = [socket.socket() for _ in range(3)]
            for filler in filling:
                filler.setblocking(False)
                filler.connect_ex((address, one.port))
            silent += [listener, *filling]
        if last_one_answers:
            addresses.append("127.0.0.1")
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, one.port)) for address in addresses]
        really = socket.getaddrinfo

        def look_up(host: str, *arguments: object, **named: object) -> object:
            return found if host == "many.example" else really(host, *arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        output = StandardWebhook(f"http://many.example:{one.port}/", [SECRET], private_hosts=["many.example"])
        begin_s = time.monotonic()
        outcome = output.send(Delivery(id="e" * 32, body=b"{}", attempted_ns=time.time_ns()), 2.0)
        assert time.monotonic() - begin_s < 5
        for opened in silent:
            opened.close()
    assert outcome.kind is (Kind.DELIVERED if last_one_answers else Kind.RETRY)


@pytest.mark.parametrize("answer", HOSTILE, ids=lambda one: getattr(one, "__name__", "500"))
def test_no_answer_holds_an_attempt_beyond_its_timeout(answer: Callable[[socket.socket, Receiver], None]) -> None:
    with receiver(answer) as one:
        output = StandardWebhook(one.url, [SECRET], private_hosts=["127.0.0.1"])
        begin_s = time.monotonic()
        outcome = output.send(Delivery(id="e" * 32, body=b"{}", attempted_ns=time.time_ns()), 1.5)
        assert time.monotonic() - begin_s < 4
    assert outcome.kind in (Kind.RETRY, Kind.DELIVERED)
    assert len(outcome.detail) < 100
