"""Starts an app under a host with several workers, and finds out which of them deliver their calls."""

import contextlib
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from tests.hosts.hosting import APPS, BIN
from tests.services.brokers.whole_topic import whole_topic
from tests.services.process import free_port
from tests.services.server import accepts
from tests.services.waiting import wait_until
from tests.system.commands import BACKWATCH, environment

HOSTS = ("gunicorn", "uvicorn")
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class HostStart:
    """One start of a host.

    Attributes:
        workers: Process ids of the workers that answered requests.
        delivered: Those of them whose calls are in the stream.
        log: What the host wrote.
    """

    workers: set[int] = field(default_factory=set[int])
    delivered: set[int] = field(default_factory=set[int])
    log: str = ""


@contextlib.contextmanager
def busy_machine(processes: int) -> Generator[None]:
    """Keep so many processes busy inside the block, ten minutes at most."""
    code = "import time\nend = time.monotonic() + 600\nwhile time.monotonic() < end: pass"
    burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def command_of(host: str, workers: int, port: int) -> list[str]:
    """The command that starts the app with so many workers."""
    if host == "gunicorn":
        return ["gunicorn", "--preload", "-w", str(workers), "-b", f"127.0.0.1:{port}", "counter:application"]
    return [
        "uvicorn", "--workers", str(workers), "--port", str(port), "--lifespan", "off", "--log-level", "info",
        "counter:asgi",
    ]  # fmt: skip


def start_host(host: str, workers: int, folder: Path, settings: Mapping[str, str]) -> HostStart:
    """Start the host, watched, until all its workers have answered; then end it and read the stream."""
    port = free_port()
    app_environment = environment({"PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]), **settings})
    log = folder / "host.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BACKWATCH, "run", "--", *command_of(host, workers, port)], cwd=APPS, env=app_environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_until(accepts(port), f"{host} does not listen:\n{log.read_text(errors='replace')[-2000:]}", PATIENCE_S)
        answered = visit_all(port, workers)
        delivered = until_delivered(answered, StreamSettings(url=settings["BACKWATCH_STREAM_URL"]))
        process.terminate()
        process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    return HostStart(answered, answered & delivered, log.read_text(errors="replace"))


def visit_all(port: int, workers: int) -> set[int]:
    """Ask until so many workers have answered."""

    def visit(_: int) -> int:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            return int(answer.read())
        return 0

    answered: set[int] = set()
    deadline = time.monotonic() + PATIENCE_S
    with ThreadPoolExecutor(16) as pool:
        while len(answered) < workers and time.monotonic() < deadline:
            answered |= set(pool.map(visit, range(32))) - {0}
    return answered


def until_delivered(expected: set[int], stream: StreamSettings) -> set[int]:
    """Wait until calls of all these processes are in the stream; return the processes of those that are."""
    deadline = time.monotonic() + PATIENCE_S
    group = f"starts-{secrets.token_hex(4)}"
    while True:
        found, is_over = set[int](), time.monotonic() > deadline
        try:
            found = _list_delivering(stream, group)
        except TimeoutError:  # of a broker on a busy machine: what is not read is not missing
            is_over = time.monotonic() > deadline + PATIENCE_S
        if expected <= found or is_over:
            return found
        time.sleep(0.3)


def _list_delivering(stream: StreamSettings, group: str) -> set[int]:
    found: set[int] = set()
    for record in whole_topic(stream, group):
        for resource in ExportTraceServiceRequest.FromString(record.value).resource_spans:
            attributes = {pair.key: pair.value for pair in resource.resource.attributes}
            if any(attribute.key == names.QUERY_TEXT for scope in resource.scope_spans for span in scope.spans
                   for attribute in span.attributes):  # fmt: skip
                found.add(attributes["process.pid"].int_value)
    return found
