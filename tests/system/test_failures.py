"""Failures around Backwatch give one clear line with the setting, a documented exit code, and no loss."""

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import sqlalchemy as sa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from backwatch.collector import names
from backwatch.collector.cli import EXIT_IO, EXIT_SETTING, EXIT_UNAVAILABLE, EXIT_USAGE
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message
from backwatch.collector.stream.factory import open_consumer, open_publisher
from backwatch.detector.runtime.service import RETRY_S
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.detector import streams
from tests.services.faults.disk import Disk, small_disk
from tests.services.faults.gate import Gate
from tests.services.process import free_port
from tests.services.server import PREFIX, MissingServerError, Server
from tests.services.waiting import wait_until
from tests.system.commands import BACKWATCH, Ran, environment, run_command, run_in_background

PASSWORD = "hunter2"
STORE_COMMANDS = (("notify",), ("dashboard",), ("db", "status"), ("db", "upgrade"), ("fit",))


def check_refusal(one: Ran, code: int, *words: str) -> None:
    """Assert this exit code after one line with these words, no secret among them."""
    ended = one.err.splitlines()
    assert (one.code, one.out, len(ended)) == (code, "", 1), one
    assert ended[0].startswith("Error: ")
    assert [word for word in words if word not in ended[0]] == [], ended[0]
    assert PASSWORD not in one.err


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("BACKWATCH_DETECTOR_COMMIT_CALLS", "many", "'many': is not a whole number"),
        ("BACKWATCH_DETECTOR_COMMIT_INTERVAL_S", "nan", "'nan'"),
        ("BACKWATCH_STREAM_PARTITIONS", "0", "'0': must be from 1"),
        ("BACKWATCH_STREAM_PARTITIONS", "-3", "'-3': must be from 1"),
        ("BACKWATCH_CONFIG", "/nowhere/backwatch.toml", "'/nowhere/backwatch.toml': No such file"),
        ("BACKWATCH_RULES_DIR", "/nowhere", "'/nowhere'"),
        ("BACKWATCH_STREM_URL", "kafka://me:hunter2@db:9092", "BACKWATCH_STREAM_URL"),
        ("BACKWATCH_WEBHOOK_SECRT", "whsec_hunter2", "is BACKWATCH_WEBHOOK_SECRET meant?"),
        ("BACKWATCH_MISTAKE", "hunter2", "no such setting"),
        ("BACKWATCH_STREAM_URL", "amqp://me:hunter2@mq/calls", "'amqp://mq/calls': must begin with kafka://"),
        ("BACKWATCH_STREAM_URL", "kafka://me:hunter2@db:9092", "'kafka://db:9092': user and password belong"),
        ("BACKWATCH_STREAM_URL", "kafka://[::1", "must be kafka://host:port"),
        ("BACKWATCH_STREAM_URL", "/var/lib/stream.db", "must begin with kafka://"),
        ("BACKWATCH_STORE_URL", "mysql://me:hunter2@db/alerts", "'mysql://db/alerts'"),
        ("BACKWATCH_STORE_URL", "mysql://me:hun/hunter2@db/alerts", "'mysql://db/alerts'"),
        ("BACKWATCH_STORE_URL", "postgresql://me@db:port/alerts?password=hunter2", "'postgresql://db:port/alerts'"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_and_value(tmp_path: Path, name: str, value: str, shown: str) -> None:
    settings = {
        "BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db",
        "BACKWATCH_STORE_URL": f"sqlite:///{tmp_path}/s.db",
    }
    check_refusal(run_command("detect", **{**settings, name: value}), EXIT_SETTING, name, shown)


def test_settings_of_notify_and_dashboard_are_refused_alike(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    hook = {"BACKWATCH_WEBHOOK_URL": "https://hooks.example/hunter2", "BACKWATCH_WEBHOOK_SECRET": "hunter2"}
    check_refusal(
        run_command("notify", BACKWATCH_STORE_URL=store, **hook), EXIT_SETTING, "BACKWATCH_WEBHOOK_SECRET=(secret)"
    )
    far = run_command("dashboard", BACKWATCH_STORE_URL=store, BACKWATCH_DASHBOARD_PORT="70000")
    check_refusal(far, EXIT_SETTING, "BACKWATCH_DASHBOARD_PORT='70000'")


def test_the_settings_file_is_held_to_the_same_and_named(tmp_path: Path) -> None:
    file = tmp_path / "backwatch.toml"
    for text, words in (
        ("stream_partitions = 0", ("stream_partitions", str(file), ": must be from 1")),
        ("stream_partition = 2", (f"{file}: stream_partition='2'", "is stream_partitions meant?")),
        ("stream_partitions =", ("BACKWATCH_CONFIG", str(file))),
        ("\xff", ("BACKWATCH_CONFIG", str(file))),
    ):
        file.write_bytes(text.encode("latin-1"))
        check_refusal(run_command("detect", BACKWATCH_CONFIG=str(file)), EXIT_SETTING, *words)


def test_wrong_flag_value_is_a_setting_error_and_unknown_flag_wrong_usage() -> None:
    check_refusal(run_command("detect", "--stream-url", "ftp://me:hunter2@x"), EXIT_SETTING, "'ftp://x'")
    assert run_command("detect", "--no-such-flag").code == EXIT_USAGE


def test_wrong_setting_changes_only_one_line_of_the_apps_output(tmp_path: Path) -> None:
    app = (sys.executable, "-c", "import sqlite3; print(sqlite3.connect(':memory:').execute('select 7').fetchone())")
    for name, value in (
        ("BACKWATCH_COLLECTOR_QUEUE_RECORDS", "many"),
        ("BACKWATCH_STREAM_URL", "amqp://me:hunter2@mq/"),
    ):
        ended = run_command("run", "--", *app, **{"HOME": str(tmp_path), name: value})
        assert (ended.code, ended.out) == (0, "(7,)\n")
        assert len(ended.err.splitlines()) == 1
        assert name in ended.err
        assert PASSWORD not in ended.err


@pytest.mark.parametrize("command", STORE_COMMANDS, ids=" ".join)
def test_unresponsive_store_is_reported_with_its_address(tmp_path: Path, command: tuple[str, ...]) -> None:
    port = free_port()
    stream = f"sqlite:///{tmp_path}/stream.db"
    store = f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/alerts"
    ended = run_command(*command, BACKWATCH_STREAM_URL=stream, BACKWATCH_STORE_URL=store)
    check_refusal(ended, EXIT_UNAVAILABLE, f"BACKWATCH_STORE_URL='postgresql://127.0.0.1:{port}/alerts'", "refused")


def test_unreachable_target_ends_backwatch_up_too(tmp_path: Path) -> None:
    port = free_port()
    store = f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/alerts"
    dashboard = str(free_port())
    ended = run_command(
        "up",
        BACKWATCH_STORE_URL=store,
        BACKWATCH_DASHBOARD_PORT=dashboard,
        XDG_STATE_HOME=str(tmp_path),
        TMPDIR=str(tmp_path),
    )
    assert ended.code == EXIT_UNAVAILABLE
    assert f"BACKWATCH_STORE_URL='postgresql://127.0.0.1:{port}/alerts'" in ended.last_line
    assert PASSWORD not in ended.out + ended.err


def test_failed_embedded_stream_is_reported_with_its_address(tmp_path: Path) -> None:
    url = "sqlite:////proc/nowhere/stream.db"
    ended = run_command("detect", BACKWATCH_STREAM_URL=url, BACKWATCH_STORE_URL=f"sqlite:///{tmp_path}/store.db")
    check_refusal(ended, EXIT_UNAVAILABLE, f"BACKWATCH_STREAM_URL={url!r}")


def test_detect_waits_for_a_broker_that_is_away_at_its_start(tmp_path: Path, kafka_without_topics: Server) -> None:
    gate = Gate("down")
    settings = {
        "BACKWATCH_STREAM_URL": f"kafka://127.0.0.1:{gate.port}", "BACKWATCH_STREAM_PARTITIONS": "2",
        "BACKWATCH_STORE_URL": f"sqlite:///{tmp_path}/store.db",
    }  # fmt: skip
    with run_in_background(tmp_path, "detect", **settings) as detector:
        detector.wait_for_output("waiting for it")
        detector.wait_for_output("detector: BACKWATCH_STREAM_URL=")
        time.sleep(3 * RETRY_S)
        assert detector.output().count("detector: BACKWATCH_STREAM_URL=") == 1  # several tries, one line
        assert "ready" not in detector.output()
        gate.open(kafka_without_topics.port)
        detector.wait_for_output("ready")
        publish_values(kafka_without_topics.url, some_calls(1))
        detector.until(lambda: count_judged(settings["BACKWATCH_STORE_URL"]) == 20, "the calls were not judged")
        assert detector.stop() == 143
    gate.close()


def through(gate: Gate, url: str) -> str:
    """Return the URL of a PostgreSQL server, led through the gate."""
    return urlsplit(url)._replace(netloc=f"{urlsplit(url).netloc.rpartition(':')[0]}:{gate.port}").geturl()


def test_detect_waits_for_a_store_that_is_away_at_its_start(tmp_path: Path, postgresql_database: str) -> None:
    gate, monitoring, stream = Gate("down"), free_port(), f"sqlite:///{tmp_path}/stream.db"
    settings = {
        "BACKWATCH_STREAM_URL": stream, "BACKWATCH_STORE_URL": through(gate, postgresql_database),
        "BACKWATCH_MONITORING_PORT": str(monitoring),
    }  # fmt: skip
    with run_in_background(tmp_path, "detect", **settings) as detector:
        detector.wait_for_output("; waiting for it")
        time.sleep(3)
        assert detector.output().count("BACKWATCH_STORE_URL=") == 1  # several tries, one line
        assert "ready" not in detector.output()
        assert requests.get(f"http://127.0.0.1:{monitoring}/healthz", timeout=20).status_code == 200
        assert "the store does not answer" in requests.get(f"http://127.0.0.1:{monitoring}/readyz", timeout=20).text
        gate.open(urlsplit(postgresql_database).port or 5432)
        detector.wait_for_output("the store replies")
        detector.wait_for_output("ready")
        publish_values(stream, some_calls(1))
        detector.until(lambda: count_judged(postgresql_database) == 20, "the calls were not judged")
        assert detector.stop() == 143
    gate.close()


def test_detect_waits_for_a_locked_store_file_and_leaves_when_asked(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    holder.execute("pragma journal_mode=wal")
    holder.execute("begin immediate")
    settings = {"BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db", "BACKWATCH_STORE_URL": store}
    with run_in_background(tmp_path, "detect", **settings) as detector:
        detector.wait_for_output(f"BACKWATCH_STORE_URL={store!r}: database is locked; waiting for it")
        assert detector.stop() == 143
    holder.close()


def test_a_wrong_password_or_file_of_the_store_ends_detect_at_once(tmp_path: Path, postgresql_database: str) -> None:
    stream = f"sqlite:///{tmp_path}/stream.db"
    parts = urlsplit(postgresql_database)
    place = parts.netloc.rpartition("@")[2]
    wrong = parts._replace(netloc=f"{parts.username}:{PASSWORD}@{place}").geturl()
    ended = run_command("detect", BACKWATCH_STREAM_URL=stream, BACKWATCH_STORE_URL=wrong)
    check_refusal(ended, EXIT_UNAVAILABLE, "BACKWATCH_STORE_URL=", "password authentication failed")
    no_store = tmp_path / "text.db"
    no_store.write_text("no database at all" * 1_000)
    ended = run_command("detect", BACKWATCH_STREAM_URL=stream, BACKWATCH_STORE_URL=f"sqlite:///{no_store}")
    check_refusal(ended, EXIT_UNAVAILABLE, f"BACKWATCH_STORE_URL='sqlite:///{no_store}'", "not a database")


def test_missing_file_or_folder_is_an_input_failure(tmp_path: Path) -> None:
    check_refusal(
        run_command("replay", str(tmp_path / "spans.jsonl")), EXIT_IO, str(tmp_path / "spans.jsonl"), "No such file"
    )
    check_refusal(run_command("replay", str(tmp_path)), EXIT_IO, str(tmp_path), "directory")


# --- unreadable messages ---


@pytest.fixture
def urls(tmp_path: Path) -> dict[str, str]:
    return {
        "BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db",
        "BACKWATCH_STORE_URL": f"sqlite:///{tmp_path}/store.db",
    }


def publish_values(url: str, *values: bytes, topic: str = names.TOPIC_CALLS) -> None:
    publisher = open_publisher(StreamSettings(url=url))
    publisher.publish(topic, [Message(value) for value in values], 10)
    publisher.close(5)


def rows(url: str, table: sa.Table) -> list[dict[str, Any]]:
    engine = open_store(url)
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
    engine.dispose()
    return found


def count_judged(url: str) -> int:
    """Return the calls in the store."""
    return sum(row["calls"] for row in rows(url, tables.resource))


def some_calls(number: int) -> bytes:
    """Return twenty calls of an ordinary app."""
    return streams.encode(list(streams.quiet(random.Random(number), 20)), number)


def test_unreadable_message_is_quarantined_reported_and_skipped(tmp_path: Path, urls: dict[str, str]) -> None:
    stream, store = urls["BACKWATCH_STREAM_URL"], urls["BACKWATCH_STORE_URL"]
    garbage, foreign = b"\x0a\xff\xff not OTLP \x00\xfe", b"GET / HTTP/1.1\r\n\r\n"
    good = [some_calls(1), some_calls(2)]
    with run_in_background(tmp_path, "detect", **urls) as detector:
        detector.wait_for_output("detecting")
        publish_values(stream, good[0], garbage, good[1])
        publish_values(stream, foreign, topic=names.TOPIC_SPANS)
        detector.until(lambda: len(rows(store, tables.quarantine)) == 2, "nothing is in quarantine")
        publish_values(stream, some_calls(3))
        detector.until(lambda: count_judged(store) == 60, "not all calls were judged")
        detector.until(lambda: lost(store), "no alert reports the loss")
        assert detector.stop() == 143
    assert {garbage, b"\x00" + foreign} == {row["value"] for row in rows(store, tables.quarantine)}
    status = json.loads(run_command("db", "status", "--json", **urls).out)
    assert status["quarantined"] == 2


def lost(url: str) -> list[str]:
    return [row["id"] for row in rows(url, tables.alert) if row["rule"] == "telemetry-loss"]


# --- full disks ---


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        with small_disk(tmp_path / "disk") as one:
            yield one
    except MissingServerError as missing:
        pytest.skip(PREFIX + str(missing))


def test_full_disk_is_reported_at_start_with_stream_and_store(tmp_path: Path, disk: Disk) -> None:
    disk.fill()
    elsewhere, here = f"sqlite:///{tmp_path}/a.db", f"sqlite:///{disk.folder}/b.db"
    no_stream = run_command("detect", BACKWATCH_STREAM_URL=here, BACKWATCH_STORE_URL=elsewhere)
    check_refusal(no_stream, EXIT_IO, f"BACKWATCH_STREAM_URL={here!r}", "full")
    no_store = run_command("detect", BACKWATCH_STREAM_URL=elsewhere, BACKWATCH_STORE_URL=here)
    check_refusal(no_store, EXIT_IO, f"BACKWATCH_STORE_URL={here!r}", "full")


def test_full_store_disk_delays_and_loses_nothing(tmp_path: Path, disk: Disk, urls: dict[str, str]) -> None:
    stream, store = urls["BACKWATCH_STREAM_URL"], f"sqlite:///{disk.folder}/store.db"
    urls["BACKWATCH_STORE_URL"] = store
    with run_in_background(tmp_path, "detect", **urls) as detector:
        detector.wait_for_output("detecting")
        publish_values(stream, some_calls(1))
        detector.until(lambda: count_judged(store) == 20, "the first calls were not judged")
        disk.fill()
        publish_values(stream, some_calls(2))
        detector.wait_for_output(f"BACKWATCH_STORE_URL={store!r}: the disk is full")
        time.sleep(1)
        assert detector.output().count("the disk is full") == 1
        publish_values(stream, some_calls(3))
        disk.free()
        detector.until(lambda: count_judged(store) == 60, "not all calls were judged")

        disk.fill()
        publish_values(stream, some_calls(4))
        detector.until(lambda: detector.output().count("the disk is full") == 2, "the second time is not reported")
        assert detector.stop() == EXIT_IO
    assert detector.output().splitlines()[-1].startswith(f"Error: BACKWATCH_STORE_URL={store!r}: the disk is full")
    disk.free()
    with run_in_background(tmp_path, "detect", **urls) as detector:
        detector.until(lambda: count_judged(store) == 80, "what the last one could not commit was lost")
    assert lost(store) == []


APP = """
import sqlite3, sys
connection = sqlite3.connect(":memory:")
for line in sys.stdin:
    for number in range(int(line)):
        connection.execute("SELECT %d" % number)
    print(line, end="", flush=True)
"""


def test_app_with_a_full_stream_disk_goes_on_and_delivers_later(tmp_path: Path, disk: Disk) -> None:
    url = f"sqlite:///{disk.folder}/stream.db"
    with (tmp_path / "err").open("wb") as err:
        app = subprocess.Popen(
            [BACKWATCH, "run", "--", sys.executable, "-c", APP],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err,
            env=environment({"BACKWATCH_STREAM_URL": url, "BACKWATCH_APP": "shop"}),
        )  # fmt: skip

    def does(count: int) -> None:
        assert app.stdin is not None
        assert app.stdout is not None
        app.stdin.write(f"{count}\n")
        app.stdin.flush()
        assert app.stdout.readline() == f"{count}\n"

    try:
        does(100)
        wait_until(lambda: count_delivered(url) >= 100, "the first calls were not delivered")
        disk.fill()
        does(2_000)
        wait_until(lambda: "is the disk full?" in (tmp_path / "err").read_text(), "the full disk is not reported")
        does(500)
        disk.free()
        wait_until(lambda: count_delivered(url) >= 2_600, "what was kept did not arrive")
        does(10)
    finally:
        app.communicate(timeout=30)
    assert app.returncode == 0
    ended = (tmp_path / "err").read_text().splitlines()
    assert len(ended) == 2
    assert f"BACKWATCH_STREAM_URL={url!r}" in ended[0]
    assert "the stream is back" in ended[1]
    assert count_delivered(url) == 2_610


def spans_in(value: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(value).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def count_delivered(url: str) -> int:
    """Return statements of the app in the stream."""
    consumer = open_consumer(StreamSettings(url=url), names.TOPIC_CALLS, f"test-{os.getpid()}")
    try:
        total, found = 0, consumer.poll(0)
        while found:
            total += sum(span.name == "SELECT" for one in found for span in spans_in(one.value))
            found = consumer.poll(0)
        return total
    finally:
        consumer.close()
