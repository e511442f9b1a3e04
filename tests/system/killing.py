"""A stream whose detector is killed repeatedly, and the store's expected final content."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import open_publisher
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.services.process import ROOT

Found = dict[str, list[tuple[Any, ...]]]

RECORDS = 60
STATEMENTS = 24
"""More than a commit has, so that each one is hit; the plans beyond the last one simply finish."""
COMPARED = {
    "alert": ("id", "episode", "count", "first_ns", "last_ns", "opened_ns", "cleared_ns"),
    "episode": ("alert_id", "number", "opened_ns", "cleared_ns"),
    "occurrence": ("alert_id", "number", "time_ns", "trace_id", "span_id"),
    "resource": ("id", "first_ns", "last_ns", "calls", "errors"),
    "rollup": ("resource_id", "end_ns", "calls", "errors", "bytes_received", "rows_returned"),
    "counter": ("kind", "name", "value"),
    "event": ("id", "alert_id", "kind", "episode"),
    "quarantine": ("partition_id", "record_offset", "value"),
}


def _rows(connection: sa.Connection, table: sa.Table, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in connection.execute(sa.select(*(table.c[one] for one in columns))))


def everything(url: str) -> Found:
    """Return the store's content, without wall times."""
    store = open_store(url)
    with reading(store) as connection:
        found = {
            name: _rows(connection, getattr(tables, name), columns)
            for name, columns in COMPARED.items()
        }  # fmt: skip
    store.dispose()
    return found


def run(stream: str, store: str, plan: list[dict[str, Any]]) -> list[str]:
    """Run one detector after the other as planned; return how each ended."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.detector_child", stream, store, json.dumps(plan), str(RECORDS + 1)],
        cwd=ROOT, capture_output=True, text=True, timeout=380,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "Error" not in done.stderr, done.stderr[-2_000:]
    return json.loads(done.stdout)


def publish(folder: Path) -> None:
    """Write the stream of all runs into this folder: an eventful day, and a record that is not OTLP."""
    url = f"sqlite:///{folder / 'stream.db'}"
    calls = streams.eventful(5, 1_800)
    size = -(-len(calls) // RECORDS)
    publisher = open_publisher(StreamSettings(url=url))
    messages = [
        Message(value=streams.encode(calls[at : at + size], at), backfill=True) for at in range(0, len(calls), size)
    ]
    messages.insert(30, Message(value=b"\x0a\xff\xff not OTLP", backfill=True))
    publisher.publish(names.TOPIC_CALLS, messages, 10)
    publisher.close(5)
    assert len(messages) == RECORDS + 1


def copy_stream(published: Path, folder: Path) -> str:
    """Return a separate stream with append times: records that one detector has read are pruned for the next."""
    shutil.copytree(published, folder / "stream")
    return f"sqlite:///{folder / 'stream' / 'stream.db'}"
