"""Bounds of the dashboard's structures, for the documents."""

from typing import Final

from backwatch.collector.runtime.bounds import Bound
from backwatch.collector.settings import DashboardSettings
from backwatch.dashboard import reads

BOUNDS: Final = (
    Bound(
        "query results that pages share", reads.MAX_RESULTS, "results", "the oldest is read again",
    ),
    Bound(
        "pages open at once (`BACKWATCH_DASHBOARD_SESSIONS`)", DashboardSettings().sessions, "pages",
        "a further one is refused with status 503 and a line that names the setting", counted_as="a line of the log",
    ),
    Bound(
        "closed pages that may return within 30 s", 128, "pages", "the oldest is evicted and is drawn anew",
    ),
)  # fmt: skip
