"""kombu and Celery: a message is one call on every transport, and its carrier is not recorded again."""

import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import celery
import pytest
from amqp.exceptions import AccessRefused, NotFound
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Consumer, Producer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.probes.kombu import KombuProbe
from backwatch.collector.probes.redis import RedisProbe
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import open_consumer
from tests.collector.probes.recording import RecordedCall, Recording
from tests.contract.exercises.kombu import amqp_url, application, open_connection, tls
from tests.contract.exercises.pika import Bomb
from tests.services.overlays import OVERLAID, not_overlaid, run_tests_with
from tests.services.server import Server

PROBES = (RedisProbe, KombuProbe)
OLDEST = (
    "kombu==5.0.0", "amqp==5.0.6", "vine==5.0.0", "celery==5.0.0", "billiard==3.6.3", "click==7.1.2",
    "click-repl==0.1.6", "click-didyoumean==0.0.3", "pytz==2021.1", "prompt-toolkit==3.0.5",
)  # fmt: skip


def only(found: list[RecordedCall]) -> RecordedCall:
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def queue() -> str:
    return f"test.{secrets.token_hex(8)}"


@pytest.fixture
def rabbit(recording: Recording, rabbitmq: Server) -> Iterator[Any]:
    with open_connection(amqp_url(rabbitmq), ssl=tls(rabbitmq)) as connection:
        yield connection


# --- one connection ---


def test_a_connect_reports_all_session_facts(recording: Recording, rabbit: Any, rabbitmq: Server) -> None:
    rabbit.connect()
    connect = only(recording.calls)
    session = connect.session
    assert (connect.operation, session.system, session.namespace) == ("connect", "rabbitmq", "/")
    assert (session.address, session.port) == (rabbitmq.host, rabbitmq.tls_port)
    assert (session.encrypted, session.verified, session.requested) == (True, "full", "verify-full")
    assert (session.account, session.auth_method) == (rabbitmq.user, "clear-password")
    assert session.server_version.startswith("RabbitMQ ")
    assert session.server_id.startswith("backwatch@")
    assert len(session.certificate_sha256) == 64
    assert connect.received > 1000
    assert not connect.estimated
    assert rabbitmq.password not in repr(recording.calls)


def test_a_refused_login_is_recorded_with_its_account(recording: Recording, rabbitmq: Server) -> None:
    with (
        pytest.raises(AccessRefused),
        open_connection(amqp_url(rabbitmq, password="guess-17"), ssl=tls(rabbitmq)) as connection,
    ):
        connection.connect()
    call = recording.calls[0]
    assert (call.operation, call.session.account, call.session.encrypted) == ("connect", rabbitmq.user, True)
    assert type(call.error).__name__ == "AccessRefused"
    assert call.facts[names.STATUS_CODE] == "403"
    assert "guess-17" not in repr(recording.calls)


def test_an_untrusted_certificate_is_recorded(recording: Recording, rabbitmq: Server) -> None:
    options = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": os.devnull, "server_hostname": rabbitmq.host}
    with pytest.raises((ssl.SSLError, OSError)), open_connection(amqp_url(rabbitmq), ssl=options) as connection:
        connection.connect()
    call = recording.calls[0]
    assert (call.operation, call.session.encrypted) == ("connect", None)
    assert call.error is not None


def test_a_message_is_published_and_delivered_once(recording: Recording, rabbit: Any, queue: str) -> None:
    channel = rabbit.default_channel
    taken: list[Any] = []
    declared = Queue(queue, Exchange("", channel=channel), queue, channel=channel, auto_delete=True)
    declared.declare()
    Producer(channel).publish("x" * 1000, routing_key=queue)
    with Consumer(channel, [declared], callbacks=[lambda body, message: (taken.append(body), message.ack())]):
        while not taken:
            rabbit.drain_events(timeout=20)
    publish, deliver = only(recording.of("PUBLISH")), only(recording.of("DELIVER"))
    assert (publish.statement, publish.facts[names.MESSAGING_DESTINATION]) == ("PUBLISH /test.?", "test.?")
    assert (deliver.statement, deliver.facts[names.MESSAGING_DESTINATION]) == ("DELIVER test.?", "test.?")
    assert 1000 < publish.sent < 1300
    assert 1000 < deliver.received < 1300
    assert (publish.estimated, deliver.estimated, deliver.rows_returned) == (True, True, 1)


