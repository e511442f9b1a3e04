"""Streams of calls for tests: quiet ones, and ones with every kind of event."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.detector.engine.log_entries import StreamRecords
from backwatch.detector.engine.step import EngineConfig

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

START_NS = 1_790_000_000_000_000_000
SECOND = 10**9
CONFIG = EngineConfig(key=b"a key of 16 byte")
Facts = Mapping[str, str | int | bool]

SAFE: Facts = {
    names.DB_SYSTEM: "postgresql", names.DB_NAMESPACE: "shop",
    names.SERVER_ADDRESS: "db.internal", names.SERVER_PORT: 5432,
    names.TLS_ESTABLISHED: True, names.TLS_VERSION: "1.3", names.TLS_CIPHER: "TLS_AES_256_GCM_SHA384",
    names.TLS_REQUESTED: "verify-full", names.TLS_REQUESTED_EXPLICIT: True, names.TLS_VERIFIED: "full",
    names.CERT_SHA256: "aa" * 32, names.CERT_ISSUER: "CN=Company CA", names.CERT_SUBJECT: "CN=db.internal",
    names.CERT_NOT_BEFORE: "2026-01-01T00:00:00Z", names.CERT_NOT_AFTER: "2027-01-01T00:00:00Z",
    names.PEER_ADDRESS: "10.0.0.5", names.PEER_PORT: 5432, names.TRANSPORT: "tcp", names.ACCOUNT: "shop",
    names.SERVER_VERSION: "15.10",
}  # fmt: skip
"""A session on which no rule fires."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a test stream.

    Attributes:
        session: Scope attributes.
        facts: Span attributes.
        lasted_ns: Duration of the call.
    """

    end_ns: int
    session: Facts
    facts: Facts
    app: str = "shop"
    kind: int = 3
    lasted_ns: int = 1_000_000


def _set(attributes: "Sequence[KeyValue]", facts: Facts) -> None:
    for key, value in facts.items():
        attribute = attributes.add()  # type: ignore[attr-defined]
        attribute.key = key
        if isinstance(value, bool):
            attribute.value.bool_value = value
        elif isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.string_value = value


def encode(calls: Sequence[Call], seed: int = 0) -> bytes:
    """Return the calls as one request, in order."""
    source = random.Random(f"{seed}{calls[0].end_ns if calls else 0}")
    request = ExportTraceServiceRequest()
    for call in calls:
        spans = request.resource_spans.add()
        _set(spans.resource.attributes, {names.SERVICE_NAME: call.app})
        scope = spans.scope_spans.add()
        scope.scope.name = names.SCOPE_CALLS
        _set(scope.scope.attributes, {names.BACKWATCH_CONTRACT: names.CONTRACT, **call.session})
        span = scope.spans.add(trace_id=source.randbytes(16), span_id=source.randbytes(8), name="call", kind=call.kind)
        span.start_time_unix_nano, span.end_time_unix_nano = call.end_ns - call.lasted_ns, call.end_ns
        _set(span.attributes, call.facts)
    return request.SerializeToString()


def statement(
    text: str, place: str = "views.py:orders", rows: int = 10, **more: str | int | bool
) -> dict[str, str | int | bool]:
    """Return the facts of a call that sends this statement from this call site."""
    file, _, function = place.partition(":")
    return {
        names.QUERY_TEXT: text, names.CODE_FILE: file, names.CODE_FUNCTION: function, names.CODE_LINE: 7,
        names.ROWS_RETURNED: rows, names.BYTES_SENT: 80, names.BYTES_RECEIVED: 200 + 40 * rows,
        **{key.replace("__", "."): value for key, value in more.items()},
    }  # fmt: skip


def quiet(source: random.Random, count: int, start_ns: int = START_NS, step_ns: int = 20 * SECOND) -> Iterator[Call]:
    """Return an ordinary app: five call sites, a few statements each, naturally varying volumes."""
    texts = [
        ("SELECT id, total FROM orders WHERE customer_id = ?", "views.py:orders"),
        ("SELECT id, name FROM customers WHERE id = ?", "views.py:customer"),
        ("UPDATE carts SET total = ? WHERE id = ?", "cart.py:save"),
        ("INSERT INTO visits (id, page) VALUES (?, ?)", "middleware.py:count"),
        ("SELECT count(*) FROM orders WHERE day = ?", "report.py:daily"),
    ]
    for i in range(count):
        text, place = texts[source.randrange(len(texts))]
        yield Call(
            start_ns + i * step_ns + source.randrange(SECOND), SAFE, statement(text, place, source.randrange(5, 15))
        )


def eventful(seed: int = 1, count: int = 1_500) -> list[Call]:
    """Return quiet work mixed with every event of rules and detectors, in order of time."""
    source = random.Random(seed)
    calls = list(quiet(source, count))
    middle = calls[len(calls) * 2 // 3].end_ns
    step = (calls[-1].end_ns - middle) // 60
    odd: list[tuple[Facts, Facts]] = []
    for i in range(6):
        odd += [
            ({**SAFE, names.TLS_ESTABLISHED: False, names.TLS_VERIFIED: "none"}, statement("SELECT ?")),
            ({**SAFE, names.CERT_SHA256: "bb" * 32, names.CERT_ISSUER: "CN=Mallory"}, statement("SELECT ?")),
            ({**SAFE, names.PEER_ADDRESS: "203.0.113.9"}, statement("SELECT ?")),
            (SAFE, {**statement("SELECT id, total FROM orders WHERE customer_id = ?", rows=200_000 + i),
                    names.DATA_RECEIVED: "email,card", names.DATA_SENT: "iban"}),
            (SAFE, {**statement("SELECT id FROM orders WHERE id = ? OR ? = ? UNION SELECT name, secret FROM users"),
                    names.QUERY_SIGNS: "comment-tail,tautology,union-appended"}),
            (SAFE, {**statement("SELECT a FROM b WHERE c = ?"), names.ERROR_TYPE: "OperationalError"}),
            (SAFE, {**statement("COPY t TO PROGRAM ?"), names.QUERY_SIGNS: "program"}),
            ({**SAFE, names.DB_SYSTEM: "redis", names.SERVER_PORT: 6379, names.DB_NAMESPACE: "0"},
             {names.STATEMENT: "GET session:?", names.PAYLOAD_FORMAT: "pickle", names.PAYLOAD_GLOBALS: "os.system"}),
            ({**SAFE, names.DB_SYSTEM: "mysql", names.SERVER_PORT: 3306},
             {**statement("SELECT ?"), names.LOCAL_INFILE: True, names.LOCAL_INFILE_FILE: "/etc/passwd"}),
        ]  # fmt: skip
    calls += [Call(middle + i * step, session, facts) for i, (session, facts) in enumerate(odd)]
    calls += [
        Call(call.end_ns, {**call.session, names.DB_NAMESPACE: "other"}, call.facts, "billing")
        for call in quiet(source, count // 3)
    ]
    calls += replace_replica_set(middle, (calls[0].end_ns, calls[-1].end_ns))
    return sorted(calls, key=lambda call: call.end_ns)


def replace_replica_set(middle_ns: int, span_ns: tuple[int, int], count: int = 400) -> list[Call]:
    """Return an honest replica set, replaced at ``middle_ns`` by a weaker, larger, failing one."""
    honest: Facts = {
        **SAFE, names.DB_SYSTEM: "mongodb", names.SERVER_PORT: 27017, names.SERVER_VERSION: "8.0.4",
        names.AUTH_METHOD: "scram-sha-256",
    }  # fmt: skip
    impostor: Facts = {**honest, names.SERVER_VERSION: "7.0.30", names.AUTH_METHOD: "clear-password"}
    find = {**statement("", "shop.py:find"), names.STATEMENT: "find orders {id: ?}"}
    nodes = {**find, names.STATEMENT: "hello", names.TOPOLOGY: "a.internal:27017,b.internal:27017,c.internal:27017"}
    begin, end = span_ns
    step = (middle_ns - begin) // count
    calls = [Call(begin + i * step, honest, find if i % 4 else nodes, "catalogue") for i in range(count)]
    odd: list[tuple[Facts, Facts, int]] = [
        (impostor, find, 1_000_000),
        (honest, {**nodes, names.TOPOLOGY: "a.internal:27017,b.internal:27017,evil.example:27017"}, 1_000_000),
        (honest, find, 20 * SECOND),
        *[(honest, {**find, names.ERROR_TYPE: "AutoReconnect"}, 1_000_000)] * 10,
        *[(honest, {**find, names.ERROR_TYPE: "OperationFailure", names.STATUS_CODE: "18"}, 1_000_000)] * 10,
    ]
    later = middle_ns + (end - middle_ns) // 3
    return calls + [
        Call(later + i * SECOND // 2, session, facts, "catalogue", lasted_ns=lasted)
        for i, (session, facts, lasted) in enumerate(odd)
    ]


def records(calls: Sequence[Call], per_record: int = 1, *, backfill: bool = True) -> list[tuple[bytes, int, bool]]:
    """Return calls as (value, appended, backfill), a few calls to a record."""
    made: list[tuple[bytes, int, bool]] = []
    for at in range(0, len(calls), per_record):
        portion = calls[at : at + per_record]
        made.append((encode(portion, at), portion[-1].end_ns + SECOND, backfill))
    return made


def entry(found: Sequence[tuple[bytes, int, bool]], offset: int = 0) -> StreamRecords:
    """Return records as one log entry."""
    return StreamRecords(
        values=[value for value, _, _ in found],
        appended_ns=np.array([appended for _, appended, _ in found], np.int64),
        backfill=np.array([backfill for _, _, backfill in found], np.bool_),
        offsets=np.arange(offset, offset + len(found), dtype=np.int64),
    )
