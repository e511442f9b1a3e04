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
MIN_INTERVAL_NS: Final = 10**9
MAX_INTERVAL_NS: Final = 600 * 10**9
"""A promise of a heartbeat below or beyond these is held to them."""
_INSTANCE: Final = re.compile(r"[0-9a-f]{16}")
_RELATIVE: Final = re.compile(r"([0-9a-f]{16}):(\d{1,10}):(\d{1,19}):([01])")

Drop = tuple[int, str, str, int]
"""Record, app, kind, count."""


@dataclass(frozen=True, slots=True)
class RelativeReport:
    """A related process that a heartbeat reports: its collector does not answer, or it ended.

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
class DecodedHeartbeats:
    """The reports of all heartbeats of a batch."""

    drops: list[Drop]
    processes: list[ProcessBeat]


def read(buffer: NDArray[np.uint8], beats: NDArray[np.int64]) -> DecodedHeartbeats:
    """Read what may be heartbeats.

    Args:
        beats: int64 [n, 5]: record, start and end of a ResourceSpans, start and end of a ScopeSpans in it.
    """
    processes: list[ProcessBeat] = []
    counted: dict[tuple[int, str, str], int] = {}
    resources: dict[tuple[int, int], tuple[Attributes, str]] = {}
    for record, start, end, scope_start, scope_end in beats.tolist():
        attributes = _scope(buffer[scope_start:scope_end].tobytes())
        if attributes is None:
            continue
        if (start, end) not in resources:  # a record may hold thousands of scopes under one resource
            resource = _resource(buffer[start:end].tobytes())
            texts = {name: value for name, value in resource.items() if isinstance(value, str)}
            resources[start, end] = resource, app_text(texts)
        resource, app = resources[start, end]
        for kind, count in _counts(
            attributes
        ):  # one loss per app and kind: a record may hold 20 000 counts, each a finding
            counter = record, app, kind
            counted[counter] = min(counted.get(counter, 0) + count, LARGEST)
        if (
            names.HEARTBEAT_RELAYED not in attributes
        ):  # a client of the open topic must not keep an app from being missed
            processes.append(_process(record, app, resource, attributes))
    return DecodedHeartbeats([(*counter, count) for counter, count in counted.items()], processes)


Attributes = Mapping[str, str | int]


def _scope(body: bytes) -> Attributes | None:
    try:
        scope = ScopeSpans.FromString(body).scope
    except DecodeError:
        return None
    return _values(scope.attributes) if scope.name == names.SCOPE_HEARTBEAT else None


def _resource(body: bytes) -> Attributes:
    try:
        return _values(ResourceSpans.FromString(body).resource.attributes)
    except DecodeError:
        return {}


def _values(pairs: "object") -> Attributes:
    found: dict[str, str | int] = {}
    for pair in pairs:  # pyright: ignore[reportGeneralTypeIssues]  a repeated field of generated classes
        kind = pair.value.WhichOneof("value")
        if kind == "string_value":
            found[pair.key] = pair.value.string_value
        elif kind == "int_value":
            found[pair.key] = pair.value.int_value
    return found


def _counts(attributes: Attributes) -> Iterator[tuple[str, int]]:
    for name, count in attributes.items():
        kind = name.removeprefix(names.DROPPED_PREFIX)
        if kind != name and isinstance(count, int) and count > 0:
            yield kind if kind in names.DROP_KINDS else OTHER, min(count, LARGEST)


def _process(record: int, app: str, resource: Attributes, attributes: Attributes) -> ProcessBeat:
    instance = _text(attributes, names.PROCESS_INSTANCE)
    if not _INSTANCE.fullmatch(instance):
        return ProcessBeat(record=record, app=app)
    parent, event = _text(attributes, names.PROCESS_PARENT), _text(attributes, names.PROCESS_EVENT)
    return ProcessBeat(
        record=record, app=app, instance=instance, host=_text(resource, names.HOST_NAME)[:MAX_HOST],
        pid=_number(resource, names.PROCESS_PID, 0, MAX_PID), parent=parent if _INSTANCE.fullmatch(parent) else "",
        event=event if event in names.PROCESS_EVENTS else "beat",
        started_ns=_number(attributes, names.PROCESS_STARTED, 0, LATEST_NS),
        interval_ns=_number(attributes, names.PROCESS_INTERVAL, MIN_INTERVAL_NS, MAX_INTERVAL_NS),
        recorded=_number(attributes, names.PROCESS_RECORDED, 0, LARGEST),
        delivered=_number(attributes, names.PROCESS_DELIVERED, 0, LARGEST),
        dropped=_number(attributes, names.PROCESS_DROPPED, 0, LARGEST),
        silent=_relatives(_text(attributes, names.SILENT_RELATIVES)),
        ended=_relatives(_text(attributes, names.ENDED_RELATIVES)),
    )  # fmt: skip


def _relatives(text: str) -> tuple[RelativeReport, ...]:
    found: list[RelativeReport] = []
    for report in text.split(",", MAX_RELATIVES)[:MAX_RELATIVES]:
        matched = _RELATIVE.fullmatch(report)
        if matched is not None:
            instance, pid, since_ns, delivered = matched.groups()
            since = min(int(since_ns), LATEST_NS)
            found.append(RelativeReport(instance, min(int(pid), MAX_PID), since, delivered == "1"))
    return tuple(found)


def _text(attributes: Attributes, name: str) -> str:
    value = attributes.get(name)
    return value if isinstance(value, str) else ""


def _number(attributes: Attributes, name: str, least: int, most: int) -> int:
    value = attributes.get(name)
    return max(least, min(most, value)) if isinstance(value, int) else least
