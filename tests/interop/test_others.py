"""Apps without Backwatch's collector: plain OpenTelemetry in Python and in Java, through a Collector.

Their spans tell no session, no rows and no bytes. An injection is seen by its text, a bulk read as a statement that is
new where all others are known; what they cannot tell is unknown, and no alert takes it for the worst.
"""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from backwatch.collector import names
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.services.http.otelcol import JARS, run_collector
from tests.services.process import binary, free_port
from tests.services.server import Server
from tests.services.waiting import wait_until
from tests.system.commands import Running, environment, run_in_background

SHOP = Path(__file__).with_name("Shop.java")
PATIENCE_S = 120
"""The Collector's exporter tries again after 5, 7.5, 11 seconds and so on where the topic has no leader yet."""
INJECTED = "x' UNION SELECT 1, usename FROM pg_catalog.pg_user -- "
PLAIN = """
import sys
import psycopg, redis
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
PsycopgInstrumentor().instrument()
RedisInstrumentor().instrument()

cache = redis.Redis.from_url(sys.argv[2])
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    for at in range(200):
        connection.execute("SELECT id, name FROM customers WHERE id = %s", (at,)).fetchone()
        cache.get(f"basket:{at}")
    connection.execute("SELECT * FROM customers").fetchall()
    connection.execute(f"SELECT id, name FROM customers WHERE name = '{sys.argv[3]}'").fetchall()
cache.config_set("slowlog-max-len", "100")
provider.shutdown()
"""


@pytest.fixture
def customers(postgresql_database: str) -> str:
    """A database with a table that is worth reading in bulk."""
    with psycopg.connect(postgresql_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE customers (id int PRIMARY KEY, name text)")
        connection.execute("INSERT INTO customers SELECT n, 'name ' || n FROM generate_series(0, 9999) AS n")
    return postgresql_database


@pytest.fixture
def endpoint(otelcol: str, kafka_without_topics: Server) -> Iterator[str]:
    """Where an app sends its OTLP: a Collector that writes it to the stream."""
    port = free_port()
    receiver = {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}}
    exporter = {"kafka": {
        "brokers": [kafka_without_topics.bootstrap],
        "traces": {"topic": names.TOPIC_SPANS, "encoding": "otlp_proto"},
    }}  # fmt: skip
    with run_collector(otelcol, receiver, exporter, free_port()):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def detector(tmp_path: Path, store: str, kafka_without_topics: Server) -> Iterator[Running]:
    settings = {
        "BACKWATCH_STREAM_URL": kafka_without_topics.url, "BACKWATCH_STORE_URL": store,
        "BACKWATCH_DETECTOR_GROUP": f"t-{secrets.token_hex(6)}",
    }  # fmt: skip
    with run_in_background(tmp_path, "detect", **settings) as one:
        one.wait_for_output("detecting")
        yield one


def alerts(store: str) -> list[dict[str, Any]]:
    engine = open_store(store)
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(sa.select(tables.alert)).mappings()]
    engine.dispose()
    return found


def check_alerts(store: str, app: str, detector: Running, printed: str) -> None:
    """Check the alerts on either app; a failure shows what the app printed."""

    def find_all() -> "dict[str, list[dict[str, Any]]] | None":
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in alerts(store):
            found.setdefault(alert["rule"], []).append(alert)
        return found if {"query-attack", "unusual-query", "redis-reconfigured"} <= set(found) else None

    try:
        found = wait_until(find_all, f"not every alert of {app} is there", PATIENCE_S) or {}
    except AssertionError as error:
        error.add_note(str([(one["rule"], statement_of(one)) for one in alerts(store)]))
        error.add_note(f"the detector: {detector.output()[-2_000:]}\nthe app: {printed[-2_000:]}")
        raise
    # The bulk read is the new statement without a sign.
    texts = {rule: [statement_of(alert) for alert in raised] for rule, raised in found.items()}
    assert any("UNION" in text.upper() for text in texts["query-attack"])
    assert any(text.upper().startswith("SELECT * FROM CUSTOMERS") for text in texts["unusual-query"])
    assert any("CONFIG SET" in text for text in texts["redis-reconfigured"])
    assert {"query-attack", "unusual-query", "redis-reconfigured"} == set(found)
    for raised in found.values():
        for alert in raised:
            assert alert["app"] == app
            assert not [name for name in evidence_of(alert) if name.startswith("tls.") or name == names.TLS_VERIFIED]


def evidence_of(alert: dict[str, Any]) -> dict[str, Any]:
    evidence = alert["evidence"]
    return json.loads(evidence) if isinstance(evidence, str) else evidence


def statement_of(alert: dict[str, Any]) -> str:
    evidence = evidence_of(alert)
    return str(evidence.get(names.QUERY_TEXT, "")) + str(evidence.get(names.STATEMENT, ""))


@pytest.mark.slow
def test_injection_and_bulk_read_under_plain_opentelemetry_raise_alerts(
    tmp_path: Path, customers: str, redis_server: Server, endpoint: str, detector: Running, store: str
) -> None:
    (tmp_path / "app.py").write_text(PLAIN)
    ran = subprocess.run(
        [sys.executable, "app.py", customers, redis_server.url, INJECTED],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=environment({"OTEL_SERVICE_NAME": "plain", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    check_alerts(store, "plain", detector, ran.stderr)


@pytest.mark.slow
def test_an_injection_and_a_bulk_read_of_a_java_app_are_caught(
    java_agent: str, tmp_path: Path, customers: str, redis_server: Server, endpoint: str, detector: Running, store: str
) -> None:
    parts = sa.make_url(customers)
    jdbc = f"jdbc:postgresql://{parts.host}:{parts.port}/{parts.database}"
    ran = subprocess.run(
        [
            binary("java", "java"), f"-javaagent:{java_agent}", "-XX:TieredStopAtLevel=1",
            "-cp", f"{JARS}/*", str(SHOP),
            jdbc, str(parts.username), str(parts.password), redis_server.url, INJECTED,
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=180, env=environment({
            "OTEL_SERVICE_NAME": "java-shop", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    check_alerts(store, "java-shop", detector, ran.stderr)
