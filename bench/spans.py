"""Realistic OTLP batches: 512 spans of 20 attributes, statements of about 218 characters, literals inlined."""

import random
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SPANS = 512
SERVICES = 4
START_NS = 1_790_000_000_000_000_000
_TABLES = (
    "orders",
    "customers",
    "invoices",
    "shipments",
    "payments",
    "products",
    "sessions",
    "audit_log",
    "carts",
    "prices",
)
_COLUMNS = ("status", "region", "currency", "quantity", "channel", "discount")


def statement(source: random.Random) -> str:
    """Return one of forty templates, with fresh literals."""
    table, kind, number = source.choice(_TABLES), source.randrange(4), source.randrange(10**7)
    columns = ", ".join(f"t.{name}" for name in _COLUMNS)
    if kind == 0:
        return (
            f"SELECT t.id, {columns}, c.name FROM public.{table} AS t JOIN public.customers c ON c.id = t.customer_id "
            f"WHERE t.tenant_id = {number % 1000} AND t.status IN ('new', 'paid', 'sent') AND t.created_at > "
            f"'2026-{number % 12 + 1:02d}-01' ORDER BY t.created_at DESC LIMIT 50"
        )
    if kind == 1:
        return (
            f"UPDATE public.{table} SET status = 'state{number % 9}', quantity = quantity + {number % 50}, "
            f"updated_at = now() WHERE id = {number} AND tenant_id = {number % 1000} AND region = 'eu-{number % 7}' "
            f"AND status <> 'closed' AND channel IS NOT NULL RETURNING id"
        )
    if kind == 2:
        return (
            f"INSERT INTO public.{table} (id, status, region, currency, quantity, channel, created_at) VALUES "
            f"({number}, 'abc{number % 991}', 'eu-{number % 7}', 'EUR', {number % 70}, 'web', now()) ON CONFLICT (id) "
            f"DO UPDATE SET updated_at = now(), status = excluded.status RETURNING id"
        )
    listed = ", ".join(str((number * 7 + i) % 10**7) for i in range(9))
    return (
        f"DELETE FROM public.{table} WHERE tenant_id = {number % 1000} AND created_at < "
        f"'2026-{number % 12 + 1:02d}-01T00:00:00Z' AND id IN ({listed}) AND region IS NOT NULL "
        f"AND discount > {number % 9}.5"
    )


def add_attribute(attributes: Any, key: str, value: str | int | bool) -> None:
    """Add one attribute to a resource, a scope or a span."""
    attribute = attributes.add()
    attribute.key = key
    if isinstance(value, bool):
        attribute.value.bool_value = value
    elif isinstance(value, int):
        attribute.value.int_value = value
    else:
        attribute.value.string_value = value


def request(seed: int, spans: int = SPANS, services: int = SERVICES, begin_ns: int = START_NS) -> bytes:
    """Return one batch as bytes; the same for the same seed."""
    source = random.Random(seed)
    made = ExportTraceServiceRequest()
    now = begin_ns + seed * 10**9
    for service in range(services):
        of_service = made.resource_spans.add()
        for key, value in (
            ("service.name", f"svc-{service}"), ("service.version", "1.4.2"),
            ("service.instance.id", f"i-{seed % 8}-{service}"),
            ("telemetry.sdk.language", "python"), ("telemetry.sdk.name", "opentelemetry"),
            ("host.name", f"node-{service}"),
            ("process.pid", 1000 + service), ("deployment.environment.name", "production"),
        ):  # fmt: skip
            add_attribute(of_service.resource.attributes, key, value)
        scope = of_service.scope_spans.add()
        scope.scope.name = "opentelemetry.instrumentation.psycopg"
        for i in range(spans // services):
            _span(scope.spans.add(), source, service, now + i * 1000)
    return made.SerializeToString()


def _span(span: Span, source: random.Random, service: int, start_ns: int) -> None:
    text = statement(source)
    operation, table = text.split(" ", 1)[0], text.split("public.", 1)[1].split(" ", 1)[0]
    span.trace_id, span.span_id, span.parent_span_id = source.randbytes(16), source.randbytes(8), source.randbytes(8)
    span.name, span.kind = f"{operation} {table}", Span.SPAN_KIND_CLIENT
    span.start_time_unix_nano, span.end_time_unix_nano = start_ns, start_ns + int(source.lognormvariate(14, 1))
    for key, value in (
        ("db.system.name", "postgresql"), ("db.namespace", f"shop{service}"), ("db.query.text", text),
        ("db.operation.name", operation), ("db.collection.name", table), ("db.query.summary", f"{operation} {table}"),
        ("server.address", f"pg-{service}.prod.internal"), ("server.port", 5432),
        ("network.peer.address", f"10.0.{service}.{source.randrange(4)}"), ("network.peer.port", 5432),
        ("db.response.returned_rows", source.randrange(200)), ("db.response.bytes", source.randrange(100, 100_000)),
        ("thread.id", 140_000_000_000 + source.randrange(16)), ("thread.name", f"worker-{source.randrange(16)}"),
        ("code.function.name", f"repo.{table}.{operation.lower()}"), ("code.file.path", f"/app/repo/{table}.py"),
        ("code.line.number", source.randrange(1, 900)), ("enduser.id", f"u{source.randrange(20_000)}"),
        ("client.address", f"192.0.2.{source.randrange(250)}"), ("db.client.connection.reused", True),
    ):  # fmt: skip
        add_attribute(span.attributes, key, value)
    if source.random() < 0.02:
        span.status.code = Status.STATUS_CODE_ERROR
        add_attribute(span.attributes, "error.type", "UniqueViolation")
