"""CPU per observed call over TLS: bare driver, OpenTelemetry contrib, and Backwatch.

    make bench NAME=collector_overhead             ARGS="--texts one", "--stream sqlite", "--quick"

Real servers. Each variant of each driver is a separate process, so that instrumentations do not mix: the bare driver;
contrib with the SDK's default batch processor and OTLP/HTTP exporter, to a receiver in another process;
``backwatch run`` with its probe, publishing to the stream. The bench counts the CPU of all the app's threads up to the
delivery of the last call. A round is only valid if the far side received exactly as many calls as were made.
It runs twice: with one text for all calls (``vs_contrib``: Backwatch's cost as a share of contrib's), and with every
text new (``vs_contrib_new``).
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics, open_consumer
from bench import rounds
from bench.otlp_receiver import count_spans
from tests.services.authority import Authority
from tests.services.brokers import kafka_broker
from tests.services.databases import mariadb, postgresql, redis

ROOT = Path(__file__).parents[1]
DRIVERS = {"psycopg": postgresql.serve, "pymysql": mariadb.serve, "redis": redis.serve}
VARIANTS = ("bare", "contrib", "backwatch")
TEXTS = {"one": "vs_contrib", "new": "vs_contrib_new"}
"""What the calls' texts are, and the figure of it."""
ASSIGNMENT_S = 30.0


class Stream:
    """The stream that Backwatch publishes to, and the number of calls of each app in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        settings = StreamSettings(url=url, partitions=1)
        ensure_topics(settings, (names.TOPIC_CALLS,))
        self._consumer = open_consumer(settings, names.TOPIC_CALLS, "bench")
        self._counts: Counter[str] = Counter()
        self._next = 0
        until = time.monotonic() + ASSIGNMENT_S
        while not self._consumer.assignment():
            self._consumer.poll(0.2)
            if time.monotonic() > until:
                raise SystemExit(f"bench: no partition was assigned within {ASSIGNMENT_S:.0f} s")
        self._consumer.seek(0, 0)

    def count(self, app: str) -> int:
        """Return the number of calls of this app in the stream, read up to its end."""
        end = self._consumer.bounds(0)[1]
        while self._next < end:
            for record in self._consumer.poll(1.0):
                self._counts.update(count_spans(record.value))
                self._next = record.offset + 1
        return self._counts[app]

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredApp:
    """One running variant of one driver."""

    name: str
    process: "subprocess.Popen[str]"
    count: Callable[[str], int] | None
    """How many calls the far side has got; the bare driver has none."""

    def round(self, calls: int) -> float:
        """Return CPU microseconds per call; end the bench if the far side did not receive exactly those calls."""
        before = 0 if self.count is None else self.count(self.name)
        spent = float(self.ask(str(calls)))
        if self.count is not None:
            arrived = self.count(self.name) - before
            if arrived != calls:
                raise SystemExit(f"bench: {self.name}: {calls} calls were made, {arrived} arrived")
        return spent / calls * 1e6

    def ask(self, line: str) -> str:
        """Write a line to the app and read its response."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if line:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"bench: {self.name} ended with {self.process.wait(10)}")
        return answer.strip()


@contextlib.contextmanager
def receiver() -> Generator[str]:
    """Return the URL of an OTLP receiver in another process."""
    with _process([sys.executable, "-m", "bench.otlp_receiver"], dict(os.environ)) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"


@contextlib.contextmanager
def _process(command: Sequence[str], environment: dict[str, str]) -> "Generator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
            process.communicate(timeout=20)
        process.kill()
        process.wait()


