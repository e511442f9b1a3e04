"""A shop at its ordinary work, in event time: what its pages, jobs and mails call, by the minute.

The day has its course, the weekend is quieter, there is a nightly export to an object store and an hourly report.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from bench.spans import add_attribute

START_NS = 1_789_948_800 * 10**9
"""A Monday, 00:00 UTC."""
SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
DAY_MINUTES = 1_440

Facts = dict[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the shop.

    Attributes:
        end_ns: When it ended.
        trace: 16 bytes; calls of one request share them.
    """

    end_ns: int
    trace: bytes
    session: str
    facts: Facts


def _tls(host: str, port: int, **more: str | int) -> Facts:
    return {
        names.SERVER_ADDRESS: host, names.SERVER_PORT: port, names.TRANSPORT: "tcp",
        names.TLS_ESTABLISHED: True, names.TLS_VERSION: "1.3", names.TLS_CIPHER: "TLS_AES_256_GCM_SHA384",
        names.TLS_REQUESTED: "verify-full", names.TLS_REQUESTED_EXPLICIT: True, names.TLS_VERIFIED: "full",
        names.CERT_SHA256: host.encode().hex().ljust(64, "0")[:64], names.CERT_ISSUER: "CN=Company CA",
        names.CERT_SUBJECT: f"CN={host}", names.CERT_NOT_BEFORE: "2026-06-01T00:00:00Z",
        names.CERT_NOT_AFTER: "2027-06-01T00:00:00Z", **{key.replace("__", "."): value for key, value in more.items()},
    }  # fmt: skip


SESSIONS: dict[str, Facts] = {
    "postgresql": {
        **_tls("db.internal", 5432), names.DB_SYSTEM: "postgresql", names.DB_NAMESPACE: "shop", names.ACCOUNT: "shop",
        names.PEER_ADDRESS: "10.0.0.5", names.SERVER_VERSION: "17.2",
    },
    "redis": {
        **_tls("cache.internal", 6379), names.DB_SYSTEM: "redis", names.DB_NAMESPACE: "0",
        names.PEER_ADDRESS: "10.0.0.6",
    },
    "payments": {**_tls("pay.example", 443), names.SYSTEM: "http"},
    "files": {**_tls("files.example", 443), names.SYSTEM: "http"},
    "mail": {**_tls("mail.internal", 465), names.SYSTEM: "smtp", names.PEER_ADDRESS: "10.0.0.7"},
    "kafka": {**_tls("kafka.internal", 9093), names.MESSAGING_SYSTEM: "kafka", names.PEER_ADDRESS: "10.0.0.8"},
    "new host": {**_tls("drop.example", 443), names.SYSTEM: "http"},
}  # fmt: skip


def sql(text: str, place: str, rows: int, row_bytes: int = 120) -> Facts:
    """Return the facts of a query."""
    file, _, function = place.partition(":")
    return {
        names.QUERY_TEXT: text, names.OPERATION: text.split(" ", 1)[0], names.CODE_FILE: file,
        names.CODE_FUNCTION: function, names.CODE_LINE: 7, names.ROWS_RETURNED: rows, names.BYTES_SENT: 90,
        names.BYTES_RECEIVED: 150 + rows * row_bytes,
    }  # fmt: skip


def command(text: str, place: str, sent: int, received: int) -> Facts:
    """Return the facts of a call that is not SQL."""
    file, _, function = place.partition(":")
    return {
        names.STATEMENT: text, names.CODE_FILE: file, names.CODE_FUNCTION: function, names.CODE_LINE: 9,
        names.BYTES_SENT: sent, names.BYTES_RECEIVED: received,
    }  # fmt: skip


LIST = "SELECT id, name, price FROM products WHERE shop_id = ? ORDER BY name LIMIT 50"
CUSTOMER = "SELECT id, name, email FROM customers WHERE id = ?"
ORDERS = "SELECT id, total, state FROM orders WHERE customer_id = ?"
SEARCH = "SELECT id, name FROM products WHERE name LIKE ? ORDER BY id LIMIT ? OFFSET ?"
EXPORT = "SELECT id, customer_id, total FROM orders WHERE day = ?"
REPORT = "SELECT day, sum(total) FROM orders GROUP BY day"


