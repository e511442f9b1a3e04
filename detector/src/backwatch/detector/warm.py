"""Compiles every kernel into the cache, for a fast first start: ``python -m backwatch.detector.warm``."""

import time
from typing import Final

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from backwatch.collector import names
from backwatch.detector.compiled import CACHE_FOLDER, CACHED
from backwatch.detector.engine.clock import WINDOW_NS
from backwatch.detector.engine.entries import ProfileVersion, Records, Tick
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.rulebook import make_engine

START_NS: Final = 1_760_000_000_000_000_000
CALLS: Final = 200


def request() -> bytes:
    """A few minutes of an app's calls, an attack among them, so that each kernel is reached."""
    made = ExportTraceServiceRequest()
    spans = made.resource_spans.add()
    app = spans.resource.attributes.add()
    app.key, app.value.string_value = names.SERVICE_NAME, "warm"
    scope = spans.scope_spans.add()
    for number in range(CALLS):
        end_ns = START_NS + number * 3 * 10**9
        span = scope.spans.add(
            name="SELECT", kind=Span.SPAN_KIND_CLIENT, start_time_unix_nano=end_ns - 1, end_time_unix_nano=end_ns
        )
        told: dict[str, str] = {
            names.DB_SYSTEM: "postgresql", names.SERVER_ADDRESS: "db", names.CERT_SHA256: f"{number % 2}",
            names.QUERY_TEXT: f"SELECT a FROM t WHERE b = {number} AND c IN (1, 2)" + (" -- x" if number % 9 else ""),
            names.QUERY_SIGNS: "comment-tail" if number > 150 else "",
            names.URL_FULL: "https://api.example/v1/a" if number % 7 == 0 else "",
            names.TOPOLOGY: "a:5432,b:5432" if number % 7 == 0 else "",
            names.REDIRECT_TARGET: "http://169.254.169.254/" if number == CALLS - 1 else "",
        }  # fmt: skip
        for key, value in told.items():
            if value:
                one = span.attributes.add()
                one.key, one.value.string_value = key, value
    return made.SerializeToString()


def step_through(engine: Engine) -> None:
    """Take an engine through every kernel once, with a shard that is thrown away."""
    shard = engine.new_shard()
    entry = Records(
        values=[request()],
        appended_ns=np.array([START_NS], np.int64),
        backfill=np.array([True]),
        offsets=np.zeros(1, np.int64),
    )
    swap = {names.CERT_SHA256: ["1"], names.TOPOLOGY: ["b:5432"]}
    engine.step(shard, ProfileVersion("warm", "", {"postgresql db": swap}))
    engine.step(shard, entry)
    engine.step(shard, Tick(START_NS + CALLS * 3 * 10**9 + 3 * WINDOW_NS))
    again = engine.new_shard()
    again.apply([shard.snapshot()])


def main() -> None:
    """Steps one engine through everything once."""
    begun = time.monotonic()
    step_through(make_engine(EngineConfig()))
    where = str(CACHE_FOLDER) if CACHED else "nowhere: the folder is not ours to write"
    print(f"kernels compiled in {time.monotonic() - begun:.0f} s, kept in {where}")


if __name__ == "__main__":
    main()
