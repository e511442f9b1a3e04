"""The monitoring endpoint over a real socket: what it answers, and that no client or store holds it up."""

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import requests
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import DBAPIError

from backwatch.collector.settings import SettingError
from backwatch.store import deliveries
from backwatch.store.connect import StoreUnavailable
from backwatch.store.monitoring import server as serving
from backwatch.store.monitoring.endpoint import detector_check, start_monitoring
from backwatch.store.monitoring.loops import LoopMonitor, MonitoredStop
from backwatch.store.monitoring.server import MonitoringServer, Response, StoreAnswer
from backwatch.store.progress import PartitionProgress, write_progress
from tests.services.commits import Owner, make_raised
from tests.services.process import free_port
from tests.store.test_postgresql_failures import backend, stop

HOSTILE = 'evil"} 1\nbackwatch_alerts{level="low'


class Endpoint:
    """A monitored process: its port, its loop and whether its store answers."""

    def __init__(self, store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.port = free_port()
        self.loop = LoopMonitor("detector")
        self.store = store
        self.is_away = False
        monkeypatch.setenv("BACKWATCH_MONITORING_PORT", str(self.port))
        server = start_monitoring("detector", self.open, (self.loop,), detector_check)
        assert server is not None
        self.server = server

    def open(self) -> sa.Engine:
        if self.is_away:
            raise StoreUnavailable("away")
        return self.store

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=20)


@pytest.fixture
def endpoint(store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    one = Endpoint(store, monkeypatch)
    yield one
    one.server.close()


@pytest.fixture
def answers() -> Iterator[tuple[int, threading.Event]]:
    """A bare server with one answer that takes no time and one that waits for an event; its port and the event."""
    port, release = free_port(), threading.Event()

    def wait() -> Response:
        release.wait(30)
        return Response(status=200, body=b"at last\n")

    def fail() -> Response:
        raise ValueError("a secret")

    quick = {"/healthz": lambda: Response(status=200, body=b"ok\n")}
    slow = {path: StoreAnswer(answer, lambda: Response(status=503, body=b"no reply\n"))
            for path, answer in (("/slow", wait), ("/bad", fail))}  # fmt: skip
    server = MonitoringServer(socket.create_server(("127.0.0.1", port)), quick, slow)
    server.start()
    yield port, release
    release.set()
    server.close()


def progress(lag: int = 0, still_s: float = 0, topic: str = "backwatch_calls", **more: str) -> PartitionProgress:
    now_ns = time.time_ns()
    return PartitionProgress(
        consumer_group="backwatch-detector", topic=topic, partition_id=3, next_offset=7, end_offset=7 + lag,
        advanced_ns=now_ns - int(still_s * 1e9), updated_ns=now_ns, member="host:1", **more,
    )  # fmt: skip


def sample(text: str, name: str, **labels: str) -> float:
    [value] = [
        one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name == name and one.labels == labels
    ]
    return value


def test_it_is_off_unless_a_port_is_set(store: sa.Engine) -> None:
    assert start_monitoring("detector", lambda: store, ()) is None


def test_a_loop_that_stands_still_is_not_alive(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint.loop.turn()
    assert (endpoint.get("/healthz").status_code, endpoint.get("/healthz").text) == (200, "ok\n")
    monkeypatch.setattr(endpoint.loop, "_clock_s", lambda: time.monotonic() + 121)
    answer = endpoint.get("/healthz")
    assert answer.status_code == 503
    assert re.fullmatch(r"the loop of the detector has not turned for 12[12] s\n", answer.text)


def test_it_is_ready_once_its_loop_turns_and_every_partition_advances(endpoint: Endpoint) -> None:
    assert "the loop of the detector has not begun\n" in endpoint.get("/readyz").text
    endpoint.loop.turn()
    write_progress(endpoint.store, [progress()])
    time.sleep(serving.KEPT_S)
    assert (endpoint.get("/readyz").status_code, endpoint.get("/readyz").text) == (200, "ok\n")
    write_progress(endpoint.store, [progress(lag=5, still_s=90)])
    time.sleep(serving.KEPT_S)
    answer = endpoint.get("/readyz")
    assert answer.status_code == 503
    assert answer.text.startswith("Partition 3 of backwatch_calls has not advanced since ")


def test_without_a_store_it_is_alive_unready_and_has_figures(endpoint: Endpoint) -> None:
    endpoint.loop.turn()
    endpoint.is_away = True
    assert endpoint.get("/healthz").status_code == 200
    assert endpoint.get("/readyz").text == "the store does not answer (StoreUnavailable)\n"
    text = endpoint.get("/metrics").text
    assert sample(text, "backwatch_store_up") == 0
    assert sample(text, "process_resident_memory_bytes") > 1e6


def test_figures_show_lag_commits_alerts_losses_and_deliveries(endpoint: Endpoint) -> None:
    owner = Owner(endpoint.store)
    owner.commit(
        make_raised(level="critical"), now_ns=time.time_ns(), counters={"calls": 9}, losses={"gap": 2, HOSTILE: 1}
    )
    write_progress(endpoint.store, [progress(lag=120)])
    deliveries.register(endpoint.store, "standard_webhook a.example 0a", 0)
    deliveries.route(endpoint.store, lambda _: {"standard_webhook a.example 0a": b"{}"}, now_ns=time.time_ns())
    answer = endpoint.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    text = answer.text
    labels = {"group": "backwatch-detector", "topic": "backwatch_calls", "partition": "3"}
    assert sample(text, "backwatch_partition_lag_records", **labels) == 120
    assert sample(text, "backwatch_shard_commits_total", shard="0") == 1
    assert sample(text, "backwatch_judged_total", kind="calls") == 9
    assert sample(text, "backwatch_losses_total", kind="gap") == 2
    assert sample(text, "backwatch_alerts", state="open", level="critical") == 1
    assert sample(text, "backwatch_deliveries", endpoint="standard_webhook a.example 0a", state="pending") == 1
    assert sample(text, "backwatch_incidents", kind="partition-stalled") == 0
    assert sample(text, "backwatch_store_up") == 1


def test_no_text_of_an_attacker_is_in_a_figure(endpoint: Endpoint) -> None:
    owner = Owner(endpoint.store)
    owner.commit(make_raised(HOSTILE, app=HOSTILE, resource=HOSTILE), now_ns=time.time_ns(), losses={HOSTILE: 1})
    write_progress(endpoint.store, [progress(lag=5, reason=HOSTILE)])
    text = endpoint.get("/metrics").text
    assert "evil" not in text
    assert sample(text, "backwatch_losses_total", kind="other") == 1


def test_errors_of_the_store_are_counted(endpoint: Endpoint) -> None:
    endpoint.get("/metrics")
    with endpoint.store.connect() as connection, pytest.raises(DBAPIError):
        connection.exec_driver_sql("select no_such_column from shard")
    time.sleep(serving.KEPT_S)
    assert sample(endpoint.get("/metrics").text, "backwatch_store_errors_total") == 1


def test_a_taken_port_is_one_line_with_setting_and_value(endpoint: Endpoint) -> None:
    expected = f"BACKWATCH_MONITORING_PORT={endpoint.port}: cannot listen on 127.0.0.1: Address already in use"
    with pytest.raises(SettingError, match=re.escape(expected)):
        start_monitoring("detector", endpoint.open, ())


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /nowhere HTTP/1.1", 404), ("POST /healthz HTTP/1.1", 405), ("HEAD /healthz HTTP/1.1", 200),
        ("GET /healthz?x=1 HTTP/1.0", 200), ("GET http://x/healthz HTTP/1.1", 404), ("\x16\x03\x01", 400),
        ("GET /healthz", 400), ("GET /../healthz HTTP/1.1", 404),
    ],
)  # fmt: skip
def test_every_request_gets_its_status(answers: tuple[int, threading.Event], request_line: str, status: int) -> None:
    assert ask(answers[0], f"{request_line}\r\nHost: x\r\n\r\n".encode("latin-1")) == status


