"""Scenarios of the quiet year: a base class, the pods of an app, and the calls of its ordinary hours."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from backwatch.attack.baseline.year.calendar import BEGIN_NS, HOUR_S, SECOND_NS, Hour
from backwatch.attack.baseline.year.services import Service
from backwatch.attack.folders import files, only
from backwatch.collector import names
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.runtime.record import CLIENT, Call, CallSite

BLOCK_S: Final = 150
"""Seconds of calls that one pod delivers at once: fewer than the detector waits for late ones."""
BLOCKS: Final = HOUR_S // BLOCK_S


class Query(NamedTuple):
    """A statement of the app, and what it usually returns.

    Attributes:
        text: As the collector sends it; SQL, or the canonical text of another system.
        rows: Median of the returned rows; -1: not a read.
        row_bytes: Bytes of a row, or of the response where ``rows`` is -1.
        weight: Share of the calls, relative to other queries.
        spread: Standard deviation of the returned rows, on the log scale.
    """

    text: str
    site: str
    route: str = ""
    rows: int = 1
    row_bytes: int = 120
    weight: float = 1.0
    spread: float = 0.4
    lasts_s: float = 0.004
    sent_bytes: int = 0

    @property
    def operation(self) -> str:
        """First word of the text."""
        return self.text.split(" ", 1)[0]


class Pod(NamedTuple):
    """A process of the app, with the facts that OpenTelemetry reports about it."""

    number: int
    app: App


def _new_pod(number: int, source: random.Random, name: str, release: str) -> Pod:
    """Return a new process; an empty release: the app does not report it."""
    attributes: list[tuple[str, str | int]] = [(names.SERVICE_NAME, name)]
    if release:
        attributes.append((names.SERVICE_RELEASE, release))
    attributes += [("host.name", f"{name}-{source.getrandbits(32):08x}"), ("process.pid", source.randrange(7, 40))]
    return Pod(number, App(name, "", "", tuple(attributes)))


@dataclass(slots=True)
class Burst:
    """Calls of one pod in one block."""

    pod: Pod
    calls: list[Call]


class YearScenario(ABC):
    """Ordinary weeks of one kind. An instance schedules one app's calls.

    Attributes:
        title: What happens, in one sentence.
        naive: Why a naive detector would raise an alert.
        days: Days of event time.
        per_hour: Calls in the busiest hour.
        blocks: Blocks of each hour in which the app has calls: all, or fewer for long and for small apps.
        release: Release that the app reports; empty: none.
        pods: Number of its processes.
    """

    title: ClassVar[str]
    naive: ClassVar[str]
    days: ClassVar[int] = 56
    per_hour: ClassVar[float] = 160
    blocks: ClassVar[int] = 4
    release: ClassVar[str] = "2026.1"
    pods: ClassVar[int] = 3

    def __init__(self, seed: int = 1) -> None:
        self.source = random.Random(f"{self.name()} {seed}")
        self._started = 0
        self.running = [self.start_pod(self.release) for _ in range(self.pods)]
        self._bursts: dict[tuple[int, int], Burst] = {}
        self._sites: dict[str, CallSite] = {}
        self.set_up()

    @classmethod
    def name(cls) -> str:
        """Return the file's name in words, ``month-end``."""
        return cls.__module__.rpartition(".")[2].replace("_", "-")

    @abstractmethod
    def set_up(self) -> None:
        """Make the services and queries."""

    @abstractmethod
    def play(self, hour: Hour) -> None:
        """Schedule the calls of an hour."""

    def start_pod(self, release: str) -> Pod:
        """Return a new process of the app."""
        self._started += 1
        return _new_pod(self._started, self.source, self.name(), release)

    def bursts(self) -> Iterator[tuple[int, list[Burst]]]:
        """Yield the end of each block with calls, in nanoseconds, and what the pods deliver then."""
        for number in range(self.days * 24):
            hour = Hour(*divmod(number, 24))
            self.play(hour)
            due = sorted({block for block, _ in self._bursts if block < (number + 1) * BLOCKS})
            for block in due:
                keys = sorted(key for key in self._bursts if key[0] == block)
                end_s = block // BLOCKS * HOUR_S + (block % BLOCKS + 1) * BLOCK_S
                yield BEGIN_NS + end_s * SECOND_NS, [self._sorted(self._bursts.pop(key)) for key in keys]

    @staticmethod
    def _sorted(burst: Burst) -> Burst:
        burst.calls.sort(key=lambda call: call.end_ns)
        return burst

    def ordinary(
        self, hour: Hour, service: Service, queries: Sequence[Query], per_hour: float = 0, pods: Sequence[Pod] = ()
    ) -> None:
        """Schedule the ordinary calls of an hour, as many as its load asks for, from these or all pods."""
        count = round((per_hour or self.per_hour) * hour.load(self.source))
        choices = self.source.choices(queries, [query.weight for query in queries], k=count)
        for query in choices:
            self.call(self._moment(hour), service, query, pod=self.source.choice(pods or self.running))

    def _moment(self, hour: Hour) -> float:
        """Return a moment of the hour in which the app is busy."""
        if self.blocks >= BLOCKS:
            return hour.begin_s + self.source.random() * BLOCKS * BLOCK_S
        block = self.source.randrange(self.blocks) * BLOCKS // self.blocks
        return hour.begin_s + (block + self.source.random()) * BLOCK_S

    def series(
        self, begin_s: float, every_s: float, service: Service, queries: Sequence[Query], count: int, rows: float = 1
    ) -> None:
        """Schedule a job: these queries in turn from one process, with jitter. ``rows`` multiplies what they return."""
        pod = self.source.choice(self.running)
        for number in range(count):
            begin_s += self.source.uniform(0.6, 1.4) * every_s
            query = queries[number % len(queries)]
            self.call(begin_s, service, query, pod=pod, rows=round(query.rows * rows) if query.rows > 0 else None)

    def call(
        self, at_s: float, service: Service, query: Query, *, rows: int | None = None, error: str = "",
        status: str = "", pod: Pod | None = None, account: str = "",
    ) -> None:  # fmt: skip
        """Schedule one call; without ``rows`` it returns what is usual, with noise."""
        source = self.source
        pod = pod or source.choice(self.running)
        if rows is None:
            noise = source.lognormvariate(0, query.spread) if query.rows > 1 else 1.0
            rows = round(query.rows * noise) if query.rows > 0 else query.rows
        received = 90 + (max(rows, 1) * query.row_bytes if not error else 0)
        lasts_s = query.lasts_s * source.lognormvariate(0, 0.3) + max(rows, 0) * 4e-6
        end_ns = BEGIN_NS + int((at_s + lasts_s) * SECOND_NS)
        facts = ((names.STATUS_CODE, status),) if status else ()
        sql = service.system in ("postgresql", "mysql", "sqlite")
        made = Call(
            service.connect(source, account), query.operation, query.text, sql, "", CLIENT, self._site(query.site),
            query.route, end_ns - int(lasts_s * SECOND_NS), end_ns, source.getrandbits(128), source.getrandbits(64), 0,
            query.sent_bytes or len(query.text) + 40, received, False, -1 if error else rows,
            1 if rows == -1 and sql and not error else -1, error, facts,
        )  # fmt: skip
        self._add(pod, made)

    def _site(self, text: str) -> CallSite:
        found = self._sites.get(text)
        if found is None:
            file, _, function = text.partition(":")
            found = self._sites[text] = CallSite(function, file, 20 + len(self._sites) * 11)
        return found

    def _add(self, pod: Pod, call: Call) -> None:
        end_s = (call.end_ns - BEGIN_NS) / SECOND_NS
        hour, within = divmod(int(end_s), HOUR_S)
        key = hour * BLOCKS + within // BLOCK_S, pod.number
        burst = self._bursts.get(key)
        if burst is None:
            burst = self._bursts[key] = Burst(pod, [])
        burst.calls.append(call)


def discover() -> Iterator[type[YearScenario]]:
    """Yield every scenario, by its file's name."""
    from backwatch.attack.baseline.year import scenarios

    return (only(f"{scenarios.__name__}.{name}", YearScenario) for name in files(scenarios.__path__))
