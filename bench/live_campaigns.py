"""Live apps under attack: is it named, with route and call path, before the first row leaves, and is it one alert?

    make bench NAME=live_campaigns       ARGS="--sqlmap /path/to/sqlmap --databases postgres,mysql --modes cold,learnt"

The three apps of ``bench.campaigns.apps`` run under ``backwatch run`` on live databases. sqlmap reads a table out; the
attacks of ``intruder`` do what a person would do by hand. *Cold* is an app of which nothing is known; *learnt* is one
after honest traffic and two honest requests that break its bad statement. The shipped engine judges the stream of the
collector, for each attack on its own: what preceded the other attacks, and then this one. Without ``--sqlmap``, a few
requests of such a run are sent.
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
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import open_consumer
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.runtime.replay import Replay, as_json
from bench import rounds
from bench.campaigns import databases
from bench.campaigns.apps import BUGS, drive, intruder
from tests.services.process import free_port
from tests.services.server import HOST

APPS = ("flask_app", "django_app", "sqlalchemy_app")
UNSERVED = {("django_app", "mysql")}
SQLMAP = "sqlmap"
ATTACKS = (SQLMAP, *intruder.ATTACKS)
TABLE = "staff"
"""The table that the attacker reads out; no honest statement names it."""
LOUD = ("medium", "high", "critical")
NAMED = "query-attack"
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


@dataclass(frozen=True, slots=True)
class Phase:
    """What was sent to the app from a time on."""

    name: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The findings of one attack.

    Attributes:
        calls: Calls of the attack.
        named: Number of the attack's call that was first called an attack, from 1; 0: none.
        first_row: Number of the first call that names the table that is read out; 0: none.
        route, path: Of that first finding.
        worst: The highest level that the attack reached.
        alerts: Alerts of medium or more that the attack raised, as rule and call site.
        bugs: Rules that the honest bugs raised, without the informational ones.
        false_alarms: Loud findings on honest traffic, the bugs left out.
    """

    calls: int
    named: int
    first_row: int
    route: str
    path: str
    worst: str
    alerts: tuple[str, ...]
    bugs: tuple[str, ...]
    false_alarms: tuple[str, ...]

    @property
    def is_in_time(self) -> bool:
        """Return whether the attack was named at the latest by the first call that names the table."""
        return 0 < self.named <= (self.first_row or self.calls)


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


def cut(records: Sequence[bytes], phases: Sequence[Phase]) -> list[bytes]:
    """Return the records with the spans of some phases alone."""
    kept: list[bytes] = []
    for record in records:
        request = ExportTraceServiceRequest.FromString(record)
        for scope in (scope for resource in request.resource_spans for scope in resource.scope_spans):
            spans = [
                span for span in scope.spans
                if any(phase.start_ns <= span.start_time_unix_nano < phase.end_ns for phase in phases)
            ]  # fmt: skip
            del scope.spans[:]
            scope.spans.extend(spans)
        kept.append(request.SerializeToString())
    return kept


def judge(engine: Engine, records: Sequence[bytes], past: Sequence[Phase], attack: Phase) -> Verdict:
    """Judge an attack after honest traffic and bugs, the phases ``honest`` and ``bugs`` of the past."""
    stream = cut(records, [*past, attack])
    spans = spans_of(stream)
    begun = {span.span_id: span.start_ns for span in spans}
    attacking = [span for span in spans if span.start_ns >= attack.start_ns]
    number = {span.span_id: at for at, span in enumerate(attacking, 1)}
    findings = [as_json(finding) for finding in Replay(engine).judge(stream)]
    raised = [one for one in findings if one["span_id"] in number and one["severity"] in LOUD]
    raised.sort(key=lambda one: number[one["span_id"]])
    named = next((one for one in raised if one["detector"] == NAMED), None)

    def names_of(phase_name: str, levels: Sequence[str]) -> tuple[str, ...]:
        during = [phase for phase in past if phase.name == phase_name]
        found = [
            one for one in findings
            if one["severity"] in levels
            and any(phase.start_ns <= begun.get(one["span_id"], 0) < phase.end_ns for phase in during)
        ]  # fmt: skip
        return tuple(sorted({f"{one['detector']} ({one['severity']})" for one in found}))

    evidence: dict[str, Any] = named["evidence"] if named else {}
    function = f"{evidence.get(names.CODE_FILE, '')}:{evidence.get(names.CODE_FUNCTION, '')}"
    return Verdict(
        calls=len(attacking), named=number[named["span_id"]] if named else 0,
        first_row=next((at for at, span in enumerate(attacking, 1) if TABLE in span.text.lower()), 0),
        route=evidence.get(names.HTTP_ROUTE, ""), path=evidence.get(names.CALL_PATH, "") or function,
        worst=max((one["severity"] for one in raised), key=LOUD.index, default=""),
        alerts=tuple(dict.fromkeys(f"{one['detector']} @ {one['key'].rpartition(' @ ')[2]}" for one in raised)),
        bugs=names_of("bugs", ("low", *LOUD)), false_alarms=names_of("honest", LOUD),
    )  # fmt: skip


