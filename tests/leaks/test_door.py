"""The corpus as third-party spans: at the router's ingress, and at the exporter inside an app with an SDK."""

from collections.abc import Iterator, Mapping

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from backwatch.collector.exporter import call_of
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_calls
from backwatch.detector.ingest.routing import UNREADABLE, route
from tests.leaks.corpus import Planted, entries, plant
from tests.leaks.finder import Finder, capture_logs, shown

APP = App("shop", "", "", (("service.name", "shop"),))
Facts = Mapping[str, str | int]
_NAMES = {"mssql": "microsoft.sql_server", "other": "snowflake"}
_ELSEWHERE = frozenset(("smtp command", "imap command", "pop3 command", "ftp command", "ldap filter", "ldap dn"))
"""No instrumentation reports these."""
KINDS = sorted({f"{entry.system} {entry.way}" for entry in entries()} - _ELSEWHERE)


def spans_of(one: Planted) -> Iterator[tuple[str, Facts]]:
    """Return names and attributes that other SDKs give an entry, in old and in new conventions."""
    way = one.entry.way
    if way in ("url", "header", "response", "metadata"):
        yield from _http(one.text, way)
    elif one.entry.system == "aws":
        yield from _aws(*one.text.split(" ", 2))
    elif way == "request":
        yield from _search(*[*one.text.split(" ", 2), ""][:3])
    elif way == "message":
        yield from _messaging(*one.text.split(" ", 2))
    elif way in ("error", "dsn"):
        yield "SELECT", {"db.system": "mysql", "db.statement": "SELECT ?", "db.connection_string": one.text}
        yield "GET", {"db.system": "redis", "db.statement": "GET ?", "db.url": one.text}
        yield "GET", {"http.method": "GET", "http.url": "http://a/"}
    else:
        yield from _database(_NAMES.get(one.entry.system, one.entry.system), one.text)


def _database(system: str, text: str) -> Iterator[tuple[str, Facts]]:
    first = text.partition(" ")[0][:20] if system != "mongodb" else "users.find"
    yield text, {"db.system": system, "db.statement": text, "net.peer.name": "a", "db.name": "shop"}
    yield first, {"db.system": system, "db.statement": text, "db.operation": first, "db.mongodb.collection": "users"}
    yield "SELECT shop", {"db.system.name": system, "db.query.text": text, "db.query.summary": text,
                          "db.query.parameter.a": text, "server.address": "a"}  # fmt: skip


def _http(text: str, way: str) -> Iterator[tuple[str, Facts]]:
    url = text if way == "url" else "http://a/"
    header, _, value = text.partition(": ")
    yield "GET", {"http.method": "GET", "http.url": url, "http.target": url, "net.peer.name": "a"}
    yield f"GET {url}", {"http.request.method": "GET", "url.full": url, "url.query": url, "url.path": url,
                         "http.response.status_code": 200}  # fmt: skip
    yield "GET", {"http.request.method": "GET", "url.full": url, f"http.request.header.{header}": value,
                  f"http.response.header.{header}": value, "user_agent.original": value}  # fmt: skip
    yield "/s/M", {"rpc.system": "grpc", "rpc.method": "M", f"rpc.grpc.request.metadata.{header}": value}


def _aws(service: str, operation: str, parameters: str) -> Iterator[tuple[str, Facts]]:
    yield f"{service}.{operation}", {"rpc.system": "aws-api", "rpc.service": service, "rpc.method": operation,
                                     "aws.request.body": parameters, "http.status_code": 200}  # fmt: skip
    for system in ("dynamodb", "aws.dynamodb"):
        yield f"{service}.{operation}", {"db.system": system, "db.system.name": system, "db.operation": operation,
                                         "db.statement": parameters, "db.query.text": parameters}  # fmt: skip
    yield operation, {"db.system": "aws.opensearch", "db.statement": parameters}


def _search(method: str, target: str, body: str) -> Iterator[tuple[str, Facts]]:
    for system in ("elasticsearch", "opensearch"):
        yield f"Elasticsearch{target}", {"db.system": system, "db.statement": body, "db.operation": method,
                                         "elasticsearch.url": target, "elasticsearch.params": target}  # fmt: skip
        yield "search", {"db.system.name": system, "db.query.text": body, "url.full": f"https://a{target}",
                         "http.request.method": method}  # fmt: skip


def _messaging(exchange: str, key: str, rest: str) -> Iterator[tuple[str, Facts]]:
    yield f"{key} send", {"messaging.system": "rabbitmq", "messaging.destination": key, "messaging.message": rest}
    yield f"publish {exchange}", {"messaging.system": "rabbitmq", "messaging.destination.name": f"{exchange}:{key}",
                                  "messaging.rabbitmq.destination.routing_key": key,
                                  "messaging.message.id": rest, "messaging.operation": "publish"}  # fmt: skip
    yield key, {"messaging.system": "kafka", "messaging.destination.name": key, "messaging.kafka.message.key": key}
    yield f"{key} process", {"messaging.system": "celery", "messaging.destination_kind": "queue", "celery.args": rest}


def export_spans(one: Planted) -> list[ReadableSpan]:
    """Return the entry as spans of an SDK, each with an error that repeats it."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("opentelemetry.instrumentation.other")
    kind, _, text = one.text.partition(" ")
    for name, attributes in spans_of(one):
        with tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes) as span:
            made = type(kind, (Exception,), {}) if one.entry.way == "error" else ValueError
            span.record_exception(made(text), {"exception.stacktrace": one.text})
            span.add_event(one.text, {"x": one.text})
    return list(exporter.get_finished_spans())


def on_the_wire(spans: list[ReadableSpan], text: str) -> bytes:
    """Return the same as they arrive at ``otlp_spans``."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    request = ExportTraceServiceRequest.FromString(encode_spans(spans).SerializeToString())
    for resource in request.resource_spans:
        resource.resource.attributes.add(key="process.command_line").value.string_value = text
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.status.message = text
    return request.SerializeToString()


@pytest.mark.parametrize("kind", KINDS)
def test_no_canary_gets_past_the_router_or_the_exporter(kind: str) -> None:
    found: list[str] = []
    count = 0
    with capture_logs() as logged:
        for entry in entries():
            if f"{entry.system} {entry.way}" != kind:
                continue
            for one in plant(entry):
                spans, finder = export_spans(one), Finder(one.canaries)
                messages = route(on_the_wire(spans, one.text))
                assert not [message for message in messages if message.value.startswith(UNREADABLE)]
                calls = [call for span in spans if (call := call_of(span)) is not None]
                count += len(calls)
                for message in messages:
                    found += shown(finder.find(message.value + (message.key or b"")), "[router]")
                found += shown(finder.find(encode_calls(APP, calls)), "[exporter]")
                found += shown(finder.find("\n".join(logged)), "[log]")
                logged.clear()
    assert sorted(set(found)) == []
    assert count > 0


def test_a_canary_in_a_span_is_found_behind_the_door() -> None:
    one = next(plant(entries()[0]))
    spans = export_spans(one)
    finder = Finder(one.canaries)
    assert finder.find(on_the_wire(spans, ""))
    ((message,), calls) = route(on_the_wire(spans, "")), [call for span in spans if (call := call_of(span))]
    assert not finder.find(message.value)
    planted_calls = [call._replace(text=one.text) for call in calls]
    assert finder.find(encode_calls(APP, planted_calls))
