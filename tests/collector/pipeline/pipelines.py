"""Settings of a quick pipeline, and calls for it."""

import time
from collections.abc import Callable
from typing import Any

from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime.record import Session

MakePipeline = Callable[..., Pipeline]
SESSION = Session(system="postgresql", address="db", port=5432, namespace="shop")
QUICK: dict[str, Any] = {"flush_interval_s": 0.01, "heartbeat_s": 3600.0, "exit_timeout_s": 1.0, "app_name": "shop"}


def call(pipeline: Pipeline, sql: object = "SELECT 1", **more: Any) -> None:
    """Record one call that took a microsecond."""
    pipeline.record_call(SESSION, "", start_ns=time.time_ns() - 1000, sql=sql, **more)
