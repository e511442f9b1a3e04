"""What a collector says when it has nothing to say: how many records it dropped, and of which kind.

Heartbeats are rare, so the generated classes read them; what they cannot read is no heartbeat.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from backwatch.collector import names
from backwatch.detector.calls.app import app_text
from backwatch.detector.calls.schema import LARGEST

OTHER: Final = "other"
"""The kind of a drop that a newer collector knows and we do not."""
Drop = tuple[int, str, str, int]
"""Record, app, kind, count."""


def drops(buffer: NDArray[np.uint8], beats: NDArray[np.int64]) -> list[Drop]:
    """The losses that heartbeats tell.

    Args:
        beats: int64 [n, 5]: record, start and end of a ResourceSpans, start and end of a ScopeSpans in it.
    """
    found: dict[tuple[int, str, str], int] = {}
    apps: dict[tuple[int, int], str] = {}
    for record, start, end, scope_start, scope_end in beats.tolist():
        for kind, count in _counts(buffer[scope_start:scope_end].tobytes()):
            # Once per resource, and one loss per app and kind: a record may hold 20 000 counts, each a finding.
            if (start, end) not in apps:
                apps[start, end] = _app(buffer[start:end].tobytes())
            one = record, apps[start, end], kind
            found[one] = min(found.get(one, 0) + count, LARGEST)
    return [(*one, count) for one, count in found.items()]


def _counts(body: bytes) -> Iterator[tuple[str, int]]:
    try:
        scope = ScopeSpans.FromString(body).scope
    except DecodeError:
        return
    if scope.name != names.SCOPE_HEARTBEAT:
        return
    for pair in scope.attributes:
        kind = pair.key.removeprefix(names.DROPPED_PREFIX)
        count = pair.value.int_value
        if kind != pair.key and count > 0:
            yield kind if kind in names.DROP_KINDS else OTHER, min(count, LARGEST)


def _app(body: bytes) -> str:
    try:
        told = ResourceSpans.FromString(body).resource.attributes
    except DecodeError:
        return ""
    return app_text({pair.key: pair.value.string_value for pair in told})
