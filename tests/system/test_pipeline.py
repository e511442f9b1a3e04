"""The whole of Backwatch, every part a real process: the same alert from the call to the screen."""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from kafka import KafkaConsumer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from playwright.sync_api import sync_playwright
from standardwebhooks import Webhook

from backwatch.collector import names
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.services.http.receiver import Receiver, receiver
from tests.services.process import free_port
from tests.services.server import Server
from tests.services.waiting import wait_until
from tests.system.commands import BACKWATCH, Running, environment, run_in_background

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
RUNS_COMMANDS = f"{os.name}.system"
"""What a pickle of ``os.system`` would import."""
SHOP = """
import os, pickle, sys
import psycopg, redis

class Bomb:
    def __reduce__(self):
        return os.system, ("echo never run",)

cache, key = redis.Redis.from_url(sys.argv[1]), sys.argv[3]
with psycopg.connect(sys.argv[2], autocommit=True) as connection:
    assert connection.execute("SELECT 7").fetchone() == (7,)
cache.set(key, b"an honest basket")
assert cache.get(key) == b"an honest basket"
cache.set(key, pickle.dumps(Bomb()))    # for another client that can write to the cache
cache.get(key)
cache.delete(key)
"""
CONTRIB = """
import sys
import psycopg
from kafka import KafkaProducer
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

class LikeTheCollectors(SpanExporter):
    def __init__(self):
        self.producer = KafkaProducer(bootstrap_servers=sys.argv[2])
    def export(self, spans):
        self.producer.send("otlp_spans", encode_spans(spans).SerializeToString()).get(timeout=20)
        return SpanExportResult.SUCCESS
    def shutdown(self):
        self.producer.close()

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(LikeTheCollectors()))
trace.set_tracer_provider(provider)
PsycopgInstrumentor().instrument()
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    connection.execute("SELECT 'quiet'").fetchone()
    connection.execute("COPY (SELECT 'hunter2') TO PROGRAM 'cat > /dev/null'")
provider.shutdown()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Shared data of one test's parts."""

    folder: Path
    kafka: Server
    store_url: str

    @property
    def settings(self) -> dict[str, str]:
        """Settings of stream and store for every service."""
        return {
            "BACKWATCH_STREAM_URL": self.kafka.url, "BACKWATCH_STORE_URL": self.store_url,
            "BACKWATCH_STREAM_PARTITIONS": "2", "BACKWATCH_DETECTOR_GROUP": f"t-{secrets.token_hex(6)}",
        }  # fmt: skip

    def app(self, source: str, *arguments: str, command: tuple[str, ...] = (), **settings: str) -> None:
        """Run an app to its end."""
        (self.folder / "app.py").write_text(source)
        ran = subprocess.run(
            [*command, sys.executable, "app.py", *arguments], cwd=self.folder, env=environment(settings),
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, "")

    def alerts(self, rule: str) -> list[dict[str, Any]]:
        """Return alerts of this rule as they stand in the store."""
        engine = open_store(self.store_url)
        with reading(engine) as connection:
            rows = connection.execute(sa.select(tables.alert).where(tables.alert.c.rule == rule)).mappings()
            found = [dict(row) for row in rows]
        engine.dispose()
        return found

    def wait_for_alert(self, detector: Running, rule: str) -> dict[str, Any]:
        """Return the one alert of this rule, once it is there."""
        (alert,) = detector.until(lambda: self.alerts(rule), f"no alert of {rule}")
        return alert


@pytest.fixture
def system(tmp_path: Path, kafka_without_topics: Server, postgresql_database: str) -> System:
    return System(folder=tmp_path, kafka=kafka_without_topics, store_url=postgresql_database)


@pytest.fixture
def detector(system: System) -> "Generator[Running]":
    with run_in_background(system.folder, "detect", **system.settings) as one:
        one.wait_for_output("detecting")
        yield one


@contextlib.contextmanager
def run_notify(system: System, to: Receiver) -> Generator[Running]:
    webhook = {
        "BACKWATCH_WEBHOOK_URL": to.url, "BACKWATCH_WEBHOOK_SECRET": SECRET,
        "BACKWATCH_WEBHOOK_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
    }  # fmt: skip
    with run_in_background(system.folder, "notify", **system.settings, **webhook) as one:
        one.wait_for_output("notifying")
        yield one


