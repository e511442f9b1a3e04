"""Processes of real apps that fall silent are named within a minute, and orderly ends are not.

Heartbeats come each second here, so that silence is known after three. By default they come every 15 s: a process is
silent after 45 s without one, is judged at the next ten seconds and committed within one more: 56 s at most.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.services.process import free_port
from tests.services.waiting import wait_until
from tests.system.commands import BACKWATCH, environment, run_in_background

NAMED_S = 60.0
LOOP = """
import signal, sqlite3, sys, time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
connection = sqlite3.connect(sys.argv[1])
while True:
    connection.execute("SELECT 1").fetchall()
    time.sleep(0.05)
"""
WEB = """
import os, sqlite3, time

connection = sqlite3.connect(":memory:", check_same_thread=False)
connection.execute("SELECT 1")

def application(environ, start_response):
    connection.execute("SELECT 2").fetchall()
    time.sleep(0.05)  # so that others are asked meanwhile
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""
CONFIGURATION = """
import threading

def post_fork(server, worker):
    if worker.age == 1:
        from backwatch.collector.pipeline.worker import Worker
        Worker._turn = lambda self: threading.Event().wait()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("silence")


@pytest.fixture(scope="module")
def settings(folder: Path) -> dict[str, str]:
    return {
        "BACKWATCH_STREAM_URL": f"sqlite:///{folder / 'stream.db'}",
        "BACKWATCH_STORE_URL": f"sqlite:///{folder / 'store.db'}", "BACKWATCH_COLLECTOR_HEARTBEAT_S": "1",
        "BACKWATCH_STREAM_PARTITIONS": "1",
    }  # fmt: skip


@pytest.fixture(scope="module")
def store(folder: Path, settings: dict[str, str]) -> Iterator[sa.Engine]:
    """The store of a running detector."""
    with run_in_background(folder, "detect", **settings) as detector:
        detector.until(lambda: "detecting" in detector.output(), "it does not detect", 180)
        engine = open_store(settings["BACKWATCH_STORE_URL"])
        yield engine
        engine.dispose()


def list_rows(store: sa.Engine, table: sa.Table, **where: Any) -> list[Any]:
    query = sa.select(table).where(*(table.c[name] == value for name, value in where.items()))
    with reading(store) as connection:
        return list(connection.execute(query).mappings())


@contextlib.contextmanager
def run_loop(folder: Path, settings: dict[str, str], app: str) -> Generator["subprocess.Popen[bytes]"]:
    """Return a script that makes calls until it is ended."""
    script = folder / "loop.py"
    script.write_text(LOOP)
    process = subprocess.Popen(
        [BACKWATCH, "run", "--", sys.executable, str(script), str(folder / f"{app}.db")],
        env=environment(settings | {"BACKWATCH_APP": app}),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_established(store: sa.Engine, app: str) -> None:
    """Wait until a process of the app has been heard for long enough to be missed."""
    wait_until(lambda: list_rows(store, tables.process, app=app), f"{app} is not heard")
    time.sleep(4)  # four heartbeats; the store is updated each minute


def test_killed_and_stopped_processes_are_named_and_orderly_ends_are_not(
    folder: Path, settings: dict[str, str], store: sa.Engine
) -> None:
    with contextlib.ExitStack() as stack:
        apps = ("killed", "stopped", "ends")
        killed, stopped, ends = (stack.enter_context(run_loop(folder, settings, app)) for app in apps)
        for app in apps:
            wait_until_established(store, app)
        killed.kill()
        stopped.send_signal(signal.SIGSTOP)
        ends.terminate()
        silent_ns = time.time_ns()
        for app, process in (("killed", killed), ("stopped", stopped)):
            [alert] = wait_until(
                lambda app=app: list_rows(store, tables.alert, app=app, rule="watch-lost"),
                f"{app} is not named",
                NAMED_S,
            )
            evidence = json.loads(alert["evidence"])
            assert evidence.items() >= {names.PROCESS_PID: process.pid, "backwatch.watch.lost": "silent"}.items()
            assert 0 < silent_ns - evidence["backwatch.process.heard_ns"] < 30 * 10**9
            assert evidence[names.PROCESS_RECORDED] > 0
            assert evidence[names.HOST_NAME]
        wait_until(lambda: list_rows(store, tables.process, app="ends", state="ended"), "no farewell")
        stopped.send_signal(signal.SIGCONT)
        wait_until(lambda: not list_rows(store, tables.alert, app="stopped", raised=True), "it does not clear")
        assert ends.wait(20) == 0
        assert list_rows(store, tables.alert, app="ends") == []


def get(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return int(answer.read())


@pytest.mark.slow
def test_worker_made_silent_on_purpose_is_named_by_its_sibling(
    folder: Path, settings: dict[str, str], store: sa.Engine
) -> None:
    (folder / "web.py").write_text(WEB)
    (folder / "conf.py").write_text(CONFIGURATION)
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--preload",
        "-w",
        "3",
        "-c",
        "conf.py",
        "-b",
        f"127.0.0.1:{port}",
        "web:application",
    ]
    process = subprocess.Popen(
        [BACKWATCH, "run", "--", *command], cwd=folder, env=environment(settings | {"BACKWATCH_APP": "web"}),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:

        def answered() -> bool:
            with ThreadPoolExecutor(8) as pool, contextlib.suppress(OSError):
                asked.update(pool.map(get, [port] * 16))
            return len(asked) == 3

        asked: set[int] = set()
        wait_until(answered, "not all workers answer")
        [alert] = wait_until(
            lambda: list_rows(store, tables.alert, app="web", rule="watch-lost"), "the worker is not named", NAMED_S
        )
        evidence = json.loads(alert["evidence"])
        silent = evidence[names.PROCESS_PID]
        assert (evidence["backwatch.watch.lost"], silent in asked) == ("undelivered", True)
        os.kill(min(asked - {silent}), signal.SIGKILL)
        wait_until(lambda: list_rows(store, tables.alert, app="web", rule="process-ended"), "its end was not seen")
        process.terminate()
        process.wait(30)
        assert len(list_rows(store, tables.alert, app="web", rule="watch-lost")) == 1
        assert len(list_rows(store, tables.alert, app="web")) == 2
    finally:
        process.kill()
        process.wait()
