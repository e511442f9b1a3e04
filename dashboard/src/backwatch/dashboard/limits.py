"""Bounds of what the dashboard keeps. Read by documents alone."""

from typing import Final

from backwatch.collector.runtime.bounds import Bound
from backwatch.collector.settings import DashboardSettings
from backwatch.dashboard import reads

BOUNDS: Final = (
    Bound(
        "answers of the store that pages share", reads.ANSWERS, "answers", "the oldest is read anew",
    ),
    Bound(
        "pages open at once (`BACKWATCH_DASHBOARD_SESSIONS`)", DashboardSettings().sessions, "pages",
        "it is refused with status 503 and a line that names the setting", counted_as="a line of the log",
    ),
    Bound(
        "closed pages that may come back within 30 s", 128, "pages", "the oldest is forgotten, and draws itself anew",
    ),
)  # fmt: skip
