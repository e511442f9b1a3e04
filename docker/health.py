"""Health check of one part.

``detector`` and ``notify`` check the store. They and ``dashboard`` check their own monitoring endpoint where
``BACKWATCH_MONITORING_PORT`` is set, and ``shop`` a file. Exit code 0: healthy. Otherwise the reason is one line.
"""

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE_S = 120
ALIVE = Path("/tmp/alive")  # noqa: S108  the container's own tmpfs


def detector() -> str:
    """Return the problem of the worst partition; others that advance do not compensate for it."""
    from backwatch.store.health import shard_rows
    from backwatch.store.monitoring.incidents import find_incidents
    from backwatch.store.progress import read_progress

    dead = _endpoint("/healthz")
    if dead:
        return dead
    with _reading() as connection:
        wrong = find_incidents(read_progress(connection), shard_rows(connection), time.time_ns())
    return wrong[0].message if wrong else ""


def notify() -> str:
    """Check that events are routed soon, and that delivery workers make their rounds, for any receivers."""
    from backwatch.collector.settings import NotifySettings, load
    from backwatch.notify.service import list_outputs
    from backwatch.store.monitoring.incidents import CRITICAL_UNSENT, NOTIFY_SILENT, find_delivery_incidents

    dead = _endpoint("/healthz")
    if dead:
        return dead
    settings = load(NotifySettings)
    # A worker makes no rounds while an attempt lasts. Without an endpoint, events wait until there is one.
    endpoints = {one.endpoint: settings.timeout_s for one in list_outputs(settings)}
    with _reading() as connection:
        wrong = find_delivery_incidents(connection, endpoints, time.time_ns())
    return next((one.message for one in wrong if one.kind in (NOTIFY_SILENT, CRITICAL_UNSENT)), "")


def dashboard() -> str:
    """Return the report of its own endpoint: its loop turns and its store responds."""
    return _endpoint("/readyz")


def shop() -> str:
    """Check the file that the demo app touches every few seconds."""
    age_s = time.time() - ALIVE.stat().st_mtime if ALIVE.exists() else float("inf")
    return f"no sign of life for {age_s:.0f} s" if age_s > PATIENCE_S else ""


def _endpoint(path: str) -> str:
    from backwatch.collector.settings import MonitoringSettings, load

    settings = load(MonitoringSettings)
    if not settings.port:
        return ""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.address, settings.address)  # noqa: S104
    try:
        urllib.request.urlopen(f"http://{host}:{settings.port}{path}", timeout=8).close()
    except urllib.error.HTTPError as error:
        return " ".join(error.read(500).decode("utf-8", "replace").split())
    except OSError as error:
        return f"the monitoring endpoint does not answer: {error}"
    return ""


def _reading():  # noqa: ANN202  its type belongs to a library that a container of the demo app does not have
    from backwatch.collector.settings import StoreSettings, load
    from backwatch.store.connect import open_store
    from backwatch.store.transactions import reading

    return reading(open_store(load(StoreSettings).url, must_exist=True))


if __name__ == "__main__":
    check = {"detector": detector, "notify": notify, "dashboard": dashboard, "shop": shop}[sys.argv[1]]
    try:
        wrong = check()
    except ConnectionError as error:  # the store is away, or no detector has created it yet
        wrong = str(error)
    sys.exit(wrong or 0)
