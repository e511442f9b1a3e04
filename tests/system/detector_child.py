"""A detector that is killed on purpose: forked from a warm process, so that a hundred kills take seconds.

``python -m tests.system.detector_child STREAM STORE PLAN`` with PLAN a JSON list: each item starts one detector,
``{"statement": n}`` kills it with
SIGKILL just before the n-th statement of a commit, ``{"after_s": s}`` after that time, ``{}`` lets it finish. Prints
how each one ended.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from backwatch.collector.settings import DetectorSettings, StreamSettings
from backwatch.detector import warm
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime.service import DetectorService, engine_for
from backwatch.store.connect import open_store
from backwatch.store.queries import shard_rows
from backwatch.store.transactions import reading

SETTINGS = DetectorSettings(commit_interval_s=0.02, commit_calls=60, poll_records=2, clear_after_s=3_600)


def main() -> None:
    """Follow the plan."""
    stream, store_url, plan = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    expected = int(sys.argv[4])
    with contextlib.redirect_stdout(sys.stderr):
        warm.main()  # every child inherits compiled kernels
    store = open_store(store_url)
    engine = engine_for(store, SETTINGS)
    store.dispose()
    print(json.dumps([_fork(stream, store_url, one, expected, engine) for one in plan]))


def _fork(stream: str, store_url: str, orders: dict[str, Any], expected: int, engine: Engine) -> str:
    child = os.fork()
    if child == 0:
        try:
            _detect(stream, store_url, orders, expected, engine)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001  the parent must hear of it
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(3)
    if "after_s" in orders:
        time.sleep(orders["after_s"])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}"


def _detect(stream: str, store_url: str, orders: dict[str, Any], expected: int, engine: Engine) -> None:
    store = open_store(store_url, check=False)
    if "statement" in orders:
        _kill_at(store, orders["statement"])
    stop = threading.Event()
    threading.Thread(target=_stop_at_the_end, args=(store_url, expected, stop), daemon=True).start()
    DetectorService(StreamSettings(url=stream, partitions=1), store, SETTINGS, engine=engine).run(stop)


def _stop_at_the_end(store_url: str, expected: int, stop: threading.Event) -> None:
    store = open_store(store_url, check=False)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with reading(store) as connection:
            rows = shard_rows(connection)
        # The tick at the log's end has been committed too, or open windows would differ.
        if rows and rows[0].next_offset >= expected and rows[0].watermark_ns > time.time_ns() - 600 * 10**9:
            break
        time.sleep(0.05)
    stop.set()


def _kill_at(store: sa.Engine, statement: int) -> None:
    """Die just before the n-th statement of the first commit that has so many; with 0 before the COMMIT."""
    seen = {"statements": 0}

    @event.listens_for(store, "before_cursor_execute")
    def _(_connection: sa.Connection, _cursor: object, text: str, *_rest: object) -> None:
        if text.startswith("UPDATE backwatch_shard SET"):
            seen["statements"] = 1
        elif seen["statements"]:
            seen["statements"] += 1
        if seen["statements"] == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(store, "commit")
    def _(_connection: sa.Connection) -> None:
        if seen["statements"] and statement == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        seen["statements"] = 0


if __name__ == "__main__":
    main()
