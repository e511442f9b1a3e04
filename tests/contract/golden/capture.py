"""Capture of input: the attack pack and the quiet hour are really run once, and what their apps send is kept.

Names of the machine, of its folders and of processes are replaced, so that no recording holds any of them.
"""

import re
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from backwatch.attack import history, quiet_work
from backwatch.attack.authority import Authority
from backwatch.attack.entries import discover as discover_attacks
from backwatch.attack.pack import opened
from backwatch.attack.quiet_parts import parts_of
from backwatch.attack.scenes import discover as discover_scenes
from backwatch.attack.stage import Stage, own_environment
from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import open_consumer
from tests.contract.golden.streams import Block, calls_of

HOUR_NS = 3_600 * 10**9
PAST_REPETITIONS = 32
PAST_EVERY_NS = 6 * HOUR_NS
PAST_GAP_NS = 300 * 10**9
"""Between the end of the past and the first live call."""
MAX_STRETCH_S = 3_600
"""A repetition over more than that keeps the distances of its calls: each call by itself would cost a step."""
_FOLDER = re.compile(r"/[^\s'\"]*backwatch-(?:attack|quiet|golden)-[^/\s'\"]+")
_HOST, _PID = "app-host", 4242


def capture_pack(step: Callable[[str], None]) -> list[Block]:
    """Run every attack and return what its app sent: the past, to be repeated, and the meeting with the attacker.

    Raises:
        RuntimeError: An app failed, or a recording would lack its attack.
    """
    kinds = list(discover_attacks())
    with opened(kinds, step) as pack:
        consumer = open_consumer(pack._stream, names.TOPIC_CALLS, "golden")
        consumer.committed(0, consumer.bounds(0)[1])  # from here on nothing is pruned
        for kind in kinds:
            step(f"{kind.name()}: {pack.play(kind).outcome}")
        if failed := [f"{kind.name()}: {pack.played[kind].outcome}" for kind in kinds if not pack.played[kind].caught]:
            raise RuntimeError(f"not caught, so that nothing is recorded: {'; '.join(failed)}")
        pasts = {
            kind.name(): _requests(StreamSettings(url=f"sqlite:///{pack._folder / kind.name()}.past.db"))
            for kind in kinds
        }
        consumer.seek(0, consumer.bounds(0)[0])
        live: dict[str, ExportTraceServiceRequest] = {}
        while records := consumer.poll(1):
            for record in records:
                request = ExportTraceServiceRequest.FromString(record.value)
                live.setdefault(_app_of(request), ExportTraceServiceRequest()).MergeFrom(request)
        consumer.close()
    return [
        *(_past(app, request, live[app]) for app, request in pasts.items()),
        *(_live(app, live[app]) for app in pasts),
    ]


def capture_quiet(step: Callable[[str], None]) -> list[Block]:
    """Have every app of the quiet hour work and return what it sent, with the times at which it is repeated.

    Raises:
        RuntimeError: An app failed.
    """
    parts = parts_of(discover_scenes())
    with tempfile.TemporaryDirectory(prefix="backwatch-golden-") as name, ExitStack() as stack:
        folder = Path(name)
        stage = stack.enter_context(Stage(folder, own_environment()))
        made = quiet_work.made_by(parts, stage, folder, Authority(folder / "authority"), step)
    if failed := [f"{part.name}: {part.outcome}" for part in parts if part.outcome]:
        raise RuntimeError(f"failed, so that nothing is recorded: {'; '.join(failed)}")
    hour_ns = min(quiet_work.end_ns(call) for one in made for call in one.calls)
    return [_spell(one, hour_ns) for one in made]


def _spell(made: quiet_work.Made, hour_ns: int) -> Block:
    lasting_s = made.spell.lasting_s if made.spell.lasting_s <= MAX_STRETCH_S else 0
    return Block(
        app=made.part.name, name=made.spell.name, request=_cleaned(_joined(made.calls), keep_ids=False),
        times_ns=[hour_ns + int(at_s * 1e9) for at_s in made.spell.tellings_s()], stretch_ns=int(lasting_s * 1e9),
    )  # fmt: skip


def _requests(stream: StreamSettings) -> ExportTraceServiceRequest:
    return _joined(history.captured(stream))


def _joined(calls: Iterable[history.Told]) -> ExportTraceServiceRequest:
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


def _past(app: str, past: ExportTraceServiceRequest, live: ExportTraceServiceRequest) -> Block:
    last_ns = min(span.end_time_unix_nano for _, _, span in calls_of(live)) - PAST_GAP_NS
    times_ns = [last_ns - (PAST_REPETITIONS - number) * PAST_EVERY_NS for number in range(PAST_REPETITIONS)]
    return Block(app=app, name="past", request=_cleaned(past, keep_ids=False), times_ns=times_ns)


def _live(app: str, live: ExportTraceServiceRequest) -> Block:
    return Block(app=app, name="live", request=_cleaned(live, keep_ids=True))


def _app_of(request: ExportTraceServiceRequest) -> str:
    attributes = request.resource_spans[0].resource.attributes
    return next(one.value.string_value for one in attributes if one.key == names.SERVICE_NAME)


def _cleaned(request: ExportTraceServiceRequest, *, keep_ids: bool) -> ExportTraceServiceRequest:
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
