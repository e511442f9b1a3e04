"""Heartbeats of collectors: the records that they dropped, and the processes in which they run.

Heartbeats are rare, so the generated classes read them; what they cannot read is no heartbeat.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from backwatch.collector import names
from backwatch.detector.decoding.app import app_text
from backwatch.detector.decoding.schema import LARGEST, LATEST_NS

OTHER: Final = "other"
"""The kind of a drop that a newer collector knows and we do not."""
MAX_HOST: Final = 255
MAX_PID: Final = (1 << 31) - 1
MAX_RELATIVES: Final = 16
LEAST_INTERVAL_NS: Final = 10**9
MOST_INTERVAL_NS: Final = 600 * 10**9
"""A promise of a heartbeat below or beyond these is held to them."""
_INSTANCE: Final = re.compile(r"[0-9a-f]{16}")
_RELATIVE: Final = re.compile(r"([0-9a-f]{16}):(\d{1,10}):(\d{1,19}):([01])")

Drop = tuple[int, str, str, int]
"""Record, app, kind, count."""


@dataclass(frozen=True, slots=True)
class RelativeReport:
    """A related process of which a heartbeat reports that its collector does not answer, or that it ended.

    Attributes:
        delivered: Whether it ever delivered a call.
        since_ns: Its last delivery or its first call, by the reporting host's clock.
    """

    instance: str
    pid: int
    since_ns: int
    delivered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessBeat:
    """One heartbeat of a process. A collector that is older than process identities sends it without an instance.

    Attributes:
        record: Which value it came in.
        event: ``start``, ``beat`` or ``end``.
        interval_ns: The next one comes within so long.
        recorded, delivered, dropped: Counts since the process began.
        silent, ended: Relatives whose collector does not answer, and that ended without a farewell.
    """

    record: int
    app: str
    instance: str = ""
    host: str = ""
    pid: int = 0
    parent: str = ""
    event: str = "beat"
    started_ns: int = 0
    interval_ns: int = 0
    recorded: int = 0
    delivered: int = 0
    dropped: int = 0
    silent: tuple[RelativeReport, ...] = ()
    ended: tuple[RelativeReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """What all heartbeats of a batch report."""

    drops: list[Drop]
    processes: list[ProcessBeat]


def read(buffer: NDArray[np.uint8], beats: NDArray[np.int64]) -> Heartbeats:
    """Read what may be heartbeats.

    Args:
        beats: int64 [n, 5]: record, start and end of a ResourceSpans, start and end of a ScopeSpans in it.
    """
    processes: list[ProcessBeat] = []
    counted: dict[tuple[int, str, str], int] = {}
    resources: dict[tuple[int, int], tuple[Told, str]] = {}
    for record, start, end, scope_start, scope_end in beats.tolist():
        told = _scope(buffer[scope_start:scope_end].tobytes())
        if told is None:
            continue
        if (start, end) not in resources:  # a record may hold thousands of scopes under one resource
            resource = _resource(buffer[start:end].tobytes())
            texts = {name: value for name, value in resource.items() if isinstance(value, str)}
            resources[start, end] = resource, app_text(texts)
        resource, app = resources[start, end]
        for kind, count in _counts(told):  # one loss per app and kind: a record may hold 20 000 counts, each a finding
            one = record, app, kind
            counted[one] = min(counted.get(one, 0) + count, LARGEST)
        if names.HEARTBEAT_RELAYED not in told:  # who may write at the open door does not keep an app from being missed
            processes.append(_process(record, app, resource, told))
    return Heartbeats([(*one, count) for one, count in counted.items()], processes)


Told = Mapping[str, str | int]


def _scope(body: bytes) -> Told | None:
    try:
        scope = ScopeSpans.FromString(body).scope
    except DecodeError:
        return None
    return _values(scope.attributes) if scope.name == names.SCOPE_HEARTBEAT else None


def _resource(body: bytes) -> Told:
    try:
        return _values(ResourceSpans.FromString(body).resource.attributes)
    except DecodeError:
        return {}


def _values(pairs: "object") -> Told:
    found: dict[str, str | int] = {}
    for pair in pairs:  # pyright: ignore[reportGeneralTypeIssues]  a repeated field of generated classes
        kind = pair.value.WhichOneof("value")
        if kind == "string_value":
            found[pair.key] = pair.value.string_value
        elif kind == "int_value":
            found[pair.key] = pair.value.int_value
    return found


def _counts(told: Told) -> Iterator[tuple[str, int]]:
    for name, count in told.items():
        kind = name.removeprefix(names.DROPPED_PREFIX)
        if kind != name and isinstance(count, int) and count > 0:
            yield kind if kind in names.DROP_KINDS else OTHER, min(count, LARGEST)


def _process(record: int, app: str, resource: Told, told: Told) -> ProcessBeat:
    instance = _text(told, names.PROCESS_INSTANCE)
    if not _INSTANCE.fullmatch(instance):
        return ProcessBeat(record=record, app=app)
    parent, event = _text(told, names.PROCESS_PARENT), _text(told, names.PROCESS_EVENT)
    return ProcessBeat(
        record=record, app=app, instance=instance, host=_text(resource, names.HOST_NAME)[:MAX_HOST],
        pid=_number(resource, names.PROCESS_PID, 0, MAX_PID), parent=parent if _INSTANCE.fullmatch(parent) else "",
        event=event if event in names.PROCESS_EVENTS else "beat",
        started_ns=_number(told, names.PROCESS_STARTED, 0, LATEST_NS),
        interval_ns=_number(told, names.PROCESS_INTERVAL, LEAST_INTERVAL_NS, MOST_INTERVAL_NS),
        recorded=_number(told, names.PROCESS_RECORDED, 0, LARGEST),
        delivered=_number(told, names.PROCESS_DELIVERED, 0, LARGEST),
        dropped=_number(told, names.PROCESS_DROPPED, 0, LARGEST),
        silent=_relatives(_text(told, names.SILENT_RELATIVES)), ended=_relatives(_text(told, names.ENDED_RELATIVES)),
    )  # fmt: skip


def _relatives(text: str) -> tuple[RelativeReport, ...]:
    found: list[RelativeReport] = []
    for one in text.split(",", MAX_RELATIVES)[:MAX_RELATIVES]:
        told = _RELATIVE.fullmatch(one)
        if told is not None:
            instance, pid, since_ns, delivered = told.groups()
            report = RelativeReport(instance, min(int(pid), MAX_PID), min(int(since_ns), LATEST_NS), delivered == "1")
            found.append(report)
    return tuple(found)


def _text(told: Told, name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _number(told: Told, name: str, least: int, most: int) -> int:
    value = told.get(name)
    return max(least, min(most, value)) if isinstance(value, int) else least
