"""Capture of input: run the attack pack and the quiet hour once, and keep the calls of their apps.

Names of the machine, of its folders and of processes are replaced, so that no recording holds any of them.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from backwatch.attack import history
from backwatch.attack.authority import Authority
from backwatch.attack.baseline import apps
from backwatch.attack.baseline.workload_runs import WorkloadRun, runs_of
from backwatch.attack.baseline.workloads import discover as discover_workloads
from backwatch.attack.environment import Child, Environment, clean_environment
from backwatch.attack.scenarios import AppConfig, Scenario
from backwatch.attack.scenarios import discover as discover_attacks
from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import open_consumer
from tests.contract.golden.streams import Block, calls_of

AT_ONCE = 8
PATIENCE_S = 400.0
ATTEMPTS = 3
"""At an app's work: on a busy machine its client may time out."""
HOUR_NS = 3_600 * 10**9
PAST_ROUNDS = 6
PAST_REPETITIONS = 32
PAST_EVERY_NS = 6 * HOUR_NS
PAST_GAP_NS = 300 * 10**9
"""Between the end of the past and the first live call."""
MAX_STRETCH_S = 3_600
"""A repetition over more than that keeps the distances of its calls: each call by itself would cost a step."""
_FOLDER = re.compile(r"/[^\s'\"]*backwatch-(?:attack|quiet|golden)-[^/\s'\"]+")
_HOST, _PID = "app-host", 4242


def capture_pack(step: Callable[[str], None], only: Collection[str] = ()) -> list[Block]:
    """Run every attack, or only some, and return its app's calls before and after its service turned hostile.

    Raises:
        RuntimeError: An app failed.
    """
    kinds = [kind for kind in discover_attacks() if not only or kind.name() in only]
    with tempfile.TemporaryDirectory(prefix="backwatch-golden-") as name, ThreadPoolExecutor(AT_ONCE) as pool:
        authority = Authority(Path(name) / "authority")
        runs = {kind: pool.submit(_run_attack, kind, Path(name) / kind.name(), authority) for kind in kinds}
        for kind, run in runs.items():
            step(f"{kind.name()}: {run.exception() or 'captured'}")
    if failed := [f"{kind.name()}: {run.exception()}" for kind, run in runs.items() if run.exception()]:
        raise RuntimeError(f"failed, so that nothing is recorded: {'; '.join(failed)}")
    blocks = [block for run in runs.values() for block in run.result()]
    return sorted(blocks, key=lambda block: block.name, reverse=True)


def _run_attack(kind: type[Scenario], folder: Path, authority: Authority) -> list[Block]:
    folder.mkdir()
    app, answers, url = folder / "app.py", folder / "answers", f"sqlite:///{folder / 'stream.db'}"
    app.write_text(kind.source())
    service = kind.service(authority)
    service.start()
    config = AppConfig(
        port=service.port, ca_file=str(authority.ca_file), live=True, rounds=PAST_ROUNDS, answers=answers
    )  # fmt: skip
    settings = {**config.environment(), **kind.settings, "OTEL_SERVICE_NAME": kind.name(), "BACKWATCH_STREAM_URL": url}
    try:
        with Environment(folder, clean_environment()) as environment:
            child = environment.start("app", ("run", "--", sys.executable, str(app)), settings, stdin=True)
            environment.wait_for("the app is at work", lambda: _lines(answers) >= 1, PATIENCE_S)
            turned_ns = time.time_ns()
            kind.turn(service)
            _go_on(child)
            environment.wait_for("the app has met the attacker", lambda: _lines(answers) >= 2, PATIENCE_S)
            _go_on(child)
            environment.wait_for_exit(child, PATIENCE_S)
    finally:
        service.stop()
    return _split(kind.name(), _requests(url), turned_ns)


def _lines(file: Path) -> int:
    return file.read_text().count("}\n") if file.exists() else 0


def _go_on(child: Child) -> None:
    assert child.process.stdin is not None
    child.process.stdin.write(b"\n")
    child.process.stdin.flush()


def _requests(url: str) -> list[ExportTraceServiceRequest]:
    consumer = open_consumer(StreamSettings(url=url), names.TOPIC_CALLS, "golden")
    found: list[ExportTraceServiceRequest] = []
    try:
        consumer.seek(0, 0)
        while records := consumer.poll(0.2):
            found += [ExportTraceServiceRequest.FromString(record.value) for record in records]
    finally:
        consumer.close()
    return found


