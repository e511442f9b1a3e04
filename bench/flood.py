"""A million anomalous calls through detector, store and notify: message count and delay of critical alerts.

    make bench NAME=flood          ARGS="--calls=100000 --rate=10000 --stream=kafka://localhost:9092"

Every call of the flood is a different statement, and so an alert by itself. Every few seconds a critical call comes on
a separate resource. Detector and notify are separate processes with the shipped settings. The receiver is real, on
loopback.
"""

import argparse
import base64
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import ensure_topics, open_publisher
from backwatch.store import health, tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from bench import rounds
from tests.detector.streams import SAFE, Call, encode, statement
from tests.services.http.receiver import Receiver, receiver
from tests.system.commands import BACKWATCH, environment

PER_RECORD = 500
DIGITS = 12
SECOND_NS = 10**9
CRITICAL_EVERY_S = 5.0
PATIENCE_S = 240.0


class Template:
    """One record of many calls with different statements, of which copies cost little to make.

    Args:
        shape: The other dimension that differs from call to call: statements alone, call sites, resources or apps.
    """

    def __init__(self, shape: str) -> None:
        self._at_ns = 0x1122334455667788
        text = encode([self._call(i, shape) for i in range(PER_RECORD)])
        self._bytes = np.frombuffer(text, np.uint8)
        found = [match.start() + 1 for match in re.finditer(rb"n\d{12}", text)]
        self._each = len(found) // PER_RECORD
        self._places = np.array(found, np.int64)
        self._times = np.array(
            [found.start() for found in re.finditer(re.escape(self._at_ns.to_bytes(8, "little")), text)], np.int64
        )
        self._powers = 10 ** np.arange(DIGITS - 1, -1, -1, dtype=np.int64)

    def _call(self, i: int, shape: str) -> Call:
        number = f"n{i:0{DIGITS}}"
        site = f"{number}.py:f" if shape == "sites" else "views.py:orders"
        session = {**SAFE, names.SERVER_ADDRESS: number} if shape == "resources" else SAFE
        app = number if shape == "apps" else "flooded"
        text = f"SELECT pg_sleep(?) FROM {number}"
        return Call(self._at_ns, session, statement(text, site), app, lasted_ns=0)

    def record(self, first: int, at_ns: int) -> bytes:
        """Return statements ``first`` and following, at this time."""
        out = self._bytes.copy()
        numbers = np.repeat(first + np.arange(PER_RECORD, dtype=np.int64), self._each)
        digits = (numbers[:, None] // self._powers) % 10 + ord("0")
        out[self._places[:, None] + np.arange(DIGITS)] = digits
        out[self._times[:, None] + np.arange(8)] = np.frombuffer(at_ns.to_bytes(8, "little"), np.uint8)
        return out.tobytes()


def critical(number: int, at_ns: int, app: str) -> bytes:
    """Return one critical call, on a separate resource."""
    facts = {**statement(f"COPY loot{number} TO PROGRAM ?"), names.QUERY_SIGNS: "program"}
    return encode([Call(at_ns, {**SAFE, names.SERVER_ADDRESS: f"critical-{number}"}, facts, app)])


@dataclass
class Arrivals:
    """Arrival times of messages at the receiver."""

    webhook: Receiver
    bodies: list[tuple[float, dict[str, object]]] = field(default_factory=list[tuple[float, dict[str, object]]])

    def look(self) -> None:
        """Stamp the messages since the last check."""
        for request in self.webhook.requests[len(self.bodies) :]:
            self.bodies.append((time.time(), json.loads(request.body)))

    def critical_s(self) -> dict[int, float]:
        """Map the number of each critical call to the time of its message."""
        found: dict[int, float] = {}
        for at_s, body in self.bodies:
            named = re.search(r"critical-(\d+)", json.dumps(body["data"]))
            if body["type"] == "alert.opened" and named:
                found.setdefault(int(named[1]), at_s)
        return found


@dataclass(frozen=True, slots=True)
class FloodResult:
    """The result of a flood."""

    calls: int
    flood_s: float
    caught_up_s: float
    messages: int
    digests: int
    counted: int
    alerts: int
    events: int
    critical_s: list[float]
    cpu_s: float
    peak_mib: float


@contextlib.contextmanager
def start_commands(settings: Mapping[str, str], *names_of: str) -> Generator[list["subprocess.Popen[bytes]"]]:
    """Commands of Backwatch as separate processes."""
    running = [
        subprocess.Popen([BACKWATCH, name], env=environment(settings), stdout=subprocess.DEVNULL, stderr=sys.stderr)
        for name in names_of
    ]
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)


