"""Many resources, statements and random keys as OTLP requests, from a template with overwritten digits."""

import random

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SPANS = 512
DIGITS = 9
_HOST, _TABLE, _APP, _TIME = "111111111", "222222222", "333333333", 0x1122334455667788


class Flood:
    """Calls on so many resources, each with so many statements.

    Args:
        resources: Over all apps.
        statements: Of each resource; 0: every call sends a new key.
        apps: Apps that share the resources.
    """

    def __init__(self, resources: int, statements: int, apps: int = 100) -> None:
        self.resources, self.statements, self.apps = resources, statements, apps
        self._source = np.random.default_rng(7)
        self._template = np.frombuffer(_template("redis" if statements == 0 else "postgresql"), np.uint8)
        whole = self._template.tobytes()
        self._hosts, self._tables = _places(whole, _HOST.encode()), _places(whole, _TABLE.encode())
        self._app = _places(whole, _APP.encode())
        self._times = _places(whole, _TIME.to_bytes(8, "little"))
        self._sent = 0

    def request(self, time_ns: int) -> tuple[int, bytes]:
        """Return the next request's app and its bytes; calls end at ``time_ns``, a microsecond apart at most."""
        out = self._template.copy()
        app = self._sent // SPANS % self.apps
        of_app = self._sent // SPANS // self.apps * SPANS + np.arange(SPANS)
        per_app = max(1, self.resources // self.apps)
        statement = (
            self._source.integers(0, 10**DIGITS, SPANS) if self.statements == 0
            else of_app // per_app // 2 % self.statements  # twice each: at its second sighting it gets its slot
        )  # fmt: skip
        resource = of_app % per_app * self.apps + app
        _write_digits(out, self._hosts, resource)
        _write_digits(out, self._tables, statement)
        _write_digits(out, self._app, np.array([app]))
        times = (time_ns + np.arange(SPANS)).repeat(2).astype("<u8").view(np.uint8).reshape(-1, 8)
        out[self._times[:, None] + np.arange(8)] = times
        self._sent += SPANS
        return app, out.tobytes()


def _template(system: str) -> bytes:
    made = ExportTraceServiceRequest()
    spans = made.resource_spans.add()
    name = spans.resource.attributes.add()
    name.key, name.value.string_value = "service.name", f"app-{_APP}"
    scope, source = spans.scope_spans.add(), random.Random(3)
    text = f"GET user:{_TABLE}" if system == "redis" else f"SELECT a, b FROM t{_TABLE} WHERE c = 7"
    for _ in range(SPANS):
        span = scope.spans.add(
            name=text.split(" ", 1)[0], kind=Span.SPAN_KIND_CLIENT, trace_id=source.randbytes(16),
            span_id=source.randbytes(8), start_time_unix_nano=_TIME, end_time_unix_nano=_TIME,
        )  # fmt: skip
        for key, value in (
            ("db.system.name", system), ("db.query.text", text), ("server.address", f"db-{_HOST}.internal"),
            ("network.peer.address", "10.0.0.7"), ("code.function.name", "load"), ("code.file.path", "/app/repo.py"),
        ):  # fmt: skip
            attribute = span.attributes.add()
            attribute.key, attribute.value.string_value = key, value
    return made.SerializeToString()


def _places(whole: bytes, needle: bytes) -> NDArray[np.int64]:
    found, at = list[int](), whole.find(needle)
    while at >= 0:
        found.append(at)
        at = whole.find(needle, at + len(needle))
    return np.array(found, np.int64)


def _write_digits(out: NDArray[np.uint8], places: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
    powers = 10 ** np.arange(DIGITS - 1, -1, -1)
    out[places[:, None] + np.arange(DIGITS)] = (numbers[:, None] // powers % 10 + 48).astype(np.uint8)