def _split(app: str, requests: Iterable[ExportTraceServiceRequest], turned_ns: int) -> list[Block]:
    past, live = ExportTraceServiceRequest(), ExportTraceServiceRequest()
    for request in requests:
        for part, is_past in ((past, True), (live, False)):
            chosen = ExportTraceServiceRequest()
            chosen.CopyFrom(request)
            for scope_spans in (one for each in chosen.resource_spans for one in each.scope_spans):
                spans = [span for span in scope_spans.spans if (span.end_time_unix_nano < turned_ns) is is_past]
                had_none = not scope_spans.spans
                del scope_spans.spans[:]
                scope_spans.spans.extend(spans)
                if spans or (had_none and not is_past):  # a heartbeat has no spans
                    added = part.resource_spans.add()
                    added.resource.CopyFrom(chosen.resource_spans[0].resource)
                    added.scope_spans.add().CopyFrom(scope_spans)
    if not calls_of(past) or not calls_of(live):
        raise RuntimeError("the app left no calls behind")
    last_ns = turned_ns - PAST_GAP_NS
    times_ns = [last_ns - (PAST_REPETITIONS - number) * PAST_EVERY_NS for number in range(PAST_REPETITIONS)]
    return [
        Block(app=app, name="past", request=_strip_request(past, keep_ids=False), times_ns=times_ns),
        Block(app=app, name="live", request=_strip_request(live, keep_ids=True)),
    ]


def capture_quiet(step: Callable[[str], None]) -> list[Block]:
    """Run every app of the quiet hour and return its calls, with the times at which they are repeated.

    Raises:
        RuntimeError: An app failed each time.
    """
    waiting, recorded = runs_of(discover_workloads()), list[apps.RecordedPhase]()
    with tempfile.TemporaryDirectory(prefix="backwatch-golden-") as name:
        for attempt in range(ATTEMPTS):
            folder = Path(name) / str(attempt)
            folder.mkdir()
            with Environment(folder, clean_environment()) as environment:
                recorded += apps.record_workloads(waiting, environment, folder, Authority(folder / "authority"), step)
            failed = [run for run in waiting if run.outcome]
            waiting = [WorkloadRun(workload=run.workload, driver=run.driver, driver_version="") for run in failed]
            if not failed:
                break
            step("; ".join(f"{run.name}: {run.outcome}" for run in failed))
    if waiting:
        raise RuntimeError(f"failed, so that nothing is recorded: {', '.join(run.name for run in waiting)}")
    hour_ns = min(history.end_ns(call) for phase in recorded for call in phase.calls)
    return [_block_of(phase, hour_ns) for phase in sorted(recorded, key=lambda phase: phase.run.name)]


def _block_of(recording: apps.RecordedPhase, hour_ns: int) -> Block:
    lasting_s = recording.phase.lasting_s if recording.phase.lasting_s <= MAX_STRETCH_S else 0
    return Block(
        app=recording.run.name, name=recording.phase.name,
        request=_strip_request(_join(recording.calls), keep_ids=False),
        times_ns=[hour_ns + int(at_s * 1e9) for at_s in recording.phase.starts_s()], stretch_ns=int(lasting_s * 1e9),
    )  # fmt: skip


def _join(calls: Iterable[history.CapturedCall]) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    last: object = None
    for resource, scope_spans, span in calls:
        if scope_spans is not last:
            added = request.resource_spans.add()
            added.resource.CopyFrom(resource)
            added.scope_spans.add().scope.CopyFrom(scope_spans.scope)
            last = scope_spans
        request.resource_spans[-1].scope_spans[-1].spans.append(span)
    return request


def _strip_request(request: ExportTraceServiceRequest, *, keep_ids: bool) -> ExportTraceServiceRequest:
    for resource_spans in request.resource_spans:
        for one in resource_spans.resource.attributes:
            if one.key == names.HOST_NAME:
                one.value.string_value = _HOST
            if one.key == names.PROCESS_PID:
                one.value.int_value = _PID
        for scope_spans in resource_spans.scope_spans:
            for attributes in (scope_spans.scope.attributes, *(span.attributes for span in scope_spans.spans)):
                for one in attributes:
                    _clean(one.value)
    for number, (_, _, span) in enumerate(calls_of(request), 1):
        span.ClearField("parent_span_id")
        span.trace_id = number.to_bytes(16) if keep_ids else b""
        span.span_id = number.to_bytes(8) if keep_ids else b""
    return request


def _clean(value: AnyValue) -> None:
    if value.HasField("string_value"):
        value.string_value = _FOLDER.sub("/srv/app", value.string_value)
    for one in value.array_value.values:
        _clean(one)
