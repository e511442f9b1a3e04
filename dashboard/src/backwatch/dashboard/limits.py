"""Bounds of what the dashboard keeps. Read by documents alone."""

from typing import Final

from backwatch.collector.bounds import Bound
from backwatch.dashboard import reads

BOUNDS: Final = (
    Bound(
        "answers of the store that pages share", reads.ANSWERS, "answers", "the oldest is read anew",
    ),
)  # fmt: skip
