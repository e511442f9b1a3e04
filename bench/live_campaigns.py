"""Live apps under sqlmap: is the attack named, with route and call path, before the first row leaves?

    make bench NAME=live_campaigns       ARGS="--sqlmap /path/to/sqlmap --databases postgres,mysql --modes cold,learnt"

The three apps of ``bench.campaigns.apps`` run under ``backwatch run`` on live databases. *Cold* is an app that nothing
is known of; *learnt* is one after honest traffic and two honest requests that break its one bad statement. The shipped
``backwatch replay`` judges the stream of the collector. Without ``--sqlmap``, a few requests of such a run are sent.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import open_consumer
from bench import rounds
from bench.campaigns import databases
from bench.campaigns.apps import BUGS, drive
from tests.services.process import free_port
from tests.services.server import HOST

APPS = ("flask_app", "django_app", "sqlalchemy_app")
UNSERVED = {("django_app", "mysql")}
TABLE = "staff"
"""The table that the attacker reads out; no honest statement names it."""
LOUD = frozenset(("medium", "high", "critical"))
READ_OUT = "5 UNION ALL SELECT id,login,password_hash FROM staff-- -"
PROBES = (
    "5.)(\",,.'", "5'gWXn<'\">oXtD", "5) AND 4215=9132 AND (7264=7264", "5 AND 4215=9132", "5 AND 7364=7364",
    "5 ORDER BY 1-- -", "5 ORDER BY 9-- -", "5 UNION ALL SELECT NULL,NULL-- -", "5 UNION ALL SELECT NULL,NULL,NULL-- -",
    READ_OUT,
)  # fmt: skip
"""Values of ``id`` in the order of a run of sqlmap."""
SETTLE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A call of the app.

    Attributes:
        start_ns: Its beginning.
        text: The redacted statement.
    """

    span_id: str
    start_ns: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The findings of one run.

    Attributes:
        calls: Calls of the attack.
        first_alert: Number of the attack's call that raised the first loud finding, from 1; 0: none.
        first_row: Number of the first call that names the table that is read out; 0: none.
        rule, level, route, path: Of that first finding.
        worst: The highest level that the attack reached.
        places: Call sites at which the attack raised findings.
        bugs: Rules that the honest bugs raised, without the informational ones.
        false_alarms: Loud findings on honest traffic, the bugs left out.
    """

    calls: int
    first_alert: int
    first_row: int
    rule: str = ""
    level: str = ""
    route: str = ""
    path: str = ""
    worst: str = ""
    places: tuple[str, ...] = ()
    bugs: tuple[str, ...] = ()
    false_alarms: int = 0

    @property
    def is_in_time(self) -> bool:
        """Return whether the attack was named before the table was."""
        return 0 < self.first_alert < (self.first_row or self.calls + 1)


@contextlib.contextmanager
def serving(app: str, database: str, stream: str) -> Generator[str]:
    """Serve an app under ``backwatch run`` and yield its URL; at the end it may deliver its last calls."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BACKWATCH_", "OTEL_"))}
    command = [sys.executable, "-m", f"bench.campaigns.apps.{app}", database, str(port)]
    backwatch = str(Path(sys.executable).with_name("backwatch"))
    settings = kept | {"BACKWATCH_STREAM_URL": stream, "BACKWATCH_APP": app}
    with subprocess.Popen(
        [backwatch, "run", "--", *command], env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise SystemExit(f"live_campaigns: {app} did not start")
            yield f"http://{HOST}:{port}"
            time.sleep(SETTLE_S)
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def read_stream(url: str) -> list[bytes]:
    """Return the records of an embedded stream."""
    consumer = open_consumer(StreamSettings(url=url, partitions=1), names.TOPIC_CALLS, "bench")
    try:
        until = time.monotonic() + 30
        while not consumer.assignment() and time.monotonic() < until:
            consumer.poll(0.2)
        found: list[bytes] = []
        for partition in consumer.assignment():
            start, end = consumer.bounds(partition)
            consumer.seek(partition, start)
            while start < end:
                for record in consumer.poll(1.0):
                    found.append(record.value)
                    start = record.offset + 1
        return found
    finally:
        consumer.close()


def spans_of(records: Sequence[bytes]) -> list[Span]:
    """Return the calls of a stream with a statement, in order of their beginning."""
    found: list[Span] = []
    for record in records:
        for resource in ExportTraceServiceRequest.FromString(record).resource_spans:
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                text = next((one.value.string_value for one in span.attributes if one.key == names.QUERY_TEXT), "")
                if text:
                    found.append(Span(span_id=span.span_id.hex(), start_ns=span.start_time_unix_nano, text=text))
    return sorted(found, key=lambda span: span.start_ns)


def replay(records: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return the findings of the shipped detector, in order."""
    with tempfile.NamedTemporaryFile(suffix=".pb") as file:
        file.write(b"".join(records))  # concatenated messages are one message
        file.flush()
        command = [sys.executable, "-m", "backwatch.collector", "replay", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge(records: Sequence[bytes], bugs_ns: int, attack_ns: int) -> Verdict:
    """Judge a stream: honest traffic until the bugs, which end with the attack's beginning."""
    spans, findings = spans_of(records), replay(records)
    attack = [span for span in spans if span.start_ns >= attack_ns]
    number = {span.span_id: at for at, span in enumerate(attack, 1)}
    begun = {span.span_id: span.start_ns for span in spans}
    raised = [one for one in findings if one["span_id"] in number and one["severity"] in LOUD]
    raised.sort(key=lambda one: number[one["span_id"]])
    earlier = [one for one in findings if one["span_id"] in begun and one["span_id"] not in number]
    bugs = [one for one in earlier if begun[one["span_id"]] >= bugs_ns]
    first_row = next((at for at, span in enumerate(attack, 1) if TABLE in span.text.lower()), 0)
    honest = sum(begun[one["span_id"]] < bugs_ns and one["severity"] in LOUD for one in earlier)
    verdict = Verdict(
        calls=len(attack), first_alert=0, first_row=first_row, false_alarms=honest,
        bugs=tuple(sorted({_named(one) for one in bugs if one["severity"] != "informational"})),
    )  # fmt: skip
    if not raised:
        return verdict
    first = max((one for one in raised if one["span_id"] == raised[0]["span_id"]), key=lambda one: one["severity"])
    levels = [level for level in ("medium", "high", "critical") if any(one["severity"] == level for one in raised)]
    return Verdict(
        calls=verdict.calls, first_row=first_row, false_alarms=honest, bugs=verdict.bugs,
        first_alert=number[first["span_id"]], rule=first["detector"], level=first["severity"],
        route=first["evidence"].get(names.HTTP_ROUTE, ""), path=first["evidence"].get(names.CALL_PATH, "")
        or f"{first['evidence'].get(names.CODE_FILE, '')}:{first['evidence'].get(names.CODE_FUNCTION, '')}",
        worst=levels[-1], places=tuple(sorted({one["key"].rpartition(" @ ")[2] for one in raised})),
    )  # fmt: skip


def _named(finding: dict[str, Any]) -> str:
    return f"{finding['detector']} ({finding['severity']})"


def attack(url: str, sqlmap: Path | None, limit_s: float) -> None:
    """Let sqlmap read a table out, or send what it would send."""
    if sqlmap is None:
        drive.request(url, (f"/find?id={quote(value)}&name=a" for value in PROBES))
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        drive.attack(sqlmap, url, limit_s=limit_s, table=TABLE)


def run(app: str, database: str, mode: str, options: argparse.Namespace) -> Verdict:
    """Run one app once."""
    with tempfile.TemporaryDirectory() as folder:
        stream = f"sqlite:///{folder}/stream.db"
        with serving(app, database, stream) as url:
            bugs_ns = time.time_ns()
            if mode == "learnt":
                drive.request(url, drive.honest_paths(options.honest, Random(options.seed)))
                bugs_ns = time.time_ns()
                drive.request(url, BUGS)
            attack_ns = time.time_ns()
            attack(url, options.sqlmap, options.run_s)
        return judge(read_stream(stream), bugs_ns, attack_ns)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--apps", default=",".join(APPS), help="default: %(default)s")
    found.add_argument("--databases", default="postgres", help="of postgres, mysql, sqlite; default: %(default)s")
    found.add_argument("--modes", default="cold,learnt", help="default: %(default)s")
    found.add_argument("--sqlmap", type=Path, help="sqlmap's command")
    found.add_argument("--honest", type=int, default=1_000, help="honest requests of the learnt mode")
    found.add_argument("--run-s", type=float, default=120, help="seconds of one sqlmap run")
    found.add_argument("--seed", type=int, default=1)
    return found


def main(arguments: list[str] | None = None) -> dict[str, Verdict]:
    """Run the bench and print a table; the last line is JSON."""
    options = parser().parse_args(arguments)
    print(rounds.machine("flask", "django", "sqlalchemy", "psycopg2-binary", "pymysql"))
    found: dict[str, Verdict] = {}
    for kind in options.databases.split(","):
        with databases.serve(kind) as database:
            for app in (app for app in options.apps.split(",") if (app, kind) not in UNSERVED):
                for mode in options.modes.split(","):
                    verdict = found[f"{app}, {kind}, {mode}"] = run(app, database.url, mode, options)
                    _show(f"{app}, {kind}, {mode}", verdict)
    in_time = sum(verdict.is_in_time for verdict in found.values())
    print(json.dumps({"runs": len(found), "named_before_first_row": in_time}))
    return found


def _show(name: str, verdict: Verdict) -> None:
    print(
        f"{name:32} {'in time' if verdict.is_in_time else 'TOO LATE':8} {verdict.rule} ({verdict.level}) at call "
        f"{verdict.first_alert} of {verdict.calls}, first row at {verdict.first_row or '-'}, ends {verdict.worst}; "
        f"route {verdict.route or '-'}, path {verdict.path}; call sites {', '.join(verdict.places)}; "
        f"bugs: {', '.join(verdict.bugs) or '-'}; false alarms: {verdict.false_alarms}", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
