"""The yardsticks: parsing alone, and a naive pipeline in dicts and plain Python."""

import functools
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_STRING, _NUMBER = re.compile(r"'(?:''|[^'])*'"), re.compile(r"\b\d+(?:\.\d+)?\b")
_BLANK, _LIST = re.compile(r"\s+"), re.compile(r"\(\s*\?(?:\s*,\s*\?)*\s*\)")


def bare_parse(value: bytes) -> int:
    """Run protobuf's own parser on the bytes, and nothing else."""
    return len(ExportTraceServiceRequest.FromString(value).resource_spans)


@functools.lru_cache(8192)
def fingerprint(text: str) -> str:
    """The four regular expressions used in the field."""
    return _LIST.sub("(?)", _BLANK.sub(" ", _NUMBER.sub("?", _STRING.sub("?", text)))).lower()


def as_dicts(value: bytes) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield app, duration and attributes of each span."""
    for spans in ExportTraceServiceRequest.FromString(value).resource_spans:
        app = {
            attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value") or "string_value")
            for attribute in spans.resource.attributes
        }
        for scope in spans.scope_spans:
            for span in scope.spans:
                facts = {
                    attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value") or "string_value")
                    for attribute in span.attributes
                }
                yield app["service.name"], span.end_time_unix_nano - span.start_time_unix_nano, facts


class Naive:
    """A mean and a variance per app, service and statement; six deviations off is an alert. One detector, no rules."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], list[float]] = {}
        self.alerts = 0

    def judge(self, values: Iterable[bytes]) -> None:
        """Process every span of these values."""
        for value in values:
            for app, duration, facts in as_dicts(value):
                key = (app, facts.get("server.address"), facts.get("db.namespace"), fingerprint(facts["db.query.text"]))
                x = math.log1p(duration)
                state = self.known.setdefault(key, [x, 0.0, 0.0])
                d = x - state[0]
                if state[2] > 30 and d * d > 36 * state[1]:
                    self.alerts += 1
                state[0] += 0.02 * d
                state[1] = 0.98 * (state[1] + 0.02 * d * d)
                state[2] += 1
