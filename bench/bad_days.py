"""Cost to an app while the stream is away: CPU per call, memory, exit time, and reporting of lost calls.

    make bench NAME=bad_days             ARGS="--quick", "--variant down"

One app (PyMySQL over TLS, real MariaDB) runs under ``backwatch run`` in each variant: a healthy broker; a broker that
is down; a black hole; one that accepts connections and never answers the TLS handshake; an embedded stream on a full
disk. First come many long statements, more than the queue holds in records and in bytes. Then come rounds of short
ones, paired with the healthy app's. Then short apps exit while the stream is away. At last the stream comes back, and
every call must be delivered or reported as dropped while the app still runs. The last line is JSON:
``{variant: {cost_vs_healthy, rss_above_mb, exit_s, made, delivered, dropped_reported}}``.
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
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics
from bench import rounds
from tests.services.authority import Authority
from tests.services.brokers import kafka_broker
from tests.services.databases import mariadb
from tests.services.faults.disk import small_disk
from tests.services.faults.gate import BadDay, Gate, gate
from tests.services.ledger import Ledger
from tests.services.server import MissingServerError, Server

ROOT = Path(__file__).parents[1]
BACKWATCH = str(Path(sys.executable).with_name("backwatch"))
VARIANTS = ("healthy", "down", "black_hole", "stalled", "disk_full")
FLOOD = 12_000
"""Long statements: more than the 10 000 records, and than the 11 MB, that the queue holds."""
EXIT_CALLS = 1_000
DISK_BYTES = 100_000_000
BACK_S = 120.0


@dataclass(slots=True, kw_only=True)
class Variant:
    """A running app, its stream, and a function that repairs the stream."""

    name: str
    environment: dict[str, str]
    settings: StreamSettings
    """How the bench itself reads the stream."""
    mend: Callable[[], object]
    process: "subprocess.Popen[str] | None" = None
    made: int = 0
    peak_kb: int = 0
    flood_us: float = 0.0
    cost_us: list[float] = field(default_factory=list[float])

    def ask(self, count: int, length: str) -> float:
        """Make so many calls in the app; return the CPU microseconds of each."""
        process = self.process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(f"{count} {length}\n")
        process.stdin.flush()
        spent, peak_kb = self.answer().split()
        self.made += count
        self.peak_kb = int(peak_kb)
        return float(spent) / count * 1e6

    def answer(self) -> str:
        """Return the app's next line."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {self.name} ended with {self.process.wait(10)}")
        return line

    def start(self, url: str, log: Path, suffix: str = "") -> "subprocess.Popen[str]":
        """Start and connect the app of this variant."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "BACKWATCH_"))}
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [BACKWATCH, "run", "--", sys.executable, "-m", "bench.bad_days_app", url], cwd=ROOT, text=True,
                env=kept | self.environment | {"OTEL_SERVICE_NAME": self.name + suffix}, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        return process


def exit_s(variant: Variant, url: str, log: Path, tries: int) -> float:
    """Return the seconds from an app's last line to its exit: the best of a few, since load only makes them longer."""
    found: list[float] = []
    for _ in range(tries):
        process = variant.start(url, log, "-exit")
        output, _ = process.communicate(f"{EXIT_CALLS} short\n", timeout=60)
        found.append(time.time() - float(output.splitlines()[-1]))
    return min(found)


