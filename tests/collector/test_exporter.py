"""Spans of an app's own OpenTelemetry SDK: those that become calls, and their reported facts."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import Attributes

from backwatch.collector import names
from backwatch.collector.exporter import BackwatchSpanExporter, call_of
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime.record import Call
from backwatch.collector.settings import CollectorSettings, StreamSettings
from backwatch.collector.stream import StreamUnavailable
from backwatch.collector.stream.factory import open_consumer
from tests.collector.memory_stream import MemoryStream
from tests.collector.pipeline.pipelines import QUICK

CONTRIB = "opentelemetry.instrumentation.psycopg"


def span(attributes: Attributes, kind: SpanKind = SpanKind.CLIENT, scope: str = CONTRIB) -> ReadableSpan:
    made = TracerProvider().get_tracer(scope).start_span("name", kind=kind, attributes=attributes)
    made.end()
    assert isinstance(made, ReadableSpan)
    return made


def call(attributes: Attributes) -> Call:
    made = call_of(span(attributes))
    assert made is not None
    return made


@pytest.mark.parametrize(
    "attributes",
    [
        {"db.system": "postgresql", "db.statement": "SELECT 'secret' OR 1=1", "db.name": "shop", "db.user": "app",
         "net.peer.name": "db", "net.peer.port": 5432},
        {"db.system.name": "postgresql", "db.query.text": "SELECT 'secret' OR 1=1", "db.namespace": "shop",
         "db.user": "app", "server.address": "db", "server.port": 5432},
    ],
)  # fmt: skip
def test_old_and_new_names_tell_the_same_redacted_call(attributes: dict[str, str | int]) -> None:
    made = call(attributes)
    assert (made.operation, made.text, made.sql) == ("SELECT", "SELECT ? OR ?=?", True) or "secret" not in made.text
    assert "secret" not in repr(made)
    assert "tautology" in made.signs
    session = made.session
    assert (
        session.system, session.address, session.port, session.namespace, session.account,
    ) == ("postgresql", "db", 5432, "shop", "app")  # fmt: skip
    assert session.encrypted is None


def test_an_http_request_is_reported_by_template_without_its_query() -> None:
    made = call({
        "http.request.method": "GET", "url.full": "https://u:secret@api.example/orders/1?token=secret",
        "http.response.status_code": 200,
    })  # fmt: skip
    assert "secret" not in repr(made)
    assert (
        made.session.system, made.session.address, made.session.port, made.session.encrypted,
    ) == ("http", "api.example", 443, True)  # fmt: skip
    assert ("http.response.status_code", 200) in made.facts


def test_a_key_far_behind_in_a_url_is_flagged_without_its_value() -> None:
    url = f"https://api.example/rates?base={'a' * 300}&api_key="
    made = call({"http.request.method": "GET", "url.full": f"{url}hunter2"})
    assert ("backwatch.url.secret", True) in made.facts
    assert "hunter2" not in repr(made)
    made = call({"http.request.method": "GET", "url.full": url})
    assert "backwatch.url.secret" not in dict(made.facts)


def test_a_redis_command_is_reported_without_its_values() -> None:
    made = call({"db.system": "redis", "db.statement": "AUTH app secret-secret", "net.peer.name": "cache"})
    assert "secret" not in repr(made)
    assert (made.operation, made.sql, made.session.system) == ("AUTH", False, "redis")


def test_an_unknown_language_is_reported_by_operation_only() -> None:
    made = call({"db.system": "influxdb", "db.statement": "from(bucket: 'secret')", "db.operation": "query"})
    assert (made.operation, made.text, made.sql) == ("query", "query", False)


def test_a_mongodb_command_is_reported_without_its_values() -> None:
    made = call(
        {"db.system": "mongodb", "db.statement": "find {'password': {'$gt': 'secret'}}", "db.operation": "find"}
    )
    assert (made.operation, made.sql, made.signs) == ("find", False, "operator-for-value")
    assert "secret" not in repr(made)


def test_attributes_that_are_not_known_here_stay_where_they_are() -> None:
    made = call({"db.system": "postgresql", "db.statement": "SELECT 1", "db.statement.parameters": "('secret',)"})
    assert "secret" not in repr(made)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        (SpanKind.SERVER, {"http.request.method": "GET"}),
        (SpanKind.INTERNAL, {"db.system": "postgresql"}),
        (SpanKind.CLIENT, {"something": "else"}),
        (SpanKind.CLIENT, {}),
    ],
)
def test_a_span_that_names_no_service_is_no_call(kind: SpanKind, attributes: dict[str, str]) -> None:
    assert call_of(span(attributes, kind)) is None


@pytest.mark.parametrize(
    ("scope", "attributes", "probes", "kept"),
    [
        (CONTRIB, {"db.system": "postgresql"}, {"psycopg"}, False),
        (CONTRIB, {"db.system": "postgresql"}, {"redis"}, True),
        ("opentelemetry.instrumentation.sqlalchemy", {"db.system": "postgresql"}, {"psycopg2"}, False),
        ("opentelemetry.instrumentation.sqlalchemy", {"db.system": "mysql"}, {"psycopg2"}, True),
        ("opentelemetry.instrumentation.requests", {"http.method": "GET"}, {"urllib3"}, False),
        ("my.own.tracer", {"db.system": "postgresql"}, {"psycopg"}, True),
    ],
)
def test_a_call_seen_by_a_probe_is_not_recorded_twice(
    scope: str, attributes: dict[str, str], probes: set[str], kept: bool
) -> None:
    assert kept is (call_of(span(attributes, scope=scope), frozenset(probes)) is not None)


def test_ids_parent_times_and_error_are_the_spans_own() -> None:
    tracer = TracerProvider().get_tracer("x")
    with tracer.start_as_current_span("outer") as outer:
        inner = tracer.start_span("inner", kind=SpanKind.CLIENT, attributes={"db.system": "mysql"}, start_time=1000)
        inner.record_exception(ValueError("secret"))
        inner.set_status(Status(StatusCode.ERROR, "secret"))
        inner.end(2000)
    assert isinstance(inner, ReadableSpan)
    made = call_of(inner)
    assert made is not None
    context = inner.get_span_context()
    assert context is not None
    assert (context.trace_id, context.span_id, outer.get_span_context().span_id, 1000, 2000) == (
        made.trace_id, made.span_id, made.parent_id, made.start_ns, made.end_ns,
    )  # fmt: skip
    assert made.error == "ValueError"
    assert "secret" not in repr(made)


@pytest.fixture
def log() -> MemoryStream:
    return MemoryStream()


@pytest.fixture
def pipeline(log: MemoryStream) -> Iterator[Pipeline]:
    made = Pipeline(CollectorSettings(**QUICK), lambda: log)
    yield made
    made.close()


def test_an_apps_provider_delivers_its_calls_through_our_queue(pipeline: Pipeline, log: MemoryStream) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(BackwatchSpanExporter(pipeline, frozenset)))
    tracer = provider.get_tracer(CONTRIB)
    with tracer.start_as_current_span(
        "q", kind=SpanKind.CLIENT, attributes={"db.system": "mysql", "db.statement": "SELECT 1"}
    ):
        pass
    assert pipeline.flush(5)
    assert [span.name for span in log.spans()] == ["SELECT"]
    provider.shutdown()


def test_a_span_of_any_shape_is_no_reason_to_raise() -> None:
    odd: Attributes = {
        "db.system": 5,
        "db.statement": (1, 2),
        "server.port": "x",
        "http.method": True,
        "code.lineno": "7",
    }
    call_of(span(odd))
    call_of(span({**odd, "db.system": "postgresql"}))
    call_of(span({"http.method": "get", "url.full": "http://[bad"}))


AUTOMATIC = """
from backwatch.collector.bootstrap import start
start.start()
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
_OTelSDKConfigurator().configure()
from opentelemetry import trace
tracer = trace.get_tracer("of.the.app")
with tracer.start_as_current_span("q", kind=trace.SpanKind.CLIENT, attributes={"db.system": "mysql"}):
    pass
