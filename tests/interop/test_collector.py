"""The OpenTelemetry Collector reads what our collector writes, and takes nothing from it."""

import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics
from tests.interop.receiving import SpanKey, receive, span_keys
from tests.services.brokers.whole_topic import whole_topic
from tests.services.http.otelcol import run_collector
from tests.services.process import free_port
from tests.services.server import Server
from tests.services.waiting import wait_until
from tests.system.commands import BACKWATCH, environment

APP = """
import sqlite3, sys
import psycopg, redis, requests, pymysql

with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    for at in range(20):
        connection.execute("SELECT %s::int AS at, 'pen' AS name", (at,)).fetchall()
    connection.execute("DO $$ BEGIN RAISE NOTICE 'low'; END $$")
    try:
        connection.execute("SELECT wrong")
    except psycopg.Error:
        pass
cache = redis.Redis.from_url(sys.argv[2])
cache.set("basket:1", "pen")
cache.get("basket:1")
sqlite3.connect(":memory:").execute("SELECT 'a', 1 WHERE 1=1 -- odd").fetchall()
try:
    requests.get("http://127.0.0.1:1/", timeout=1)
except requests.ConnectionError:
    pass
"""


def span_keys_in_topic(kafka: Server) -> list[SpanKey]:
    """Every span in the topic, our own heartbeats with them."""
    records = whole_topic(StreamSettings(url=kafka.url), "interop")
    return sorted(one for record in records for one in span_keys(ExportTraceServiceRequest.FromString(record.value)))


@pytest.mark.heavy
def test_a_collector_passes_on_every_span_of_our_topic_with_every_attribute(
    otelcol: str, tmp_path: Path, kafka_without_topics: Server, postgresql: Server, redis_server: Server
) -> None:
    kafka = kafka_without_topics
    ensure_topics(StreamSettings(url=kafka.url), (names.TOPIC_CALLS,))
    (tmp_path / "app.py").write_text(APP)
    ran = subprocess.run(
        [BACKWATCH, "run", "--", sys.executable, "app.py", postgresql.tls_url, redis_server.tls_url],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env=environment({
            "BACKWATCH_APP": "shop", "BACKWATCH_STREAM_URL": kafka.url,
            "BACKWATCH_COLLECTOR_EXIT_TIMEOUT_S": "20",  # for a busy machine
        }),
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    expected = span_keys_in_topic(kafka)
    systems = {value for _, place, _ in expected for key, value in place[2] if key == names.DB_SYSTEM}
    assert {f'string_value: "{name}"\n' for name in ("postgresql", "redis", "sqlite")} == systems

    reader = {"kafka": {
        "brokers": [kafka.bootstrap], "initial_offset": "earliest",
        "traces": {"topics": [names.TOPIC_CALLS], "encoding": "otlp_proto"},
    }}  # fmt: skip
    with receive() as kept, run_collector(otelcol, reader, {"otlphttp": {"endpoint": kept.url}}, free_port()):
        wait_until(lambda: len(kept.spans) >= len(expected), f"{len(expected)} spans did not come through")

    assert sorted(kept.spans) == expected
    assert len(expected) > 25
