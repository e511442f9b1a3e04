"""What the store knows for ``backwatch doctor``: processes that are silent, deliver nothing or lose records."""

import time
from collections.abc import Iterator

from backwatch.collector.console.doctor import FAULT, OK, UNKNOWN, Diagnosis
from backwatch.collector.console.logs import escape
from backwatch.collector.settings import SettingError, StoreSettings, load
from backwatch.store.connect import StoreUnavailable, open_store
from backwatch.store.processes import list_processes
from backwatch.store.transactions import reading
from backwatch.store.views import ProcessRow

MAX_SHOWN = 100
RECENT_NS = 86_400 * 10**9
RUNNING = ("running", "unfollowed", "silent", "undelivered")


def diagnose() -> list[Diagnosis]:
    """Return a diagnosis for each process of the last day that should be running; none if there is no store here."""
    try:
        engine = open_store(load(StoreSettings).url, must_exist=True)
    except (StoreUnavailable, SettingError) as error:
        return [Diagnosis(subject="processes", status=UNKNOWN, seen=f"no store that can be read: {error}")]
    try:
        with reading(engine) as connection:
            rows = list_processes(connection, limit=MAX_SHOWN)
    finally:
        engine.dispose()
    since_ns = time.time_ns() - RECENT_NS
    found = [one for row in rows if row.state in RUNNING and row.heard_ns > since_ns for one in _diagnose(row)]
    if not found:
        return [
            Diagnosis(
                subject="processes", status=UNKNOWN, seen="no watched process was heard within a day",
                fix="Start the app with backwatch run, and check that it has the same BACKWATCH_STREAM_URL",
            )
        ]  # fmt: skip
    return found


def _diagnose(row: ProcessRow) -> Iterator[Diagnosis]:
    subject = escape(f"process {row.app} {row.host}:{row.pid}")
    if row.state == "silent":
        yield Diagnosis(
            subject=subject, status=FAULT, seen="its heartbeats ended without a farewell",
            fix="See whether it was killed, and whether its worker reaches the stream",
        )  # fmt: skip
    elif row.state == "undelivered":
        yield Diagnosis(
            subject=subject, status=FAULT, seen="it runs, and its worker delivers nothing",
            fix="Look for lines that begin with backwatch: in its log",
        )  # fmt: skip
    elif row.state == "unfollowed":
        yield Diagnosis(subject=subject, status=UNKNOWN, seen="no detector has followed it of late")
    else:
        yield Diagnosis(
            subject=subject, status=OK, seen=f"{row.recorded:,} calls recorded, {row.delivered:,} delivered"
        )
    if row.dropped:
        yield Diagnosis(
            subject=subject, status=FAULT, seen=f"{row.dropped:,} records were dropped",
            fix="Raise BACKWATCH_COLLECTOR_QUEUE_RECORDS, or see why the stream is slow",
        )  # fmt: skip