def test_a_refusal_is_an_error_of_that_request(recording: Recording, rabbit: Any) -> None:
    with pytest.raises(NotFound):
        rabbit.default_channel.queue_declare("never.declared", passive=True)
    call = only(recording.of("QUEUE.DECLARE"))
    assert (type(call.error).__name__, call.facts[names.STATUS_CODE]) == ("NotFound", "404")


def test_a_returned_message_is_recorded(recording: Recording, rabbit: Any) -> None:
    channel = rabbit.default_channel
    Producer(channel, on_return=lambda *_: None).publish("back", routing_key="unrouted.key", mandatory=True)
    while not recording.of("RETURN"):
        rabbit.drain_events(timeout=20)
    back = only(recording.of("RETURN"))
    assert (back.statement, back.error, back.facts[names.NOTICES]) == ("RETURN /unrouted.key", "NO_ROUTE", 1)


@pytest.mark.parametrize("by", ["rabbitmq", "redis_server"])
def test_a_pickled_task_is_recognised_and_named(
    recording: Recording, request: pytest.FixtureRequest, queue: str, by: str
) -> None:
    server: Server = request.getfixturevalue(by)
    options = {"broker_use_ssl": tls(server)} if by == "rabbitmq" else {}
    app = application(amqp_url(server) if by == "rabbitmq" else server.url, **options)
    app.conf.task_default_queue = queue
    app.send_task("shop.tasks.run", (Bomb(),), serializer="pickle", retry=False)
    taken: list[Any] = []
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        with Consumer(channel, [app.amqp.queues[queue](channel)], on_message=taken.append):
            while not taken:
                connection.drain_events(timeout=20)
            taken[0].ack()
        app.amqp.queues[queue](channel).delete()
    app.close()
    sent, calls = only(recording.of("PUBLISH")), only(recording.of("DELIVER"))
    assert sent.statement.endswith("shop.tasks.run")
    assert (calls.statement, calls.rows_returned) == ("DELIVER test.? shop.tasks.run", 1)
    assert calls.facts[names.PAYLOAD_FORMAT] == "pickle"
    assert "posix.system" in str(calls.facts[names.PAYLOAD_GLOBALS])
    assert not recording.of("LPUSH")
    assert calls.session.system == ("rabbitmq" if by == "rabbitmq" else "redis")


def test_the_apps_own_redis_commands_are_recorded_by_the_redis_probe(
    recording: Recording, redis_server: Server
) -> None:
    with open_connection(redis_server.url) as connection:
        client = connection.default_channel.client
        client.lpush("by.hand", "x")
        assert client.brpop("by.hand", 1)
    assert [len(recording.of(operation)) for operation in ("LPUSH", "BRPOP", "PUBLISH", "DELIVER")] == [1, 1, 0, 0]


# --- Celery ---

APP = """
import json, os
from celery import Celery
settings = json.loads(os.environ["SETTINGS"])
app = Celery("shop", broker=settings["broker"], backend=settings["backend"])
app.conf.update(
    task_default_queue=settings["queue"], broker_use_ssl=settings["ssl"] or None, accept_content=["json", "pickle"],
    result_expires=60, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True,
)

@app.task(name="shop.tasks.add")
def add(first, second):
    return first + second
"""
SEND = """
from app import app
for number in range(5):
    assert app.send_task("shop.tasks.add", (number, 1), serializer="pickle").get(timeout=90) == number + 1
"""
TASKS = 5


class StreamCall(NamedTuple):
    """A call in the stream."""

    name: str
    statement: str
    facts: dict[str, Any]