def request(source: random.Random, kind: float) -> Sequence[tuple[str, Facts]]:
    """Return the calls of one page that a customer asks for."""
    session = ("redis", command("GET session:?", "auth.py:load", 40, 420))
    if kind < 0.4:
        return (session, ("postgresql", sql(LIST, "views.py:products", source.randrange(20, 51))))
    if kind < 0.6:
        return (session, ("postgresql", sql(SEARCH, "views.py:search", source.randrange(0, 21))))
    if kind < 0.85:
        return (
            session, ("postgresql", sql(CUSTOMER, "views.py:account", 1)),
            ("postgresql", sql(ORDERS, "views.py:account", min(int(source.paretovariate(1.2)), 400))),
        )  # fmt: skip
    return (
        session, ("postgresql", sql(CUSTOMER, "views.py:checkout", 1)),
        ("postgresql", sql("UPDATE carts SET state = ? WHERE id = ?", "views.py:checkout", 0)),
        ("postgresql", sql("INSERT INTO orders (customer_id, total) VALUES (?, ?)", "views.py:checkout", 0)),
        ("payments", command("POST /charge", "payment.py:charge", 900, 600)),
        ("kafka", command("publish orders", "events.py:publish", 700, 40)),
        ("mail", command("MAIL FROM ? RCPT TO customers.example", "mail.py:send", source.randrange(3_000, 9_000), 300)),
    )  # fmt: skip


def jobs(minute: int, source: random.Random) -> Iterator[Sequence[tuple[str, Facts]]]:
    """Yield the work that the clock starts in this minute."""
    of_day = minute % DAY_MINUTES
    if of_day % 60 == 5:
        yield (("postgresql", sql(REPORT, "jobs.py:report", 90)),)
    if of_day == 130:
        rows = source.randrange(5_000, 7_000)
        yield (
            ("postgresql", sql(EXPORT, "jobs.py:export", rows)),
            ("files", command("PUT /exports/?", "jobs.py:export", rows * 90, 200)),
        )
    if of_day == 420 and minute // DAY_MINUTES % 7 == 0:
        yield (
            ("postgresql", sql(ORDERS.replace("customer_id", "week"), "jobs.py:weekly", 900)),
            ("mail", command("MAIL FROM ? RCPT TO shop.example", "jobs.py:weekly", 150_000, 300)),
        )


def pace(minute: int) -> float:
    """Return the pages that are expected in this minute."""
    weekend = minute // DAY_MINUTES % 7 >= 5
    of_day = (minute % DAY_MINUTES) / DAY_MINUTES
    return (4.0 if weekend else 6.0) * (1.0 - 0.8 * math.cos(2 * math.pi * (of_day - 0.1)))


def work(minute: int, seed: int) -> list[Call]:
    """Return the calls of one minute, in order."""
    source = random.Random(f"{seed} {minute}")
    mean = pace(minute)
    count = max(round(source.gauss(mean, math.sqrt(mean))), 0)
    pages = [*(request(source, source.random()) for _ in range(count)), *jobs(minute, source)]
    calls: list[Call] = []
    for page in pages:
        calls += in_trace(minute, source, page)
    return sorted(calls, key=lambda call: call.end_ns)


def in_trace(minute: int, source: random.Random, page: Sequence[tuple[str, Facts]]) -> list[Call]:
    """Return these calls as those of one request at some second of the minute."""
    begin, trace = START_NS + minute * MINUTE_NS + source.randrange(55 * SECOND_NS), source.randbytes(16)
    return [Call(begin + i * 20_000_000, trace, session, facts) for i, (session, facts) in enumerate(page)]


def encode(calls: Sequence[Call], source: random.Random) -> bytes:
    """Return the calls as one request of the span contract."""
    made = ExportTraceServiceRequest()
    spans = made.resource_spans.add()
    _set(spans.resource.attributes, {names.SERVICE_NAME: "shop"})
    session, scope = "", None
    for call in calls:
        if scope is None or call.session != session:
            scope, session = spans.scope_spans.add(), call.session
            scope.scope.name = names.SCOPE_CALLS
            _set(scope.scope.attributes, {names.BACKWATCH_CONTRACT: names.CONTRACT, **SESSIONS[session]})
        span = scope.spans.add(trace_id=call.trace, span_id=source.randbytes(8), name="call", kind=3)
        span.start_time_unix_nano, span.end_time_unix_nano = call.end_ns - 1_000_000, call.end_ns
        _set(span.attributes, call.facts)
    return made.SerializeToString()


def _set(attributes: object, facts: Facts) -> None:
    for key, value in facts.items():
        add_attribute(attributes, key, value)