@contextlib.contextmanager
def run_variant(driver: str, variant: str, url: str, otlp: str, stream: Stream, texts: str) -> Generator[MeasuredApp]:
    """Start one variant of one driver, connected and warm."""
    name = f"{driver}-{variant}-{texts}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "BACKWATCH_"))}
    command = [sys.executable, "-m", "bench.overhead_app", driver, variant, url]
    count: Callable[[str], int] | None = None
    if texts == "new":
        command.append("--unique")
    if variant == "contrib":
        environment |= {
            "OTEL_SERVICE_NAME": name,
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
            "OTEL_SEMCONV_STABILITY_OPT_IN": "database",
        }
        count = lambda app: int(urllib.request.urlopen(f"{otlp}/{app}", timeout=10).read())  # noqa: E731, S310  the bench's own receiver
    elif variant == "backwatch":
        environment |= {"OTEL_SERVICE_NAME": name, "BACKWATCH_STREAM_URL": stream.url}
        command = [str(Path(sys.executable).with_name("backwatch")), "run", "--", *command]
        count = stream.count
    with _process(command, environment) as process:
        app = MeasuredApp(name=name, process=process, count=count)
        app.ask("")
        yield app


def measure(
    driver: str, url: str, otlp: str, stream: Stream, texts: str, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Return CPU microseconds per call by variant and round; the order alternates, and a first round is discarded."""
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    with contextlib.ExitStack() as stack:
        apps = [stack.enter_context(run_variant(driver, variant, url, otlp, stream, texts)) for variant in VARIANTS]
        for app in apps:
            app.round(min(options.calls, 1_000))
        for number in range(options.rounds):
            at = number % len(VARIANTS)
            for variant, app in [*zip(VARIANTS, apps, strict=True)][at:] + [*zip(VARIANTS, apps, strict=True)][:at]:
                found[variant].append(app.round(options.calls))
    return found


def figures(found: dict[str, list[float]], texts: str) -> dict[str, float]:
    """Return medians, and Backwatch's cost as a share of contrib's, paired by round."""
    added = {
        variant: [mine - bare for mine, bare in zip(found[variant], found["bare"], strict=True)] for variant in VARIANTS
    }
    new = "_new" if texts == "new" else ""
    result = {f"{variant}{new}_us": round(statistics.median(found[variant]), 1) for variant in VARIANTS}
    return result | {TEXTS[texts]: round(rounds.ratio(added["backwatch"], added["contrib"]), 3)}


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--calls", type=int, default=10_000, help="in each round")
    parser.add_argument("--texts", choices=(*TEXTS, "both"), default="both", help="the same each time, or always new")
    parser.add_argument("--stream", choices=("kafka", "sqlite"), default="kafka")
    parser.add_argument("--driver", choices=DRIVERS, action="append", help="these only")
    parser.add_argument("--quick", action="store_true", help="three rounds of 2 000 calls")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.calls = min(options.rounds, 3), min(options.calls, 2_000)
    drivers = options.driver or list(DRIVERS)
    print(rounds.machine(*drivers, "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "kafka-python"))
    print(f"{options.rounds} rounds of {options.calls:,} calls over TLS, stream {options.stream}")
    result: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        ca = Authority(Path(folder))
        url = (
            stack.enter_context(kafka_broker.serve(ca)).url
            if options.stream == "kafka"
            else f"sqlite:///{folder}/stream.db"
        )
        otlp = stack.enter_context(receiver())
        stream = Stream(url)
        stack.callback(stream.close)
        for driver in drivers:
            with DRIVERS[driver](ca) as server:
                for texts in TEXTS if options.texts == "both" else (options.texts,):
                    found = measure(driver, server.tls_url, otlp, stream, texts, options)
                    result[driver] = {**result.get(driver, {}), **figures(found, texts)}
                    _show(driver, found, texts, result[driver][TEXTS[texts]])
    print(json.dumps(result))


def _show(driver: str, found: dict[str, list[float]], texts: str, ratio: float) -> None:
    bare = statistics.median(found["bare"])
    for variant, spent in found.items():
        median = statistics.median(spent)
        added = "" if variant == "bare" else f"  +{median - bare:6.1f}"
        if variant == "backwatch":
            added += f"  = {ratio:.2f} of what contrib adds"
        print(
            f"{driver:8} {texts:4} {variant:10} {median:7.1f} us/call  [{min(spent):.1f} .. {max(spent):.1f}]{added}",
            flush=True,
        )


if __name__ == "__main__":
    main()