def read_calls(url: str) -> list[StreamCall]:
    """Return every call in the stream."""
    found: list[StreamCall] = []
    with closing(open_consumer(StreamSettings(url=url), names.TOPIC_CALLS, "test-kombu")) as consumer:
        for partition in consumer.assignment():
            consumer.seek(partition, 0)
        while records := consumer.poll(0.5):
            for record in records:
                for of_app in ExportTraceServiceRequest.FromString(record.value).resource_spans:
                    for scope in of_app.scope_spans:
                        for span in scope.spans:
                            facts = {
                                attribute.key: getattr(
                                    attribute.value, attribute.value.WhichOneof("value") or "string_value"
                                )
                                for attribute in (*scope.scope.attributes, *span.attributes)
                            }
                            found.append(StreamCall(span.name, facts.get(names.STATEMENT, ""), facts))
    return found


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """Start a command with the collector beside the app, with its settings."""
    (tmp_path / "app.py").write_text(APP)

    def start(*command: str, settings: str) -> "subprocess.Popen[str]":
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "PYTHONWARNINGS": "ignore", "C_FORCE_ROOT": "1", "SETTINGS": settings,
            "BACKWATCH_STREAM_URL": f"sqlite:///{tmp_path}/stream.db", "BACKWATCH_COLLECTOR_FLUSH_INTERVAL_S": "0.1",
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "backwatch.collector", "run", "--", sys.executable, *command],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    return start


@contextmanager
def worker(run: Callable[..., Any], settings: str, pool: str) -> Generator[None]:
    process = run(
        "-m", "celery", "-A", "app", "worker", "--pool", pool, "--concurrency", "1", "-l", "ERROR", settings=settings,
    )  # fmt: skip
    try:
        yield
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
@pytest.mark.parametrize("by", ["rabbitmq", "redis"])
def test_every_task_is_sent_once_and_delivered_once(
    run: Callable[..., Any], rabbitmq: Server, redis_server: Server, queue: str, tmp_path: Path, by: str, pool: str
) -> None:
    over_amqp, url = by == "rabbitmq", f"sqlite:///{tmp_path}/stream.db"
    settings = json.dumps({
        "broker": amqp_url(rabbitmq) if over_amqp else redis_server.url,
        "ssl": tls(rabbitmq) if over_amqp else {}, "backend": redis_server.url, "queue": queue,
    })  # fmt: skip
    with worker(run, settings, pool):
        sender = run("-c", SEND, settings=settings)
        output, _ = sender.communicate(timeout=200)
        assert sender.returncode == 0, output
        # A worker of the pool stores and reports the results asynchronously; it dies with its master.
        deadline = time.monotonic() + 60
        while sum("SETEX" in call.statement for call in read_calls(url)) < TASKS and time.monotonic() < deadline:
            time.sleep(0.2)
    calls = read_calls(url)
    tasks = Counter((call.name, call.statement) for call in calls if call.statement.endswith("shop.tasks.add"))
    assert tasks == {
        ("PUBLISH", "PUBLISH /test.? shop.tasks.add"): TASKS,
        ("DELIVER", "DELIVER test.? shop.tasks.add"): TASKS,
    }
    delivered = [call.facts for call in calls if call.name == "DELIVER" and call.statement.endswith("shop.tasks.add")]
    assert {call[names.PAYLOAD_FORMAT] for call in delivered} == {"pickle"}
    by_hand = [call for call in calls if call.name in ("LPUSH", "BRPOP") and names.PAYLOAD_FORMAT in call.facts]
    assert by_hand == []
    assert sum("SETEX" in call.statement for call in calls) >= TASKS
    assert rabbitmq.password not in repr(calls)


@not_overlaid
def test_the_oldest_kombu_and_celery_pass_the_same_tests(rabbitmq: Server, redis_server: Server) -> None:
    run_tests_with(OLDEST, "kombu", rabbitmq, redis_server)


@pytest.mark.skipif(OVERLAID not in os.environ, reason="only where the oldest is asked for")
def test_the_oldest_versions_are_really_installed() -> None:
    assert celery.__version__ == "5.0.0"


def test_a_raw_message_of_a_foreign_transport_raises_no_internal_error(recording: Recording, queue: str) -> None:
    taken: list[object] = []
    in_memory: Any = Connection("memory://")
    with in_memory as connection, closing(connection.channel()) as channel:
        consumer = Consumer(
            channel, [Queue(queue)], callbacks=[lambda body, _: taken.append(body)], accept=["text/plain"]
        )
        delivery = {"delivery_tag": "1", "delivery_info": {"exchange": "", "routing_key": queue}}
        raw = {"body": "hello", "content-type": "text/plain", "content-encoding": "utf-8", "properties": delivery}
        consumer._receive_callback(raw)
    assert taken == ["hello"]
