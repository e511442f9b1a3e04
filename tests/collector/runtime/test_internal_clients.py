"""The collector's Kafka clients in an app that uses Kafka: never recorded, on any thread, with any driver version."""

import gc
import importlib
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaProducer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.probes.kafka import KafkaProbe
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, StreamUnavailable
from backwatch.collector.stream import kafka_clients as clients
from backwatch.collector.stream.factory import ensure_topics, open_consumer, open_publisher
from tests.collector.probes.recording import watching
from tests.services.brokers.whole_topic import whole_topic
from tests.services.overlays import overlay
from tests.services.process import free_port
from tests.services.server import Server

MakeTopic = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
MESSAGES = 25
VERSIONS = ["", "kafka-python==2.0.2", "kafka-python==2.2.15", "kafka-python-ng==2.2.3"]

APP = f"""
import json, sys, time
import kafka
assert "backwatch.collector.stream.kafka" not in sys.modules
producer = kafka.KafkaProducer(bootstrap_servers=sys.argv[1])
for at in range({MESSAGES}):
    producer.send(sys.argv[2], b"x" * 10).get(timeout=20)
    time.sleep(0.05)   # so that our own batches go out in between
producer.close()
print(json.dumps([kafka.__version__, "backwatch.collector.stream.kafka" in sys.modules]))
"""
LATE = """
import sqlite3, sys, time
connection = sqlite3.connect(":memory:")
deadline = time.monotonic() + 30
while "backwatch.collector.stream.kafka_clients" not in sys.modules and time.monotonic() < deadline:
    connection.execute("SELECT 1").fetchall()
    time.sleep(0.05)
time.sleep(0.5)
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"x").get(timeout=20)
producer.close()
"""
DEAD = """
import logging, sqlite3, sys, time
logging.basicConfig(level=logging.DEBUG)
import kafka
connection = sqlite3.connect(":memory:")
for _ in range(40):
    connection.execute("SELECT 1").fetchall()
    time.sleep(0.1)
"""


@pytest.fixture
def kafka(kafka_alone: Server) -> Server:
    return kafka_alone


@pytest.fixture
def stream(kafka_without_topics: Server) -> StreamSettings:
    settings = StreamSettings(url=kafka_without_topics.url, partitions=1)
    ensure_topics(settings, [names.TOPIC_CALLS])
    return settings


@pytest.fixture
def run(tmp_path: Path, kafka: Server) -> Run:
    """Run an observed app, with its driver in the requested version."""

    def run(code: str, *arguments: str, version: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "app.py").write_text(code)
        path = [str(overlay(version))] if version else []
        variables = {
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(path),
            "BACKWATCH_STREAM_URL": kafka.url, "BACKWATCH_COLLECTOR_FLUSH_INTERVAL_S": "0.1",
            "BACKWATCH_COLLECTOR_EXIT_TIMEOUT_S": "20",  # for a busy machine
            "PYTHONWARNINGS": "ignore", **environment,
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "backwatch.collector", "run", "--", sys.executable, "app.py", *arguments],
            cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run


def spans(settings: StreamSettings) -> Counter[str]:
    """Return names of all spans in the stream."""
    found = Counter[str]()
    for record in whole_topic(settings, "test-own-clients"):
        for of_app in ExportTraceServiceRequest.FromString(record.value).resource_spans:
            found.update(span.name for scope in of_app.scope_spans for span in scope.spans)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_an_app_on_the_streams_broker_has_one_record_per_message(
    stream: StreamSettings, run: Run, kafka: Server, kafka_topic: MakeTopic, tmp_path: Path, version: str
) -> None:
    topic = kafka_topic()
    ran = run(APP, kafka.bootstrap, topic, version=version)
    assert (ran.returncode, ran.stderr) == (0, "")
    used, published = json.loads(ran.stdout)
    assert published
    assert not version or used == version.partition("==")[2]
    through_kafka = spans(stream)
    assert through_kafka["send"] == MESSAGES

    elsewhere = f"sqlite:///{tmp_path}/stream.db"
    assert run(APP, kafka.bootstrap, topic, version=version, BACKWATCH_STREAM_URL=elsewhere).returncode == 0
    assert through_kafka == spans(StreamSettings(url=elsewhere))


def test_an_app_that_imports_the_driver_after_we_did_is_watched(
    stream: StreamSettings, run: Run, kafka: Server, kafka_topic: MakeTopic
) -> None:
    ran = run(LATE, kafka.bootstrap, kafka_topic())
    assert (ran.returncode, ran.stderr) == (0, "")
    assert spans(stream)["send"] == 1


def test_the_apps_own_client_is_recorded_even_on_the_collectors_thread(kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic()
    with watching(KafkaProbe) as recording:
        theirs = KafkaProducer(bootstrap_servers=kafka.bootstrap)
        theirs.send(topic, b"x").get(timeout=20)
        internal = clients.open_producer(kafka.url, StreamSettings(url=kafka.url))
        before = len(recording.calls)
        sent = clients.send(internal, topic, Message(b"internal"))
        sent.add_callback(lambda _: theirs.send(topic, b"theirs"))
        sent.get(timeout=20)
        internal.send(topic, b"internal, from any caller").get(timeout=20)
        theirs.flush()
        internal.close()
        theirs.close()
    sends = [one for one in recording.calls[before:] if one.operation != "metadata"]
    assert [(one.operation, one.sent) for one in sends] == [("send", len(b"theirs"))]


def test_connects_of_the_collectors_clients_are_never_recorded(kafka: Server, kafka_topic: MakeTopic) -> None:
    topic = kafka_topic()
    with watching(KafkaProbe) as recording:
        recording.calls.clear()
        settings = StreamSettings(url=kafka.url, partitions=1)
        publisher = open_publisher(settings)
        publisher.publish(topic, [Message(b"x")] * 5, 10)
        publisher.close(1)
        with closing(open_consumer(settings, topic, topic)) as consumer:
            for _ in range(40):
                consumer.poll(0.2)
                if consumer.assignment():
                    break
            consumer.bounds(0)
        ensure_topics(settings, [topic])
    assert recording.calls == []


def test_a_dead_broker_is_one_line_in_the_apps_log(run: Run) -> None:
    url = f"kafka://127.0.0.1:{free_port()}"
    secret = {"BACKWATCH_KAFKA_USERNAME": "app", "BACKWATCH_KAFKA_PASSWORD": "canary"}
    ran = run(DEAD, BACKWATCH_STREAM_URL=url, BACKWATCH_KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT", **secret)
    assert ran.returncode == 0
    lines = [line for line in ran.stderr.splitlines() if not line.startswith("DEBUG:asyncio")]
    assert len(lines) == 1, ran.stderr
    assert url in lines[0]
    assert "BACKWATCH_STREAM_URL" in lines[0]
    assert "canary" not in ran.stderr


def test_the_apps_own_clients_log_as_before(caplog: pytest.LogCaptureFixture) -> None:
    clients.silence_client_logs()
    with caplog.at_level(logging.ERROR):
        logging.getLogger("kafka.client").error("of the app's")
    assert caplog.messages == ["of the app's"]


def test_a_failed_producer_leaves_the_apps_logger_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver, logger = importlib.import_module("kafka.producer.kafka"), logging.getLogger("kafka.producer.kafka")
    monkeypatch.setattr(driver, "log", logger)  # another test's client may have taken it away
    settings = StreamSettings(url="kafka://127.0.0.1:1")
    with pytest.raises(StreamUnavailable):
        clients.open_producer(settings.url, settings)
    gc.collect()
    assert driver.log is logger