@contextlib.contextmanager
def variants(wanted: list[str], broker: Server, folder: Path) -> Generator[list[Variant]]:
    """Return the variants with their streams, each in its failure state."""
    plain = StreamSettings(url=broker.url, partitions=1)
    ensure_topics(plain, (names.TOPIC_CALLS,))
    tls = {"BACKWATCH_KAFKA_SECURITY_PROTOCOL": "SSL", "BACKWATCH_KAFKA_CA_FILE": broker.ca_file or ""}
    days: dict[str, tuple[BadDay, dict[str, str], int]] = {
        "down": ("down", {}, broker.port),
        "black_hole": ("black_hole", {}, broker.port),
        "stalled": ("stalled", tls, broker.tls_port or 0),
    }
    with contextlib.ExitStack() as stack:
        found: list[Variant] = []
        for name in wanted:
            if name in days:
                day, more, port = days[name]
                bad: Gate = stack.enter_context(gate(day))
                variables = {"BACKWATCH_STREAM_URL": f"kafka://127.0.0.1:{bad.port}", **more}
                found.append(
                    Variant(name=name, environment=variables, settings=plain, mend=lambda o=bad, p=port: o.open(p))
                )
            elif name == "disk_full":
                try:
                    disk = stack.enter_context(small_disk(folder / "disk", DISK_BYTES))
                except MissingServerError as error:
                    print(f"{name}: left out: {error}")
                    continue
                disk.fill()
                embedded = StreamSettings(url=f"sqlite:///{disk.folder}/stream.db")
                variables = {"BACKWATCH_STREAM_URL": embedded.url}
                found.append(Variant(name=name, environment=variables, settings=embedded, mend=disk.free))
            else:
                variables = {"BACKWATCH_STREAM_URL": broker.url}
                found.append(Variant(name=name, environment=variables, settings=plain, mend=lambda: None))
        yield found


def measure(apps: list[Variant], options: argparse.Namespace) -> None:
    """Run the flood, then the rounds in alternating order; a first round is discarded."""
    for app in apps:
        app.flood_us = app.ask(FLOOD, "long")
        app.ask(200, "short")
        print(f"{app.name:10} flood {app.flood_us:7.1f} us/call, peak {app.peak_kb / 1000:.1f} MB", flush=True)
    for number in range(options.rounds):
        at = number % len(apps)
        for app in apps[at:] + apps[:at]:
            app.cost_us.append(app.ask(options.calls, "short"))


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=1_000, help="in each round")
    parser.add_argument("--variant", choices=VARIANTS[1:], action="append", help="these only, beside the healthy one")
    parser.add_argument("--quick", action="store_true", help="three rounds of 500 calls")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.calls = min(options.rounds, 3), min(options.calls, 500)
    print(rounds.machine("pymysql", "kafka-python"))
    print(f"{FLOOD:,} long calls, then {options.rounds} rounds of {options.calls:,} short ones, over TLS")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        ca = Authority(folder)
        url = stack.enter_context(mariadb.serve(ca)).tls_url
        broker = stack.enter_context(kafka_broker.serve(ca))
        wanted = ["healthy", *(options.variant or VARIANTS[1:])]
        apps = stack.enter_context(variants(wanted, broker, folder))
        for app in apps:
            app.process = app.start(url, folder / f"{app.name}.log")
            stack.callback(_end, app.process)
        measure(apps, options)
        exits = {app.name: exit_s(app, url, folder / f"{app.name}.log", 3) for app in apps}
        ledger = Ledger()
        for app in apps:
            app.mend()
        streams = [app.settings for app in apps]
        ledger.read(streams, lambda: all(ledger.count_accounted(app.name) >= app.made for app in apps), BACK_S)
        for app in apps:
            app.ask(1, "short")  # the peak of the stream's return belongs to it too
        _show(apps, exits, ledger, folder)


def _end(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
        process.communicate(timeout=20)
    process.kill()
    process.wait()


def _show(apps: list[Variant], exits: dict[str, float], ledger: Ledger, folder: Path) -> None:
    healthy = apps[0]
    result: dict[str, dict[str, float]] = {}
    for app in apps:
        app.made -= 1  # the last one was requested after the count
        figures = result[app.name] = {
            "cost_vs_healthy": round(rounds.ratio(app.cost_us, healthy.cost_us), 3),
            "rss_above_mb": round((app.peak_kb - healthy.peak_kb) * 1024 / 1e6, 1),
            "exit_s": round(exits[app.name], 2),
            "made": app.made,
            "delivered": len(ledger.delivered.get(app.name, ())),
            "dropped_reported": ledger.dropped.get(app.name, 0),
        }
        median = statistics.median(app.cost_us)
        print(f"{app.name:10} {median:6.1f} us/call  [{min(app.cost_us):.1f} .. {max(app.cost_us):.1f}]  {figures}")
        output = (folder / f"{app.name}.log").read_text().strip()
        print("".join(f"    {line[:160]}\n" for line in sorted(set(output.splitlines()))), end="")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