def ask(port: int, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        return int(connection.recv(100).split(b" ")[1])


def test_a_request_without_end_is_refused(answers: tuple[int, threading.Event]) -> None:
    assert ask(answers[0], b"GET /healthz HTTP/1.1\r\n" + b"x" * 5_000) == 431


def drip(connection: socket.socket) -> None:
    """Send a byte at a time, for longer than a request may take."""
    for _ in range(int(serving.DEADLINE_S * 3 / 0.15)):
        connection.sendall(b"E")
        time.sleep(0.15)


def test_dripping_clients_delay_no_other_and_are_closed(answers: tuple[int, threading.Event]) -> None:
    port, _ = answers
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(serving.MAX_CONNECTIONS * 2)]
    for connection in slow[-serving.MAX_CONNECTIONS + 1 :]:
        connection.sendall(b"G")
    began_s = time.monotonic()
    assert ask(port, b"GET /healthz HTTP/1.1\r\n\r\n") == 200
    assert time.monotonic() - began_s < 2
    slow[-1].settimeout(serving.DEADLINE_S * 3)
    with pytest.raises(ConnectionError):
        drip(slow[-1])
    for connection in slow:
        connection.close()


def test_a_store_that_hangs_delays_only_what_asks_it(answers: tuple[int, threading.Event]) -> None:
    port, release = answers
    slow = [threading.Thread(target=ask, args=(port, b"GET /slow HTTP/1.1\r\n\r\n")) for _ in range(5)]
    for thread in slow:
        thread.start()
    began_s = time.monotonic()
    assert ask(port, b"GET /healthz HTTP/1.1\r\n\r\n") == 200
    assert time.monotonic() - began_s < 2
    assert ask(port, b"GET /slow HTTP/1.1\r\n\r\n") == 503
    release.set()
    for thread in slow:
        thread.join(20)
    assert ask(port, b"GET /slow HTTP/1.1\r\n\r\n") == 200


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_frozen_store_is_no_wait_and_no_pile_of_threads(endpoint: Endpoint) -> None:
    endpoint.loop.turn()
    write_progress(endpoint.store, [progress()])
    assert endpoint.get("/readyz").status_code == 200
    with stop(backend(endpoint.store)):
        time.sleep(serving.KEPT_S)
        threads = threading.active_count()
        assert get_timed(endpoint, "/readyz", 2) == (503, "the store does not answer (no reply yet)\n")
        for _ in range(40):
            assert get_timed(endpoint, "/healthz", 0.5) == (200, "ok\n")
            assert get_timed(endpoint, "/readyz", 0.5)[0] == 503
            status, text = get_timed(endpoint, "/metrics", 0.5)
            assert (status, sample(text, "backwatch_store_up")) == (200, 0)
            assert sample(text, "process_resident_memory_bytes") > 1e6
        assert threading.active_count() == threads
    deadline_s = time.monotonic() + 30
    while endpoint.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    assert sample(endpoint.get("/metrics").text, "backwatch_store_up") == 1


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_first_scrape_of_a_frozen_store_has_the_figures_of_the_process(endpoint: Endpoint) -> None:
    with stop(backend(endpoint.store)):
        status, text = get_timed(endpoint, "/metrics", 2)
    assert (status, sample(text, "backwatch_store_up")) == (200, 0)


