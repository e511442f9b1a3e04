"""Bounds of what notify reads at once. Read by documents alone."""

from typing import Final

from backwatch.collector.bounds import Bound
from backwatch.notify import self_watch

BOUNDS: Final = (
    Bound(
        "events about Backwatch itself that are looked through", self_watch.MAX_OPEN, "events",
        "an incident that began before them counts as over",
    ),
)  # fmt: skip
