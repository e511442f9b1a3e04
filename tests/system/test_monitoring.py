"""The real processes report on themselves: over HTTP, and to the receiver of alerts if the detector is dead."""

import contextlib
import json
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.progress import PartitionProgress, write_progress
from tests.notify.conftest import SECRET
from tests.services.http.receiver import Receiver, receiver
from tests.services.process import free_port
from tests.system.commands import Running, run_in_background


def until(one: Running, check: Callable[[], bool], what: str) -> None:
    def found() -> bool:
        with contextlib.suppress(requests.RequestException):
            return check()
        return False

    one.until(found, what)


def status(port: int, path: str) -> int:
    return requests.get(f"http://127.0.0.1:{port}{path}", timeout=10).status_code


def figure(port: int, name: str) -> dict[tuple[str, ...], float]:
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    return {
        tuple(one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name == name
    }


@contextlib.contextmanager
def run_monitored(folder: Path, *arguments: str, **settings: str) -> Generator[tuple[Running, int]]:
    port = free_port()
    own = {
        "BACKWATCH_STREAM_URL": f"sqlite:///{folder}/stream.db", "BACKWATCH_STORE_URL": f"sqlite:///{folder}/store.db",
        "BACKWATCH_MONITORING_PORT": str(port), **settings,
    }  # fmt: skip
    with run_in_background(folder, *arguments, **own) as one:
        until(one, lambda: status(port, "/readyz") == 200, "not ready")
        yield one, port


def report(folder: Path, silent_s: float = 0) -> None:
    now_ns = time.time_ns() - int(silent_s * 1e9)
    row = PartitionProgress(
        consumer_group="backwatch-detector", topic="backwatch_calls", partition_id=0, next_offset=9, end_offset=9,
        advanced_ns=now_ns, updated_ns=now_ns, member="host:1",
    )  # fmt: skip
    store = open_store(f"sqlite:///{folder}/store.db", check=False)
    upgrade(store)
    write_progress(store, [row])
    store.dispose()


def test_detect_reports_both_loops_and_leaves_at_once(tmp_path: Path) -> None:
    with run_monitored(tmp_path, "detect") as (detect, port):
        assert status(port, "/healthz") == 200
        before = figure(port, "backwatch_loop_turns_total")
        assert before.keys() == {("detector",), ("router",)}

        def all_turn() -> bool:
            after = figure(port, "backwatch_loop_turns_total")
            return all(after[name] > before[name] for name in before)

        until(detect, all_turn, "a loop does not turn")
        assert figure(port, "backwatch_store_up") == {(): 1}
        assert ("detector",) in {key[:1] for key in figure(port, "backwatch_build_info")}
        detect.process.send_signal(signal.SIGTERM)
        assert detect.process.wait(20) == 143
        with pytest.raises(requests.ConnectionError):
            status(port, "/healthz")


def test_the_dashboard_reports_on_a_port_of_its_own(tmp_path: Path) -> None:
    report(tmp_path)
    own = str(free_port())
    with run_monitored(tmp_path, "dashboard", BACKWATCH_DASHBOARD_PORT=own) as (_, port):
        assert (status(port, "/healthz"), status(int(own), "/healthz"), status(int(own), "/metrics")) == (200, 200, 404)
        assert figure(port, "backwatch_loop_turns_total")["dashboard",] > 0


def configure_webhook(one: Receiver) -> dict[str, str]:
    return {
        "BACKWATCH_WEBHOOK_URL": one.url, "BACKWATCH_WEBHOOK_SECRET": SECRET,
        "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1", "BACKWATCH_NOTIFY_HEARTBEAT_S": "1",
    }  # fmt: skip


def types(one: Receiver) -> list[str]:
    return [json.loads(request.body)["type"] for request in one.requests]


def test_notify_sends_heartbeats_while_the_detector_works(tmp_path: Path) -> None:
    report(tmp_path)
    with receiver() as one, run_monitored(tmp_path, "notify", **configure_webhook(one)) as (notify, port):
        until(notify, lambda: types(one).count("backwatch.heartbeat") >= 3, "no heartbeats")
        assert set(types(one)) == {"backwatch.heartbeat"}
        assert figure(port, "backwatch_loop_turns_total")["self-watch",] > 0


def test_notify_that_starts_with_a_dead_detector_withholds_the_heartbeat_at_once(tmp_path: Path) -> None:
    report(tmp_path, silent_s=90)
    with receiver() as one, run_monitored(tmp_path, "notify", **configure_webhook(one)) as (notify, port):
        notify.wait_for_output("no heartbeat is sent: The detector has not reported since")
        assert figure(port, "backwatch_incidents")["detector-silent",] == 1
        time.sleep(1)
        assert types(one) == []  # the event comes after a minute, for the detector may be about to start