def flood(
    stream: str,
    directory: Path,
    calls: int,
    rate: int,
    critical_every_s: float = CRITICAL_EVERY_S,
    shape: str = "statements",
) -> FloodResult:
    """Flood a separate installation, and measure it."""
    store_url = f"sqlite:///{directory / 'store.db'}"
    with receiver() as webhook:
        settings = {
            "BACKWATCH_STREAM_URL": stream, "BACKWATCH_STORE_URL": store_url, "BACKWATCH_STREAM_PARTITIONS": "2",
            "BACKWATCH_WEBHOOK_URL": webhook.url, "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
            "BACKWATCH_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"s" * 32).decode(),
        }  # fmt: skip
        store = open_store(store_url)
        arrivals = Arrivals(webhook)
        with start_commands(settings, "detect", "notify") as processes:
            target = StreamSettings(url=stream, partitions=2)
            sent = _publish(target, Template(shape), calls, rate, critical_every_s, arrivals)
            done = time.time()
            _wait(
                arrivals,
                lambda: sent.appended_s.keys() <= arrivals.critical_s().keys() and _count_judged(store) >= calls,
            )
            caught_up_s = time.time() - done
            cpu_s, peak_mib = _get_usage(processes[0].pid)
        with reading(store) as connection:
            alerts, events = (connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                              for table in (tables.alert, tables.event))  # fmt: skip
        came = arrivals.critical_s()
        digests = [body for _, body in arrivals.bodies if body["type"] == "alert.digest"]
        return FloodResult(
            calls=calls, flood_s=sent.seconds, caught_up_s=caught_up_s, messages=len(arrivals.bodies),
            digests=len(digests), counted=sum(int(str(body["data"]["count"])) for body in digests),  # type: ignore[index]
            alerts=alerts, events=events, critical_s=[came[number] - at for number, at in sent.appended_s.items()],
            cpu_s=cpu_s, peak_mib=peak_mib,
        )  # fmt: skip


@dataclass
class Sent:
    """Return when each critical call was appended, and the duration of the flood."""

    appended_s: dict[int, float] = field(default_factory=dict[int, float])
    seconds: float = 0.0


def _publish(
    stream: StreamSettings, template: Template, calls: int, rate: int, every_s: float, arrivals: Arrivals
) -> Sent:
    ensure_topics(stream, (names.TOPIC_SPANS, names.TOPIC_CALLS))
    publisher = open_publisher(stream)
    sent = Sent()
    number = 0

    def alarm(app: str) -> None:
        nonlocal number
        publisher.publish(names.TOPIC_CALLS, [Message(critical(number, time.time_ns(), app), app.encode())], 60)
        sent.appended_s[number] = time.time()
        number += 1

    alarm("flooded")  # the first one detects that the detector has started, and is not measured
    _wait(arrivals, lambda: 0 in arrivals.critical_s())
    del sent.appended_s[0]
    begin, next_s = time.time(), 0.0
    for first in range(0, calls, PER_RECORD):
        value = template.record(first, time.time_ns())
        publisher.publish(names.TOPIC_CALLS, [Message(value, b"flooded")], 60)
        while True:
            passed = time.time() - begin
            if passed >= next_s:
                alarm("flooded" if number % 2 else "another")
                next_s += every_s
            arrivals.look()
            if (first + PER_RECORD) / rate <= passed:
                break
            time.sleep(0.002)
    sent.seconds = time.time() - begin
    publisher.close(60)
    return sent


def _count_judged(store: sa.Engine) -> int:
    with reading(store) as connection:
        return health.health(connection).counters.get("calls", 0)


def _wait(arrivals: Arrivals, holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(f"bench: the flood is not judged within {PATIENCE_S:.0f} s")
        arrivals.look()
        threading.Event().wait(0.05)
    arrivals.look()


def _get_usage(pid: int) -> tuple[float, float]:
    """Return the CPU seconds and the most resident MiB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return (int(fields[11]) + int(fields[12])) / 100, int(peak[1]) / 1024 if peak else 0.0


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=10_000, help="calls a second")
    parser.add_argument("--stream", default="", help="kafka://host:port; else a file")
    parser.add_argument("--shape", default="statements", choices=("statements", "sites", "resources", "apps"))
    options = parser.parse_args()
    print(rounds.machine("numba", "kafka-python"))
    with tempfile.TemporaryDirectory() as directory:
        stream = options.stream or f"sqlite:///{Path(directory) / 'stream.db'}"
        found = flood(stream, Path(directory), options.calls, options.rate, shape=options.shape)
    late = sorted(found.critical_s)
    print(
        f"{found.calls:,} anomalous calls in {found.flood_s:.0f} s, judged {found.caught_up_s:.1f} s later: "
        f"{found.alerts} alerts, {found.events} events, {found.messages} messages of which {found.digests} digests; "
        f"{len(late)} critical alerts, the latest {late[-1]:.2f} s after its append; "
        f"detector {found.cpu_s:.0f} CPU s, at most {found.peak_mib:.0f} MiB"
    )
    print(json.dumps({
        "calls": found.calls, "messages": found.messages, "critical_latest_s": round(late[-1], 2),
        "critical_median_s": round(late[len(late) // 2], 2), "alerts": found.alerts, "events": found.events,
        "cpu_s": found.cpu_s, "peak_mib": round(found.peak_mib),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
