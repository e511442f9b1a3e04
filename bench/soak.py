"""A detector under a steady load for a chosen time: slope of its memory, lag, open files, threads, CPU.

    make bench NAME=soak              ARGS="--minutes=60 --rate=10000", --sqlite

The real process on a real Kafka (or an embedded stream) with eight partitions. Sixteen apps send ordinary calls, and in
one request in fifty, new keys. During the warm-up, the first quarter and at most ten minutes, comes a backlog: buffers
grow to the size that catching up needs, and keep it. The slope is the least-squares slope of the figures after the
warm-up.
"""

import argparse
import contextlib
import json
import random
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import exc

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import ensure_topics, open_publisher
from backwatch.store import tables
from backwatch.store.connect import StoreUnavailable, open_store
from bench import rounds, spans, watched
from bench.many_keys import Flood
from tests.system.commands import Running, run_in_background

PARTITIONS = 8
APPS = 16
REQUESTS = 64
FLOOD_EVERY = 50
LOOK_EVERY_S = 1.0
MAX_WARM_UP_S = 600.0
BACKLOG_RECORDS = 400
MEBIBYTE = 1 << 20


class SoakLoad:
    """Requests of 512 spans each, whose times are always now."""

    def __init__(self) -> None:
        self._made = [ExportTraceServiceRequest.FromString(spans.request(n, services=1)) for n in range(REQUESTS)]
        self._flood = Flood(APPS, 0, APPS)
        self._number = 0
        self._source = random.Random(1)

    def message(self) -> Message:
        """Return the next request, under its app's key."""
        self._number += 1
        now_ns = time.time_ns()
        if self._number % FLOOD_EVERY == 0:
            app, value = self._flood.request(now_ns - 10**6)
            return Message(value=value, key=f"flood-{app}".encode())
        made = self._made[self._source.randrange(REQUESTS)]
        app = f"shop-{self._number % APPS}"
        resource = made.resource_spans[0]
        resource.resource.attributes[0].value.string_value = app
        for at, span in enumerate(resource.scope_spans[0].spans):
            end_ns = now_ns - 10**6 + at
            span.start_time_unix_nano, span.end_time_unix_nano = end_ns - 10**6, end_ns
        return Message(value=made.SerializeToString(), key=app.encode())


@dataclass(slots=True)
class Soaked:
    """The figures, once a second.

    Attributes:
        at_s: Seconds since the load began.
        lag: Records that were published and are not yet committed.
    """

    at_s: list[float] = field(default_factory=list[float])
    readings: list[watched.Reading] = field(default_factory=list[watched.Reading])
    lag: list[int] = field(default_factory=list[int])
    sent: int = 0

    def figures(self, seconds: float) -> dict[str, Any]:
        """Return the figures that judge the soak, after the warm-up."""
        warm_up_s = warm_up(seconds)
        kept = [at for at, moment in enumerate(self.at_s) if moment >= warm_up_s]
        at_s = [self.at_s[at] for at in kept]
        readings = [self.readings[at] for at in kept]
        rss = [reading.rss_bytes / MEBIBYTE for reading in readings]
        half = len(rss) // 2
        return {
            "minutes": round(self.at_s[-1] / 60, 1), "spans_per_s": round(self.sent * spans.SPANS / self.at_s[-1]),
            "rss_mib": round(rss[-1], 1), "rss_slope_mib_per_h": round(watched.slope(at_s, rss) * 3_600, 2),
            "rss_slope_of_last_half_mib_per_h": round(watched.slope(at_s[half:], rss[half:]) * 3_600, 2),
            "rss_growth_mib": round(rss[-1] - rss[0], 2), "max_lag_records": max(self.lag[at] for at in kept),
            "last_lag_records": self.lag[-1],
            "files": [min(reading.files for reading in readings), max(reading.files for reading in readings)],
            "threads": [min(reading.threads for reading in readings), max(reading.threads for reading in readings)],
            "cpu_share": round((readings[-1].cpu_s - readings[0].cpu_s) / max(at_s[-1] - at_s[0], 1), 3),
        }  # fmt: skip


def warm_up(seconds: float) -> float:
    """Return the seconds of a soak of this length that are no part of its figures."""
    return min(seconds / 4, MAX_WARM_UP_S)


