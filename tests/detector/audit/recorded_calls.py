"""Files of OTLP with calls to one database, as a collector writes them."""

import time
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from backwatch.collector import names

NOW_NS = time.time_ns()


def pair(name: str, value: str | int) -> KeyValue:
    found = KeyValue(key=name)
    if isinstance(value, int):
        found.value.int_value = value
    else:
        found.value.string_value = value
    return found


def write(
    folder: Path, *calls: dict[str, str | int], account: str = "shop", app: str = "shop", at_ns: int = NOW_NS
) -> str:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.append(pair(names.SERVICE_NAME, app))
    scope = resource.scope_spans.add()
    scope.scope.name = names.SCOPE_CALLS
    session: dict[str, str | int] = {
        names.BACKWATCH_CONTRACT: 1, names.DB_SYSTEM: "postgresql", names.SERVER_ADDRESS: "db", names.SERVER_PORT: 5432,
        names.ACCOUNT: account,
    }  # fmt: skip
    scope.scope.attributes.extend(pair(name, value) for name, value in session.items() if value != "")
    for call in calls:
        span = scope.spans.add()
        span.trace_id, span.span_id, span.name, span.kind = b"1" * 16, b"2" * 8, "x", Span.SPAN_KIND_CLIENT
        span.start_time_unix_nano = span.end_time_unix_nano = at_ns
        span.attributes.extend(pair(name, value) for name, value in call.items())
    path = folder / f"{len(list(folder.iterdir()))}.pb"
    path.write_bytes(request.SerializeToString())
    return str(path)


SELECT: dict[str, str | int] = {names.QUERY_TEXT: "SELECT a FROM t", names.OPERATION: "SELECT"}