@contextlib.contextmanager
def dashboard(system: System) -> Generator[str]:
    port = free_port()
    with run_in_background(system.folder, "dashboard", "--port", str(port), **system.settings) as one:

        def ready() -> bool:
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200
            return False

        one.until(ready, "the dashboard is not ready")
        yield f"http://127.0.0.1:{port}"


def shows(browser: str, url: str, *words: str) -> None:
    """Open the page as its first visitor, and wait until all these words are on it, including tables' cells."""
    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=options)
        try:
            page = window.new_page(viewport={"width": 1600, "height": 2400})
            page.goto(url)
            # A table is drawn on a canvas; its cells are below it, for screen readers.
            page.wait_for_function(
                "words => words.every(one => document.body.textContent.includes(one))", arg=words, timeout=60_000
            )
        finally:
            window.close()


def alert_id(rule: str, *key: str) -> str:
    return hashlib.sha256((rule + "\x1e" + "\x1f".join(key)).encode()).hexdigest()


def test_one_alert_is_the_same_from_the_apps_call_to_the_browser(
    system: System, detector: Running, redis_server: Server, postgresql: Server, redis_prefix: str, chromium: str
) -> None:
    expected = alert_id("hostile-payload", "shop", "redis", f"{redis_server.host}:{redis_server.port}", "0")
    with receiver() as hook, run_notify(system, hook) as notify:
        system.app(
            SHOP, redis_server.url, postgresql.url, redis_prefix + "basket", command=(BACKWATCH, "run", "--"),
            BACKWATCH_APP="shop", BACKWATCH_STREAM_URL=system.kafka.url,
            BACKWATCH_COLLECTOR_EXIT_TIMEOUT_S="20",  # for a busy machine
        )  # fmt: skip

        alert = system.wait_for_alert(detector, "hostile-payload")
        assert expected == alert["id"]
        assert (alert["app"], alert["level"], alert["episode"], alert["count"]) == ("shop", "critical", 1, 1)
        assert {one["rule"] for one in everything(system)} == {"hostile-payload"}

        notify.until(lambda: hook.requests, "no webhook came")
        request = hook.requests[0]
        payload: Any = Webhook(SECRET).verify(request.body, request.headers)
        assert (payload["type"], payload["data"]["id"]) == ("alert.opened", expected)
        assert payload["data"]["evidence"][names.PAYLOAD_GLOBALS] == RUNS_COMMANDS

    with dashboard(system) as url:
        shows(chromium, f"{url}/alert?id={expected}", expected, "hostile-payload", RUNS_COMMANDS)


def everything(system: System) -> list[dict[str, Any]]:
    engine = open_store(system.store_url)
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(sa.select(tables.alert)).mappings()]
    engine.dispose()
    return found


def test_an_apps_plain_opentelemetry_spans_get_their_alert_through_the_router(
    system: System, detector: Running, postgresql: Server
) -> None:
    system.app(
        CONTRIB, postgresql.url, system.kafka.bootstrap, OTEL_SERVICE_NAME="billing",
        OTEL_SEMCONV_STABILITY_OPT_IN="database",
    )  # fmt: skip

    alert = system.wait_for_alert(detector, "statement-runs-program")
    assert (alert["app"], alert["level"], alert["count"]) == ("billing", "critical", 1)
    evidence = json.loads(alert["evidence"]) if isinstance(alert["evidence"], str) else alert["evidence"]
    assert "TO PROGRAM" in evidence[names.QUERY_TEXT].upper()
    assert "hunter2" not in json.dumps(everything(system), default=str)
    carried = calls_of(system.kafka, "billing")
    assert len(carried) == 2
    assert not [text for text in carried if "hunter2" in text or "quiet" in text]


def calls_of(kafka: Server, app: str) -> list[str]:
    """Return spans of this app in the topic that the detector judges, as text."""
    found: list[str] = []

    def all_there() -> list[str]:
        for batch in consumer.poll(timeout_ms=500).values():
            for record in batch:
                for one in ExportTraceServiceRequest.FromString(record.value).resource_spans:
                    if app in {pair.value.string_value for pair in one.resource.attributes}:
                        found.extend(str(span) for scope in one.scope_spans for span in scope.spans)
        return found

    consumer: Any = KafkaConsumer(
        names.TOPIC_CALLS, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", group_id=None,
        isolation_level="read_committed",
    )  # fmt: skip
    try:
        return wait_until(all_there, f"no calls of {app} in {names.TOPIC_CALLS}", 20)
    finally:
        consumer.close()