def attack(url: str, kind: str, name: str, options: argparse.Namespace) -> None:
    """Carry out one attack."""
    if name != SQLMAP:
        intruder.ATTACKS[name](url, kind)
    elif options.sqlmap is None:
        drive.request(url, (f"/find?id={quote(value)}&name=a" for value in PROBES))
    else:
        with contextlib.suppress(subprocess.TimeoutExpired):
            drive.attack(options.sqlmap, url, limit_s=options.run_s, table=TABLE)


def play(url: str, kind: str, mode: str, options: argparse.Namespace) -> list[Phase]:
    """Send honest traffic and bugs where the app is to be learnt, then the attacks; return the phases."""
    actions: list[tuple[str, Callable[[], object]]] = []
    if mode == "learnt":
        honest = drive.honest_paths(options.honest, Random(options.seed))
        actions += [("honest", lambda: drive.request(url, honest)), ("bugs", lambda: drive.request(url, BUGS))]
    actions += [(name, lambda name=name: attack(url, kind, name, options)) for name in options.attacks.split(",")]
    phases: list[Phase] = []
    for name, act in actions:
        start_ns = time.time_ns()
        act()
        phases.append(Phase(name, start_ns, time.time_ns()))
    return phases


def run(
    engine: Engine, app: str, database: databases.Database, mode: str, options: argparse.Namespace
) -> dict[str, Verdict]:
    """Run one app once; return the verdict of each attack."""
    with tempfile.TemporaryDirectory() as folder:
        stream = f"sqlite:///{folder}/stream.db"
        with serving(app, database.url, stream) as url:
            phases = play(url, database.dialect.name, mode, options)
        records = read_stream(stream)
    past = [phase for phase in phases if phase.name in ("honest", "bugs")]
    return {phase.name: judge(engine, records, past, phase) for phase in phases if phase not in past}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--apps", default=",".join(APPS), help="default: %(default)s")
    found.add_argument("--databases", default="postgres", help="of postgres, mysql, sqlite; default: %(default)s")
    found.add_argument("--modes", default="cold,learnt", help="default: %(default)s")
    found.add_argument("--attacks", default=",".join(ATTACKS), help="default: %(default)s")
    found.add_argument("--sqlmap", type=Path, help="sqlmap's command")
    found.add_argument("--honest", type=int, default=1_000, help="honest requests of the learnt mode")
    found.add_argument("--run-s", type=float, default=120, help="seconds of one sqlmap run")
    found.add_argument("--seed", type=int, default=1)
    return found


def main(arguments: list[str] | None = None) -> dict[tuple[str, str, str, str], Verdict]:
    """Run the bench and print a line for each attack; the last line is JSON.

    Returns:
        Verdicts by app, database, mode and attack.
    """
    options = parser().parse_args(arguments)
    print(rounds.machine("flask", "django", "sqlalchemy", "psycopg2-binary", "pymysql"))
    engine = make_engine(EngineConfig())
    found: dict[tuple[str, str, str, str], Verdict] = {}
    for kind in options.databases.split(","):
        with databases.serve(kind) as database:
            for app in (app for app in options.apps.split(",") if (app, kind) not in UNSERVED):
                for mode in options.modes.split(","):
                    for name, verdict in run(engine, app, database, mode, options).items():
                        found[app, kind, mode, name] = verdict
                        _show(f"{app}, {kind}, {mode}, {name}", verdict)
    in_time = sum(verdict.is_in_time for verdict in found.values())
    critical = sum(verdict.worst == "critical" for verdict in found.values())
    print(json.dumps({"attacks": len(found), "named_before_first_row": in_time, "critical": critical}))
    return found


def _show(name: str, verdict: Verdict) -> None:
    print(
        f"{name:42} {'in time' if verdict.is_in_time else 'TOO LATE':8} at call {verdict.named} of {verdict.calls}, "
        f"first row at {verdict.first_row or '-'}, ends {verdict.worst or '-'}; route {verdict.route or '-'}, "
        f"path {verdict.path}; alerts {', '.join(verdict.alerts) or '-'}; bugs: {', '.join(verdict.bugs) or '-'}; "
        f"false alarms: {', '.join(verdict.false_alarms) or '-'}", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
