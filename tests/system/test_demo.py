"""The demo as an operator starts it: its output, and that it leaves nothing behind."""

import base64
import contextlib
import io
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from backwatch.attack import history
from backwatch.attack.demo import setup
from backwatch.attack.demo.show import Show
from backwatch.attack.environment import clean_environment
from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.store.connect import open_store
from backwatch.store.queries import list_resources, rollup_series
from backwatch.store.transactions import reading
from tests.services.process import free_port
from tests.services.waiting import wait_until
from tests.system.commands import BACKWATCH, environment

WITHIN_S = 60
"""The demo's whole time, once kernels are compiled."""
RULES = (
    "local-file-request", "tls-stripped", "hostile-payload", "redirected", "certificate-changed", "query-attack",
    "bulk-read",
)  # fmt: skip
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
WITHOUT_NETWORK = """
import ctypes, fcntl, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(int(sys.argv[1])) == 0, os.strerror(ctypes.get_errno())
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
    fcntl.ioctl(trial, 0x8914, struct.pack("16sh14x", b"lo", 0x41))    # up and running: the only interface there is
    try:
        trial.connect(("192.0.2.1", 9))
    except OSError:
        os.execv(sys.argv[2], sys.argv[2:])
"""
MISNAMED = """
import dataclasses
from backwatch.attack.demo import demo
from backwatch.attack.demo.attacks import Services
from backwatch.collector.cli import main

services = Services.attacks
Services.attacks = lambda self, types: [dataclasses.replace(services(self, types)[0], rule="peer-changed")]
demo.CAUGHT_WITHIN_S = 3.0
main(["demo", "--once"], prog_name="backwatch")
"""
APP = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as connection:
    connection.execute("create table book (title text)")
    connection.execute("insert into book values (?)", ("a book",))
    assert connection.execute("select title from book").fetchall() == [("a book",)]
