"""Ingest of third-party spans: split by app, converted to the contract, and redacted."""

import random
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_heartbeat
from backwatch.collector.pipeline.protobuf import varint
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, Record
from backwatch.collector.stream.factory import ensure_topics, open_consumer, open_publisher, open_relay
from backwatch.detector.decoding.decoder import decode
from backwatch.detector.ingest.routing import MAX_MESSAGE_BYTES, UNREADABLE, outputs, route
from backwatch.detector.runtime.router import Router
from tests.detector.streams import SAFE, START_NS, Call, encode, statement

Facts = Mapping[str, str | int | bool]
SECRET = "hunter2"


def contrib(facts: Facts, *, app: str = "shop", count: int = 1, name: str = "SELECT shop", kind: int = 3) -> bytes:
    """Return spans as an OpenTelemetry instrumentation sends them."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key=names.SERVICE_NAME).value.string_value = app
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "opentelemetry.instrumentation.psycopg", "0.66b1"
    for i in range(count):
        span = scope.spans.add(
            name=name, kind=kind, trace_id=b"t" * 16, span_id=i.to_bytes(8, "big"), start_time_unix_nano=5,
            end_time_unix_nano=9,
        )  # fmt: skip
        for key, value in facts.items():
            one = span.attributes.add(key=key).value
            if isinstance(value, bool):
                one.bool_value = value
            elif isinstance(value, int):
                one.int_value = value
            else:
                one.string_value = value
    return request.SerializeToString()


def route_and_decode(value: bytes) -> list[dict[str, Any]]:
    found = decode([message.value for message in route(value)])
    assert found.malformed == []
    return [found.evidence(row) for row in range(found.count)]


def test_contrib_span_is_converted_to_the_collectors_facts() -> None:
    (facts,) = route_and_decode(
        contrib({
            "db.system": "postgresql", "db.name": "shop", "db.user": "ada", "net.peer.name": "db",
            "net.peer.port": 5432, "db.statement": f"SELECT * FROM users WHERE name = '{SECRET}' OR 1=1 --",
        })
    )  # fmt: skip
    signs = set(facts.pop(names.QUERY_SIGNS).split(","))
    assert {"tautology", "comment-tail"} <= signs <= set(names.SIGNS)
    text = facts.pop(names.QUERY_TEXT)
    assert text.startswith("SELECT * FROM users WHERE name = ?")
    assert facts == {
        names.SERVICE_NAME: "shop", names.DB_SYSTEM: "postgresql", names.DB_NAMESPACE: "shop", names.ACCOUNT: "ada",
        names.SERVER_ADDRESS: "db", names.SERVER_PORT: 5432, names.OPERATION: "SELECT", "span.name": "SELECT",
    }  # fmt: skip


SECRETIVE: dict[str, Facts] = {
    "sql": {"db.system.name": "mysql", "db.query.text": f"SELECT '{SECRET}' /* {SECRET} */"},
    "sql twice": {"db.system": "mysql", "db.statement": f"x = '{SECRET}'", "db.query.text": f"y = '{SECRET}'"},
    "sql of an unknown system": {"db.system": "nosuch", "db.statement": f"SELECT '{SECRET}'"},
    "parameters": {"db.system": "mysql", "db.query.text": "SELECT ?", "db.query.parameter.0": SECRET,
                   "db.statement.parameters": f"('{SECRET}',)"},
    "account statement": {"db.system": "postgresql", "db.statement": f"ALTER USER ada PASSWORD '{SECRET}'"},
    "redis": {"db.system": "redis", "db.statement": f"SET {SECRET} {SECRET}"},
    "redis login": {"db.system": "redis", "db.statement": f"AUTH default {SECRET}"},
    "memcached": {"db.system": "memcached", "db.statement": f"set {SECRET}"},
    "mongodb": {"db.system": "mongodb", "db.statement": '{"find": "users", "filter": {"token": "' + SECRET + '"}}'},
    "url": {"http.method": "GET", "http.url": f"https://ada:{SECRET}@h/a?token={SECRET}#{SECRET}"},
    "new url": {"http.request.method": "GET", "url.full": f"https://h/a?token={SECRET}", "url.query": SECRET},
    "target": {"http.method": "GET", "http.url": "http://h/", "http.target": f"/?{SECRET}"},
    "a database's url": {"db.system": "elasticsearch", "http.url": f"http://h/_search?q={SECRET}"},
    "a service's url": {"rpc.system": "aws-api", "url.full": f"http://u:{SECRET}@h/?{SECRET}"},
    "headers": {"http.method": "GET", "http.url": "http://h/", "http.request.header.authorization": SECRET},
    "messaging": {"messaging.system": "kafka", "messaging.destination": "q", "messaging.url": f"kafka://u:{SECRET}@h",
                  "db.statement": SECRET},
    "rpc": {"rpc.system": "grpc", "rpc.service": "s", "rpc.method": "m", "rpc.request.metadata.token": SECRET},
    "connection string": {"db.system": "mysql", "db.connection_string": f"mysql://u:{SECRET}@h"},
    "no call": {"enduser.token": SECRET},
    "our own names": {"db.system": "mysql", names.STATEMENT: SECRET, names.RESOURCE_NAME: SECRET,
                      names.QUERY_SIGNS: SECRET},
    "an error's text": {"db.system": "mysql", "error.type": f"duplicate key '{SECRET}'"},
    "an operation": {"db.system": "mysql", "db.operation": f"'{SECRET}'"},
}  # fmt: skip


@pytest.mark.parametrize("which", SECRETIVE)
def test_secrets_are_redacted(which: str) -> None:
    request = ExportTraceServiceRequest.FromString(contrib(SECRETIVE[which], name=f"SELECT '{SECRET}'"))
    request.resource_spans[0].resource.attributes.add(key="process.command_line").value.string_value = SECRET
    request.resource_spans[0].scope_spans[0].scope.attributes.add(key="x").value.string_value = SECRET
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.status.message, span.trace_state = SECRET, f"a={SECRET}"
    event = span.events.add(name="exception")
    for key in ("exception.message", "exception.stacktrace"):
        event.attributes.add(key=key).value.string_value = SECRET
    span.links.add(trace_id=b"l" * 16).attributes.add(key="x").value.string_value = SECRET
    messages = route(request.SerializeToString())
    assert messages
    assert all(SECRET.encode() not in message.value for message in messages)
    assert decode([message.value for message in messages]).spans == 1


def test_third_party_http_calls_get_a_statement_and_keep_their_tls() -> None:
    (facts,) = route_and_decode(
        contrib(
            {"http.method": "get", "http.url": "http://api.example:81/users/4711/mails?q=1", "http.status_code": 200}
        )
    )
    assert {
        names.STATEMENT: "GET api.example:81/users/?/mails", names.SERVER_ADDRESS: "api.example", names.SERVER_PORT: 81,
        names.SYSTEM: "http", names.TLS_ESTABLISHED: False, names.HTTP_STATUS: 200,
    }.items() <= facts.items()  # fmt: skip
    (failed,) = route_and_decode(contrib({"http.method": "GET", "http.url": "https://api.example/"}))
    assert names.TLS_ESTABLISHED not in failed


def test_key_in_a_third_party_url_is_reported_without_its_value() -> None:
    url = "https://api.example/v1/rates?base=EUR&api_key="
    (facts,) = route_and_decode(contrib({"http.request.method": "GET", "url.full": url + SECRET}))
    assert facts[names.URL_SECRET] is True
    (facts,) = route_and_decode(contrib({"http.request.method": "GET", "url.full": url}))
    assert names.URL_SECRET not in facts


def test_redis_commands_keep_their_shape() -> None:
    (facts,) = route_and_decode(
        contrib({"db.system": "redis", "db.statement": "SET session:4711 x", "db.redis.database_index": 3})
    )
    assert {names.STATEMENT: "SET session:? ?", names.DB_NAMESPACE: "3"}.items() <= facts.items()


def test_collector_spans_pass_unchanged() -> None:
    value = encode([Call(START_NS, SAFE, {**statement("SELECT ?"), names.QUERY_SIGNS: "stacked"})])
    (message,) = route(value)
    assert decode([value]).evidence(0) == decode([message.value]).evidence(0)
    beat = encode_heartbeat(
        App("web", "", "prod", (("service.name", "web"), (names.ENVIRONMENT, "prod"))), {"queue": 3}
    )
    (message,) = route(beat)
    assert (decode([message.value]).dropped, message.key) == ([(0, "web/prod", "queue", 3)], b"web/prod")


def test_heartbeat_from_third_party_ingest_ends_no_process() -> None:
    """A forged farewell would otherwise end a silenced process, and no alert would report it."""
    process = {names.PROCESS_INSTANCE: "0" * 16, names.PROCESS_EVENT: "end", names.PROCESS_RECORDED: 7}
    beat = encode_heartbeat(App("web", "", "", (("service.name", "web"),)), {"queue": 3}, process)
    assert [one.instance for one in decode([beat]).processes] == ["0" * 16]
    (message,) = route(beat)
    found = decode([message.value])
    assert found.dropped == [(0, "web", "queue", 3)]
    assert found.processes == []


def test_heartbeat_from_third_party_ingest_keeps_no_app_from_being_missed() -> None:
    resource = (("service.name", "web"),)
    plain = encode_heartbeat(App("web", "", "", resource), {"queue": 3})
    large = encode_heartbeat(App("web", "", "", resource), {}, {f"x.{i}": "x" * 1_000 for i in range(100)})
    assert len(decode([plain]).processes) == 1
    assert [decode([message.value for message in route(one)]).processes for one in (plain, large)] == [[], []]


def test_spans_are_split_by_app_and_stay_in_order() -> None:
    value = b"".join(contrib({"db.system": "mysql"}, app=app, count=3) for app in ("a", "b", "a"))
    messages = route(value)
    assert [message.key for message in messages] == [b"a", b"b"]
    assert [decode([message.value]).count for message in messages] == [6, 3]


def test_request_too_large_for_a_broker_is_sent_in_parts() -> None:
    text = "SELECT " + ", ".join(f"column_{i}" for i in range(400))
    messages = route(contrib({"db.system": "mysql", "db.statement": text}, count=700))
    assert len(messages) > 2
    assert max(len(message.value) for message in messages) <= MAX_MESSAGE_BYTES + 10_000
    found = decode([message.value for message in messages])
    assert [i.to_bytes(8, "big").hex() for i in range(700)] == [found.span_id(row) for row in range(700)]


def test_spans_other_than_calls_are_only_counted() -> None:
    messages = route(contrib({"http.route": "/users", "http.method": "GET"}, kind=2, name="GET /users"))
    found = decode([message.value for message in messages])
    assert (found.spans, found.count) == (1, 0)
    assert b"users" not in messages[0].value


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4), st.floats(0, 1))
@example([(3018, 0)], 1.0)
def test_text_that_cannot_be_redacted_is_never_decoded_later(changes: list[tuple[int, int]], part: float) -> None:
    """Text that was not redacted would otherwise be judged, and appear in an alert.

    A statement with changed quotes is another statement. Without the quote before it, the secret is a name there, which
    no server and no redaction can distinguish from a column's.
    """
    changed = bytearray(CONTRIB)
    for at, byte in changes:
        changed[at % len(changed)] = byte
    value = bytes(changed[: int(part * len(changed))] if part < 0.5 else changed)
    for message in route(value):
        if message.value.startswith(UNREADABLE):
            assert value == message.value.removeprefix(UNREADABLE)
            found = decode([message.value])
            assert (found.count, len(found.malformed)) == (0, 1)
        else:
            assert URL_SECRET.encode() not in message.value
            if is_still_quoted(bytes(changed)):
                assert SECRET.encode() not in message.value


def is_still_quoted(value: bytes) -> bool:
    """Check that the secret is still quoted, without another quote or comment before it."""
    begin = CONTRIB.index(QUOTED) - len(UP_TO_VALUE)
    before = value[begin : begin + len(UP_TO_VALUE)]
    return value[begin + len(UP_TO_VALUE) :].startswith(QUOTED) and not set(before) & set(b"'\"`\\#-/*$[]")


URL_SECRET = "sesame7"
UP_TO_VALUE = b"SELECT 1 FROM t WHERE a = "
QUOTED = f"'{SECRET}'".encode()
CONTRIB = contrib({
    "db.system": "mysql", "db.statement": (UP_TO_VALUE + QUOTED).decode(), "http.url": f"http://h/?{URL_SECRET}"
})  # fmt: skip


def test_invalid_utf8_byte_does_not_hide_the_rest() -> None:
    value = contrib({"db.system": "mysql", "db.statement": "SELECT 'x' OR 1=1 -- "}, count=2).replace(b"'x'", b"'\xff'")
    assert ["SELECT ? OR 1 = 1"[:10]] * 2 == [facts[names.QUERY_TEXT][:10] for facts in route_and_decode(value)]


def test_bomb_is_forwarded_undecoded() -> None:
    spans = b"\x12\x00" * 400_000
    body = b"\x12" + varint(len(spans)) + spans
    bomb = b"\x0a" + varint(len(body)) + body
    assert [Message(UNREADABLE + bomb)] == route(bomb)


def test_empty_request_stays_empty() -> None:
    assert route(b"") == []


def test_first_append_time_is_kept_and_backfill_claims_are_ignored() -> None:
    record = Record(partition=0, offset=3, appended_ns=77, value=CONTRIB, key=None, backfill=True)
    assert [(message.appended_ns, message.backfill) for message in outputs(record)] == [(77, False)]


def stream(path: Path) -> StreamSettings:
    return StreamSettings(url=f"sqlite:///{path / 'stream.db'}")


def publish(settings: StreamSettings, values: Iterable[bytes]) -> None:
    ensure_topics(settings, (names.TOPIC_SPANS, names.TOPIC_CALLS))
    publisher = open_publisher(settings)
    publisher.publish(names.TOPIC_SPANS, [Message(value) for value in values], 10)
    publisher.close(1)


def read_forwarded(settings: StreamSettings, count: int) -> list[Record]:
    consumer = open_consumer(settings, names.TOPIC_CALLS, "test")
    for partition in consumer.assignment():
        consumer.seek(partition, 0)
    found: list[Record] = []
    for _ in range(200):
        found += consumer.poll(0.1)
        if len(found) >= count:
            break
    consumer.close()
    return found


def test_each_record_is_forwarded_once_with_its_first_append_time(tmp_path: Path) -> None:
    settings = stream(tmp_path)
    source = random.Random(1)
    values = [contrib({"db.system": "mysql"}, app=source.choice("abc"), count=i + 1) for i in range(20)] + [b"\xff"]
    publish(settings, values)
    stop = threading.Event()
    thread = threading.Thread(target=Router(settings).run, args=(stop,))
    thread.start()
    try:
        found = read_forwarded(settings, len(values))
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    assert len(values) == len(found)
    assert sum(range(1, 21)) == decode([record.value for record in found]).spans
    assert found[-1].value == UNREADABLE + b"\xff"
    assert all(record.appended_ns > START_NS // 10 for record in found)


def test_router_that_continues_for_another_repeats_nothing(tmp_path: Path) -> None:
    settings = stream(tmp_path)
    router = Router(settings)
    for turn in range(3):
        publish(settings, [contrib({"db.system": "mysql"}, count=turn + 1)])
        relay = open_relay(settings, names.TOPIC_SPANS, names.TOPIC_CALLS, "backwatch-router")
        assert router.turn(relay) == 1
        relay.close()
    assert [decode([record.value]).spans for record in read_forwarded(settings, 3)] == [1, 2, 3]