"""
"""What ``opentelemetry-instrument`` does before an app's first line; the span waits for the SDK's next batch."""


def test_a_span_held_by_the_sdk_at_exit_is_delivered(tmp_path: Path) -> None:
    settings = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    environment = os.environ | {
        "BACKWATCH_STREAM_URL": settings.url,
        "BACKWATCH_COLLECTOR_EXIT_TIMEOUT_S": "20",
        "OTEL_TRACES_EXPORTER": "backwatch",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    }
    command = [sys.executable, "-c", AUTOMATIC]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with closing(open_consumer(settings, names.TOPIC_CALLS, "detector")) as consumer:
        records = consumer.poll(5)  # among heartbeats: its first and its final one
    assert sum(b"mysql" in record.value for record in records) == 1


ENDS = """
import atexit, sys, time
atexit.register(lambda: print(time.monotonic() - last))  # runs after all others
from backwatch.collector.bootstrap import start
start.start()
import sqlite3
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from backwatch.collector.exporter import BackwatchSpanExporter
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(BackwatchSpanExporter()))
sqlite3.connect(":memory:").execute("SELECT 1").fetchall()
time.sleep(float(sys.argv[1]))
last = time.monotonic()
"""


@pytest.mark.parametrize("slept_s", [0.5, 4], ids=["in the midst of the first try", "between two tries"])
def test_without_a_stream_an_app_with_an_sdk_ends_within_two_seconds(slept_s: float) -> None:
    exits_s: list[float] = []
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        url = f"kafka://127.0.0.1:{silent.getsockname()[1]}"
        while len(exits_s) < 3 and min(exits_s, default=9.9) > 2.0:  # other processes can only make it look longer
            done = subprocess.run(
                [sys.executable, "-c", ENDS, str(slept_s)], capture_output=True, text=True, check=True, timeout=100,
                env=os.environ | {"BACKWATCH_STREAM_URL": url},
            )  # fmt: skip
            exits_s.append(float(done.stdout))
    assert min(exits_s) <= 2.0


def test_an_exit_after_a_provider_shutdown_waits_only_the_remaining_time(
    log: MemoryStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backwatch.collector.pipeline.worker.FIRST_PAUSE_S", 1000.0)  # one try only
    monkeypatch.setattr("backwatch.collector.pipeline.worker.MAX_PAUSE_S", 1000.0)
    monkeypatch.setattr("backwatch.collector.pipeline.worker.LAST_TRY_S", 20.0)
    pipeline = Pipeline(CollectorSettings(app_name="shop", flush_interval_s=0.01, exit_timeout_s=100), lambda: log)
    exporter = BackwatchSpanExporter(pipeline, frozenset)
    log.failing = StreamUnavailable("away")
    exporter.export([span({"db.system": "mysql"})])
    exporter.shutdown()
    left_s = pipeline._remaining_exit_s()
    exporter.shutdown()
    assert 0 < pipeline._remaining_exit_s() < left_s < 100
    pipeline._waited_till -= 100
    assert pipeline._remaining_exit_s() == 100
    log.failing = None
    pipeline.close()
    assert len(log.spans()) == 1