"""


@dataclass(frozen=True, slots=True)
class Marked:
    """A process whose children can all be found by a mark in their environment."""

    process: "subprocess.Popen[str]"
    mark: str
    temporary: Path

    def wait_for_output(self, words: str) -> str:
        """Return the output up to the line with these words."""
        assert self.process.stdout is not None
        output = ""
        while words not in output:
            line = self.process.stdout.readline()
            assert line, output
            output += line
        return output

    def alive(self) -> list[str]:
        """Return command lines of its live processes, zombies not counted."""
        found: list[str] = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and f"MARK={self.mark}".encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
        return found


@contextlib.contextmanager
def run_marked(folder: Path, *command: str, **settings: str) -> Generator[Marked]:
    mark, temporary = secrets.token_hex(8), folder / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        command, env=environment({**settings, "MARK": mark, "TMPDIR": str(temporary)}), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield Marked(process, mark, temporary)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module", autouse=True)
def _kernels_are_compiled() -> None:  # pyright: ignore[reportUnusedFunction]
    subprocess.run([sys.executable, "-m", "backwatch.detector.warm"], check=True, capture_output=True)


def without_network() -> list[str]:
    """Return a prefix for a command with loopback only; empty if the system does not permit it."""
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWNET | CLONE_NEWUSER
    command = [sys.executable, "-c", WITHOUT_NETWORK, str(flags)]
    return command if subprocess.run([*command, "/bin/true"], capture_output=True).returncode == 0 else []


@pytest.mark.heavy
def test_demo_catches_every_attack_offline_and_leaves_nothing_behind(tmp_path: Path) -> None:
    begun = time.monotonic()
    with run_marked(tmp_path, *without_network(), BACKWATCH, "demo", "--once") as demo:
        output, _ = demo.process.communicate(timeout=170)
        took_s = time.monotonic() - begun
        assert demo.process.returncode == 0, output
        assert re.search(r"^8 attacks caught, 0 missed, 0 false alerts, \d+ s$", output, re.MULTILINE), output
        assert all(output.count(rule) >= 2 for rule in RULES), output
        assert "\x1b" not in output
        assert max(map(len, output.splitlines())) <= 150
        assert took_s < WITHIN_S
        assert demo.alive() == []
        assert list(demo.temporary.iterdir()) == []


def test_namespace_has_no_network(tmp_path: Path) -> None:
    prefix = without_network()
    if prefix:
        dial = "import socket; socket.create_connection(('192.0.2.1', 9), 2)"
        done = subprocess.run([*prefix, sys.executable, "-c", dial], capture_output=True, text=True)
        assert "Network is unreachable" in done.stderr


@pytest.mark.slow
def test_an_attack_under_another_name_is_missed_and_a_false_alert(tmp_path: Path) -> None:
    with run_marked(tmp_path, sys.executable, "-c", MISNAMED) as demo:
        output, _ = demo.process.communicate(timeout=170)
        assert demo.process.returncode == 1, output
        assert "missed   peer-changed was expected on mysql" in output
        assert "false alert: local-file-request on mysql" in output
        assert "0 attacks caught, 1 missed, 1 false alert," in output
        assert list(demo.temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_ends_it_and_all_that_it_started(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with run_marked(tmp_path, BACKWATCH, "demo", "--once") as demo:
        wait_until(lambda: len(demo.alive()) >= 4, "detector, dashboard and shop run")
        demo.process.send_signal(number)
        output, _ = demo.process.communicate(timeout=60)
        assert demo.process.returncode == code, output
        assert "Traceback" not in output
        assert demo.alive() == []
        assert list(demo.temporary.iterdir()) == []


def test_no_child_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    with run_marked(tmp_path, BACKWATCH, "demo", "--once", PYTHONUNBUFFERED="1") as demo:
        demo.wait_for_output("dashboard: http")
        assert len(demo.alive()) >= 4, "detector, dashboard and shop run"
        demo.process.kill()
        demo.process.wait()
        wait_until(lambda: not demo.alive(), "all are gone", 30)


@pytest.mark.slow
def test_the_shop_at_work_raises_nothing_while_its_minutes_are_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Minutes are closed after three: here at once, or the test would see only single judged calls.
    monkeypatch.setattr(
        setup, "clean_environment", lambda: {**clean_environment(), "BACKWATCH_DETECTOR_LATENESS_S": "5"}
    )
    began_ns, until = time.time_ns(), time.monotonic() + 150
    with setup.open_demo(Show(Console(file=io.StringIO()))) as (performance, _):
        folder = performance._environment.folder
        store = open_store(f"sqlite:///{folder / 'store.db'}")

        def judged() -> int:
            """Return calls in closed minutes of the service that has the fewest."""
            end_ns = time.time_ns() + 60 * 10**9
            with reading(store) as connection:
                of = [rollup_series(connection, one.id, began_ns, end_ns) for one in list_resources(connection)]
            return min((sum(one.calls for one in minutes) for minutes in of), default=0)

        # The rest of the first minute and the speed of a round are unknown.
        while judged() < 60 and time.monotonic() < until:
            assert performance.quiet(rounds=20).false_alerts == []
        assert judged() >= 60, "too few calls of live minutes were judged"
        store.dispose()
        captured = history.capture_calls(StreamSettings(url=f"sqlite:///{folder / 'capture.db'}"))
        files = {
            one.value.string_value for _, _, span in captured for one in span.attributes if one.key == names.CODE_FILE
        }
        assert files == {"shop.py"}


# --- backwatch up ---


def settings_in(folder: Path) -> dict[str, str]:
    return {
        "BACKWATCH_STREAM_URL": f"sqlite:///{folder / 'stream.db'}",
        "BACKWATCH_STORE_URL": f"sqlite:///{folder / 'store.db'}",
        "BACKWATCH_DASHBOARD_PORT": str(free_port()),
        "BACKWATCH_WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/",
        "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
        "BACKWATCH_WEBHOOK_SECRET": "whsec_" + base64.b64encode(bytes(range(32))).decode(),
    }


def test_up_shows_an_observed_app_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with run_marked(tmp_path, BACKWATCH, "up", **settings, PYTHONUNBUFFERED="1") as up:
        output = up.wait_for_output("backwatch run")
        assert f"http://127.0.0.1:{settings['BACKWATCH_DASHBOARD_PORT']}" in output
        assert settings["BACKWATCH_STORE_URL"] in output
        assert any("notify" in one for one in up.alive())
        done = subprocess.run(
            [BACKWATCH, "run", "--", sys.executable, "-c", APP, str(tmp_path / "books.db")],
            env=environment({**settings, "OTEL_SERVICE_NAME": "books"}), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        store = open_store(settings["BACKWATCH_STORE_URL"])

        def seen() -> bool:
            with reading(store) as connection:
                return ("books", "sqlite") in {(one.app, one.system) for one in list_resources(connection)}

        wait_until(seen, "the app's resource is in the store")
        store.dispose()
        up.process.send_signal(signal.SIGINT)
        rest, _ = up.process.communicate(timeout=60)
        assert up.process.returncode == 130, rest
        assert "Traceback" not in rest
        assert up.alive() == []
        assert list(up.temporary.iterdir()) == []


def test_up_reports_a_port_in_use_in_one_line(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with socket.create_server(("127.0.0.1", int(settings["BACKWATCH_DASHBOARD_PORT"]))):
        done = subprocess.run([BACKWATCH, "up"], env=environment(settings), capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert f"BACKWATCH_DASHBOARD_PORT={settings['BACKWATCH_DASHBOARD_PORT']}" in done.stderr
    assert "in use" in done.stderr
