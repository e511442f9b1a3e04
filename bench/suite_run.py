"""One run of a third-party test suite: bare, under ``backwatch run``, under OpenTelemetry contrib, or attached.

Each run has its own server. Afterwards the result of each test is known, and the number of calls in the stream or of
spans at the receiver. Without any, the column would prove nothing.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import open_consumer
from bench.otlp_receiver import count_spans
from bench.suite_setup import ROOT, SUITES, Suite
from tests.services.authority import Authority
from tests.services.databases import fresh_database
from tests.services.server import Server

BARE, BACKWATCH, CONTRIB, ATTACHED = "bare", "backwatch", "contrib", "attached"
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
WORST_LAST = (PASSED, SKIPPED, FAILED)


@dataclass(slots=True, kw_only=True)
class SuiteRun:
    """The result of a run.

    Attributes:
        outcomes: The result of each test, by name.
        why: The end of each failed test's output.
        recorded: Calls in the stream or spans at the receiver; 0 for a bare run.
        faults: Backwatch's faults that the guard swallowed in the suite's process, and their first texts.
        ended: The process's exit code; ``None`` if it was killed after the timeout.
    """

    outcomes: dict[str, str] = field(default_factory=dict[str, str])
    why: dict[str, str] = field(default_factory=dict[str, str])
    recorded: int = 0
    faults: int = 0
    swallowed: list[str] = field(default_factory=list[str])
    ended: int | None = None

    def of(self, outcome: str) -> set[str]:
        """Return the tests with this result."""
        return {test for test, found in self.outcomes.items() if found == outcome}


def run(suite: Suite, column: str, log: Path, *, short: bool = False) -> SuiteRun:
    """Run the suite once, its output in ``log``."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="transparency-")))
        server = stack.enter_context(_server(suite, folder))
        words = _words(suite, server)
        outcomes_file = folder / "outcomes.jsonl"
        outcomes_file.touch()
        asked = suite.short if short and suite.short else suite.command
        command = [str(suite.python), *(word.format_map(words) for word in asked)]
        environment = _environment(suite, words) | {"SUITE_OUTCOMES": str(outcomes_file)}
        count = lambda: 0  # noqa: E731
        if column == BACKWATCH:
            url = f"sqlite:///{folder}/stream.db"
            environment |= {"BACKWATCH_STREAM_URL": url, "BACKWATCH_COLLECTOR_QUEUE_RECORDS": "100000"}
            command = [str(suite.python.with_name("backwatch")), "run", "--", *command]
            count = lambda: _calls(url)  # noqa: E731
        elif column == CONTRIB:
            otlp = stack.enter_context(_receiver())
            environment |= _contrib_environment(otlp)
            command = [str(suite.python.with_name("opentelemetry-instrument")), *command]
            count = lambda: int(urllib.request.urlopen(f"{otlp}/suite", timeout=10).read())  # noqa: E731, S310  the bench's own
        elif column == ATTACHED:
            attached = folder / "attached"
            attached.touch()
            environment |= _attached_environment(suite, words, environment) | {"SUITE_ATTACHED": str(attached)}
            count = lambda: attached.stat().st_size  # noqa: E731
        ended = _process(command, suite, environment, log)
        result = _read(outcomes_file)
        result.ended = ended
        result.recorded = count()
        return result


def _environment(suite: Suite, words: Mapping[str, str]) -> dict[str, str]:
    """Return the shell's environment without settings that affect tests, and with pytest's listener."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "BACKWATCH_", "PYTEST_"))}
    kept.pop("CI", None)
    return {
        **kept,
        "PATH": os.pathsep.join([str(suite.python.parent), kept.get("PATH", "")]),
        "PYTHONPATH": str(SUITES / "plugin"),
        "PYTEST_PLUGINS": "suite_outcomes",
        "PYTHONHASHSEED": "0",
        **{key: value.format_map(words) for key, value in suite.environment.items()},
    }


def _attached_environment(suite: Suite, words: Mapping[str, str], base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which the suite's connections are opened through ``attach``."""
    return {
        "SUITE_DRIVER": suite.name, "SUITE_HOST": words["host"], "SUITE_PORT": words["tls_port"],
        "SUITE_CA_FILE": words["ca_file"], "PYTEST_PLUGINS": f"{base['PYTEST_PLUGINS']},suite_attach",
        "PYTHONPATH": os.pathsep.join([base["PYTHONPATH"], str(ROOT / "resource" / "src")]),
    }  # fmt: skip


def _contrib_environment(otlp: str) -> dict[str, str]:
    return {
        "BACKWATCH_ENABLED": "false",
        "OTEL_SERVICE_NAME": "suite",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
    }


def _words(suite: Suite, server: Server | None) -> dict[str, str]:
    """Return the words that a suite's file may name in braces."""
    words = {"python": str(suite.python), "suites": str(SUITES)}
    if server is not None:
        named = ("host", "port", "tls_port", "user", "password", "ca_file", "url", "tls_url", "socket")
        words |= {name: str(getattr(server, name)) for name in named}
    return words


@contextlib.contextmanager
def _server(suite: Suite, folder: Path) -> Generator[Server | None]:
    if not suite.server:
        yield None
        return
    certificates = folder / "certificates"
    certificates.mkdir()
    with importlib.import_module(f"tests.services.databases.{suite.server}").serve(Authority(certificates)) as server:
        for statement in suite.sql:
            _prepare(server, statement)
        yield server


def _prepare(server: Server, statement: str) -> None:
    """Run one statement; ``DATABASE: …`` before it names a database other than the account's own."""
    if server.kind == "mariadb":
        fresh_database.mariadb_sql(server, statement)
        return
    database, colon, rest = statement.partition(": ")
    url = server.url.removesuffix("postgres") + database if colon else server.url
    fresh_database.postgresql_sql(url, rest if colon else statement)


def _process(command: list[str], suite: Suite, environment: dict[str, str], log: Path) -> int | None:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=suite.sources, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(suite.timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _read(outcomes_file: Path) -> SuiteRun:
    result = SuiteRun()
    for line in outcomes_file.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            entry = json.loads(line)
            if "faults" in entry:
                result.faults += entry["faults"]
                result.swallowed += entry["swallowed"]
                continue
            test, outcome = entry["test"], entry["outcome"]
            known = result.outcomes.get(test, PASSED)
            result.outcomes[test] = max(known, outcome, key=WORST_LAST.index)
            if outcome == FAILED:
                result.why[test] = entry["why"]
    return result


def _calls(url: str) -> int:
    """Return the number of calls in the stream."""
    consumer = open_consumer(StreamSettings(url=url), names.TOPIC_CALLS, "transparency")
    try:
        consumer.poll(0)
        first, upcoming = consumer.bounds(0)
        consumer.seek(0, first)
        found, at = 0, first
        while at < upcoming:
            records = consumer.poll(0.2)
            if not records:
                break
            found += sum(count_spans(record.value).total() for record in records)
            at = records[-1].offset + 1
        return found
    finally:
        consumer.close()


@contextlib.contextmanager
def _receiver() -> Generator[str]:
    """Return the URL of an OTLP receiver in another process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.otlp_receiver"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.communicate()
