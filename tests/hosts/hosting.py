"""Runs the app of ``apps/`` under a host, watched, and reads from the stream which process asked what."""

import contextlib
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from tests.services.brokers.whole_topic import whole_topic
from tests.services.server import Server
from tests.system.commands import BACKWATCH, environment

APPS = Path(__file__).with_name("apps")
BIN = Path(sys.executable).parent
PATIENCE_S = 40.0

Asked = Counter[tuple[str, int]]
"""How many calls of a name came from a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The services of the app, and the stream that its calls go to."""

    app: str
    stream_url: str
    settings: dict[str, str]
    log: Path

    def command(self, command: Sequence[str]) -> list[str]:
        """This command, watched."""
        return [BACKWATCH, "run", "--", *command]

    def run_program(self, *command: str, timeout_s: float = 120) -> str:
        """Runs a program of ``apps/`` to its end; what it printed."""
        done = subprocess.run(
            self.command(command), cwd=APPS, env=self.settings, capture_output=True, text=True, timeout=timeout_s
        )
        assert done.returncode == 0, done.stderr[-3_000:]
        return done.stdout

    @contextlib.contextmanager
    def serve(self, *command: str) -> Generator["subprocess.Popen[bytes]"]:
        """Keeps a server running inside the block; then asks it to leave."""
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self.command(command), cwd=APPS, env=self.settings, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output,
            )  # fmt: skip
        try:
            yield process
            process.terminate()
            process.wait(60)
        finally:
            process.kill()
            process.wait()

    def count_asked(self) -> Asked:
        """What has come in so far, SQL by its name and Redis by its key's prefix."""
        found: Asked = Counter()
        for record in whole_topic(StreamSettings(url=self.stream_url), "hosts"):
            for one in ExportTraceServiceRequest.FromString(record.value).resource_spans:
                attributes = {pair.key: pair.value for pair in one.resource.attributes}
                if attributes["service.name"].string_value == self.app:
                    pid = attributes["process.pid"].int_value
                    found.update((name, pid) for scope in one.scope_spans for name in _names(scope.spans))
        return found

    def until_asked(self, expected: Asked) -> Asked:
        """Waits until all these calls have come in, and a moment longer for what should not."""
        deadline = time.monotonic() + PATIENCE_S
        while expected - self.count_asked() and time.monotonic() < deadline:
            time.sleep(0.3)
        time.sleep(0.5)
        return self.count_asked()


def _names(spans: Sequence[object]) -> Generator[str]:
    for span in spans:
        attributes = {pair.key: pair.value.string_value for pair in span.attributes}  # pyright: ignore[reportAttributeAccessIssue]
        sql, command = attributes.get(names.QUERY_TEXT, ""), attributes.get(names.STATEMENT, "")
        if sql.startswith("SELECT ? AS "):
            yield sql.split()[3].rstrip(",")
        elif command.startswith("GET "):
            yield "redis:" + command[4:].partition(":")[0]


def twice(answers: dict[str, str]) -> Asked:
    """What must be in the stream: per name, one query and one command, from the process that answered."""
    return Counter({(prefix + name, int(pid)): 1 for name, pid in answers.items() for prefix in ("", "redis:")})


def labels(count: int) -> list[str]:
    """Names of letters alone: they are kept, as words of the app's own."""
    return [f"q{''.join(chr(97 + int(digit)) for digit in f'{at:03}')}" for at in range(count)]


def visit(port: int, wanted: Sequence[str]) -> dict[str, str]:
    """Asks the server for each name, eight at a time; which process answered."""

    def one(name: str) -> tuple[str, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=30) as answer:
            return name, answer.read().decode()

    with ThreadPoolExecutor(8) as pool:
        return dict(pool.map(one, wanted))


def host(folder: Path, stream_url: str, mariadb: Server, redis_server: Server, postgresql: Server) -> Host:
    """An app of its own name, with these services."""
    app = f"host-{secrets.token_hex(4)}"
    settings = environment({
        "BACKWATCH_APP": app, "BACKWATCH_STREAM_URL": stream_url,
        "BACKWATCH_COLLECTOR_EXIT_TIMEOUT_S": "20",  # for a busy machine
        "SHOP_MYSQL_PORT": str(mariadb.port),
        "SHOP_MYSQL_USER": mariadb.user, "SHOP_MYSQL_PASSWORD": mariadb.password,
        "SHOP_REDIS_URL": redis_server.url, "SHOP_POSTGRESQL_URL": postgresql.url,
        "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
    })  # fmt: skip
    return Host(app=app, stream_url=stream_url, settings=settings, log=folder / "host.log")