def get_timed(endpoint: Endpoint, path: str, within_s: float) -> tuple[int, str]:
    """The answer, which must come within so long; asked a second time where only this machine was slow."""
    for last in (False, True):
        begin_s = time.monotonic()
        answer = endpoint.get(path)
        took_s = time.monotonic() - begin_s
        if took_s < within_s:
            return answer.status_code, answer.text
        assert not last, took_s
    raise AssertionError


def test_answer_that_takes_its_time_is_waited_for_once_that_is_known() -> None:
    port, begun = free_port(), list[float]()

    def compute() -> Response:
        begun.append(time.monotonic())
        time.sleep(serving.STORE_WAIT_S * 1.5)
        return Response(status=200, body=b"much\n")

    slow = {"/slow": StoreAnswer(compute, lambda: Response(status=503, body=b"no reply\n"))}
    server = MonitoringServer(socket.create_server(("127.0.0.1", port)), {}, slow)
    server.start()
    assert ask(port, b"GET /slow HTTP/1.1\r\n\r\n") == 503
    time.sleep(serving.STORE_WAIT_S + serving.KEPT_S)
    assert ask(port, b"GET /slow HTTP/1.1\r\n\r\n") == 200
    assert len(begun) == 2
    server.close()


def test_a_fault_in_an_answer_shows_its_kind_alone(answers: tuple[int, threading.Event]) -> None:
    answer = requests.get(f"http://127.0.0.1:{answers[0]}/bad", timeout=20)
    assert (answer.status_code, answer.text) == (500, "ValueError\n")


def test_only_the_loops_own_thread_counts_as_a_turn() -> None:
    stop, loop = threading.Event(), LoopMonitor("a loop")
    watched = MonitoredStop(stop, loop, threading.current_thread())
    assert not watched.is_set()
    other = threading.Thread(target=watched.is_set)
    other.start()
    other.join()
    assert loop.turns == 1
    watched.set()
    assert stop.is_set()
    assert watched.wait(0)


EXHAUSTED = """
import os, resource, socket, time
from backwatch.store.monitoring.server import MonitoringServer, Response

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
listening = socket.create_server(("127.0.0.1", 0))
client = socket.socket()
server = MonitoringServer(listening, {"/healthz": lambda: Response(status=200, body=b"ok")}, {})
server.start()
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
client.connect(listening.getsockname())
client.sendall(b"GET /healthz HTTP/1.1\\r\\n\\r\\n")
begin_s = time.process_time()
time.sleep(2)
print(time.process_time() - begin_s)
for one in taken:
    os.close(one)
client.settimeout(20)
print(client.recv(15).decode())
"""


def test_a_process_without_file_descriptors_left_rests_between_connections() -> None:
    done = subprocess.run([sys.executable, "-c", EXHAUSTED], capture_output=True, text=True, timeout=60, check=True)
    cpu_s, answer = done.stdout.splitlines()
    assert float(cpu_s) < 0.5
    assert answer == "HTTP/1.1 200 OK"