@contextlib.contextmanager
def stream_url(folder: Path, *, kafka: bool) -> Generator[str]:
    """Create a separate stream until the block ends."""
    if not kafka:
        yield f"sqlite:///{folder}/stream.db"
        return
    from tests.services.authority import Authority
    from tests.services.brokers.kafka_broker import serve

    (folder / "authority").mkdir()
    with serve(Authority(folder / "authority")) as broker:
        yield broker.url


def soak(seconds: float, rate: int, *, kafka: bool, max_lag: int = 0, quiet: bool = False) -> dict[str, Any]:
    """Run a detector under so many spans a second; return figures as :meth:`Soaked.figures` has them.

    Args:
        max_lag: Lag in records at which the load waits for the detector, for a shared machine; 0: it never waits.
    """
    with tempfile.TemporaryDirectory() as name, stream_url(Path(name), kafka=kafka) as url:
        stream = StreamSettings(url=url, partitions=PARTITIONS)
        ensure_topics(stream, (names.TOPIC_CALLS, names.TOPIC_SPANS))
        store = f"sqlite:///{name}/store.db"
        with run_in_background(Path(name), "detect", BACKWATCH_STREAM_URL=url, BACKWATCH_STORE_URL=store) as detector:
            found = _run_loaded(detector, stream, store, seconds, rate, max_lag, quiet=quiet)
            assert "Traceback" not in detector.output(), detector.output()[-3_000:]
    return found.figures(seconds)


def _run_loaded(
    detector: Running, stream: StreamSettings, store: str, seconds: float, rate: int, max_lag: int, *, quiet: bool
) -> Soaked:
    load, found, publisher = SoakLoad(), Soaked(), open_publisher(stream)
    publisher.publish(names.TOPIC_CALLS, [load.message()], 60)
    found.sent = 1
    detector.until(lambda: _count_committed(store) > 0, "nothing was committed", 180)
    begun_s = time.monotonic()
    looked_s, printed_s, due, lag, backlog = 0.0, 0.0, 0.0, 0, BACKLOG_RECORDS
    while (passed_s := time.monotonic() - begun_s) < seconds:
        assert detector.process.poll() is None, detector.output()[-3_000:]
        if passed_s - looked_s >= LOOK_EVERY_S or not found.at_s:
            looked_s = passed_s
            lag = found.sent - _count_committed(store)
            found.at_s.append(passed_s)
            found.readings.append(watched.read_process(detector.process.pid))
            found.lag.append(lag)
        if not quiet and passed_s >= printed_s:
            printed_s += max(seconds / 20, 5)
            _print(passed_s, found)
        if backlog and passed_s > warm_up(seconds) / 2:
            publisher.publish(names.TOPIC_CALLS, [load.message() for _ in range(backlog)], 60)
            found.sent, due, backlog = found.sent + backlog, due + backlog, 0
        if found.sent >= due or (max_lag and lag > max_lag):
            time.sleep(0.02)
            due = max(due, found.sent) if max_lag and lag > max_lag else passed_s * rate / spans.SPANS
            continue
        publisher.publish(names.TOPIC_CALLS, [load.message()], 60)
        found.sent += 1
    publisher.close(10)
    return found


def _count_committed(url: str) -> int:
    """Return the records that the detector has finished."""
    engine = open_store(url, check=False)
    try:
        with engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.sum(tables.shard.c.next_offset))) or 0)
    except (exc.OperationalError, StoreUnavailable):  # it has no tables yet
        return 0
    finally:
        engine.dispose()


def _print(passed_s: float, found: Soaked) -> None:
    last = found.readings[-1]
    print(
        f"{passed_s / 60:6.1f} min  RSS {last.rss_bytes / MEBIBYTE:7.1f} MiB  lag {found.lag[-1]:5} records  "
        f"{last.files} files  {last.threads} threads  CPU {last.cpu_s:7.1f} s  {found.sent * spans.SPANS:,} spans",
        flush=True,
    )  # fmt: skip


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--max-lag", type=int, default=0)
    parser.add_argument("--sqlite", action="store_true")
    options = parser.parse_args()
    print(rounds.machine("numba", "kafka-python", "sqlalchemy"))
    found = soak(options.minutes * 60, options.rate, kafka=not options.sqlite, max_lag=options.max_lag)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
