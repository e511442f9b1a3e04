"""The figures of ``/metrics``: what the store holds about the chain, and what this process uses.

Label values come from closed sets or are names of this installation (groups, topics, endpoints), bounded in number and
length; no text of an app or an attacker is in one.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Final

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from backwatch.store import queries, tables
from backwatch.store.connect import StoreUnavailable
from backwatch.store.monitoring.deliveries import find_served_incidents
from backwatch.store.monitoring.incidents import KINDS, Incident, find_disabled, find_incidents
from backwatch.store.monitoring.loops import LoopMonitor
from backwatch.store.monitoring.server import Response
from backwatch.store.transactions import reading
from backwatch.store.views import Health

MAX_LABELS: Final = 500
"""Endpoints that are shown."""
MAX_PARTITIONS: Final = 10_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\[\]/ -]{0,249}")
_NS: Final = 1e9


class Figures(Collector):
    """Reads the figures when a monitor asks.

    Args:
        part: detector, notify or dashboard.
        store: Opens the store, or gives it where it is open.
        loops: The process's loops.
        check: What else this process knows to be wrong.
        clock_ns: Wall time.
    """

    def __init__(
        self,
        part: str,
        store: Callable[[], sa.Engine],
        loops: Sequence[LoopMonitor],
        check: Callable[[sa.Connection, int], list[Incident]],
        clock_ns: Callable[[], int],
    ) -> None:
        self._part = part
        self._store = store
        self._loops = loops
        self._check = check
        self._clock_ns = clock_ns
        self._errors = 0
        self._watched: sa.Engine | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._without_store = CollectorRegistry(auto_describe=False)
        self._without_store.register(_WithoutStore(self))
        for registry in (self._registry, self._without_store):
            ProcessCollector(registry=registry)

    def response(self) -> Response:
        """Return the figures as Prometheus's text."""
        return Response(status=200, body=generate_latest(self._registry), content_type=CONTENT_TYPE_LATEST)

    def response_without_store(self) -> Response:
        """Return the figures of this process, as :meth:`response` does while the store is away; asks no store."""
        return Response(status=200, body=generate_latest(self._without_store), content_type=CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator[Metric]:
        """Yield every figure; those of the store only while it answers."""
        found = list[Metric]()
        try:
            with reading(self._engine()) as connection:
                found = [*self._of_store(connection)]
        except (StoreUnavailable, SQLAlchemyError, OSError):
            found = []
        yield from self.of_process(store_up=bool(found))
        yield from found

    def of_process(self, *, store_up: bool) -> Iterator[Metric]:
        """Yield the figures that need no store, and whether it answers."""
        info = {"part": self._part, "version": version("backwatch-store")}
        yield _gauge(
            "backwatch_build_info", "The version that runs here.", ("part", "version"), {tuple(info.values()): 1}
        )
        yield _gauge("process_threads", "Threads of this process.", (), {(): threading.active_count()})
        ages = {(loop.name,): loop.age_s for loop in self._loops}
        yield _gauge("backwatch_loop_age_seconds", "Seconds since a loop of this process last turned.", ("loop",), ages)
        turns = {(loop.name,): loop.turns for loop in self._loops}
        yield _counter("backwatch_loop_turns", "Turns of a loop of this process.", ("loop",), turns)
        yield _gauge("backwatch_store_up", "Whether the store answers this process.", (), {(): int(store_up)})
        yield _counter("backwatch_store_errors", "Errors that the store gave this process.", (), {(): self._errors})

    def _engine(self) -> sa.Engine:
        engine = self._store()
        if engine is not self._watched:
            self._watched = engine
            event.listen(engine, "handle_error", self._count_error)
        return engine

    def _count_error(self, _context: object) -> None:
        self._errors += 1

    def _of_store(self, connection: sa.Connection) -> Iterator[Metric]:
        health = queries.health(connection)
        yield from _of_partitions(health)
        counts = {(_label(name),): many for name, many in health.counters.items()}
        yield _counter("backwatch_judged", "What was read and judged, by kind: spans, calls.", ("kind",), counts)
        losses = {(_label(name),): many for name, many in health.losses.items()}
        yield _counter("backwatch_losses", "What was lost, by kind.", ("kind",), losses)
        yield _gauge("backwatch_quarantined_records", "Records in quarantine.", (), {(): health.quarantined})
        yield _counter(
            "backwatch_entries", "Numbered entries: decisions, profiles, models, losses.", (), {(): health.last_entry}
        )
        alerts = {(state, level): many for state, levels in queries.overview(connection).items()
                  for level, many in levels.items()}  # fmt: skip
        yield _gauge("backwatch_alerts", "Alerts by state and level.", ("state", "level"), alerts)
        yield from _of_deliveries(connection, health)
        now_ns = self._clock_ns()
        wrong = [*find_incidents(health.progress, health.shards, now_ns), *find_disabled(health.endpoints, now_ns)]
        for more in (find_served_incidents(connection, now_ns), self._check(connection, now_ns)):
            wrong += [incident for incident in more if incident not in wrong]
        many = {(kind,): sum(incident.kind == kind for incident in wrong) for kind in KINDS}
        yield _gauge("backwatch_incidents", "What does not work now, by kind.", ("kind",), many)


class _WithoutStore(Collector):
    """The figures of a process while its store does not reply."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        return self._figures.of_process(store_up=False)


def _of_partitions(health: Health) -> Iterator[Metric]:
    labels = ("group", "topic", "partition")
    rows = {
        (_label(partition.consumer_group), _label(partition.topic), str(partition.partition_id)): partition
        for partition in health.progress
    }
    shown = dict(list(rows.items())[:MAX_PARTITIONS])
    for name, what, value in (
        ("lag_records", "Records that a group has not read yet.", lambda partition: partition.lag),
        ("next_offset", "First offset that a group has not finished.", lambda partition: partition.next_offset),
        ("end_offset", "Offset of the next record to be appended.", lambda partition: partition.end_offset),
        ("advanced_timestamp_seconds", "When the offset advanced or the lag was 0.",
        lambda partition: partition.advanced_ns / _NS),
        ("reported_timestamp_seconds", "When the group last reported.", lambda partition: partition.updated_ns / _NS),
    ):  # fmt: skip
        yield _gauge(
            f"backwatch_partition_{name}", what, labels, {key: value(partition) for key, partition in shown.items()}
        )
    shards = health.shards[:MAX_PARTITIONS]
    commits = {(str(shard.id),): shard.seq for shard in shards}
    yield _counter("backwatch_shard_commits", "Commits of a shard.", ("shard",), commits)
    for name, what, value in (
        ("committed", "When a shard last committed.", lambda shard: shard.updated_ns / _NS),
        ("watermark", "How far the event time of a shard has come.", lambda shard: shard.watermark_ns / _NS),
    ):
        moments = {(str(shard.id),): value(shard) for shard in shards}
        yield _gauge(f"backwatch_shard_{name}_timestamp_seconds", what, ("shard",), moments)


def _of_deliveries(connection: sa.Connection, health: Health) -> Iterator[Metric]:
    counts, newest = dict[tuple[str, ...], float](), dict[tuple[str, ...], float]()
    table = tables.delivery
    for endpoint in health.endpoints[:MAX_LABELS]:
        name = _label(endpoint.name)
        many = {
            "pending": endpoint.pending,
            "failing": endpoint.failing,
            "delivered": endpoint.delivered,
            "lost": endpoint.lost,
        }
        counts |= {(name, state): count for state, count in many.items()}
        # By the index: of those that are kept, the delivery that was due last.
        last = sa.select(table.c.done_ns).where(table.c.endpoint == endpoint.name, table.c.state == "delivered")
        newest[name,] = (connection.scalar(last.order_by(table.c.next_ns.desc()).limit(1)) or 0) / _NS
    yield _gauge(
        "backwatch_deliveries",
        "Deliveries of the last 30 days; failing ones are pending too.",
        ("endpoint", "state"),
        counts,
    )
    yield _gauge(
        "backwatch_delivered_timestamp_seconds",
        "When an endpoint last took a delivery; 0: never.",
        ("endpoint",),
        newest,
    )
    disabled = {
        (_label(endpoint.name),): int(endpoint.disabled_ns is not None) for endpoint in health.endpoints[:MAX_LABELS]
    }
    yield _gauge("backwatch_endpoint_disabled", "Whether an endpoint refuses all for good.", ("endpoint",), disabled)


def _label(text: str) -> str:
    """Return a known name as it is, anything else as ``other``."""
    return text if _NAME.fullmatch(text) else "other"


def _gauge(name: str, what: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    metric = GaugeMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric


def _counter(name: str, what: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    metric = CounterMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric
