"""Structure-aware mutations of OTLP trace requests, and their seeds."""

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from backwatch.collector import names
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.encoder import encode_calls, encode_heartbeat
from backwatch.collector.pipeline.protobuf import varint
from backwatch.collector.runtime.record import Call as CollectorCall
from backwatch.collector.runtime.record import Session
from backwatch.detector.decoding import schema
from backwatch.detector.ingest import otlp_writer
from tests.detector.streams import SAFE, START_NS, Call, Facts, encode, eventful, statement

Field = tuple[int, int, "bytes | list[Field]"]
"""Number, wire type, and the field's bytes (its content if length-delimited) or nested fields."""

NESTED: Final[Mapping[tuple[str, int], str]] = {
    ("request", 1): "resource spans", ("resource spans", 1): "resource", ("resource spans", 2): "scope spans",
    ("resource", 1): "pair", ("scope spans", 1): "scope", ("scope spans", 2): "span", ("scope", 3): "pair",
    ("span", 9): "pair", ("span", 11): "event", ("event", 3): "pair", ("pair", 2): "value", ("value", 5): "array",
    ("array", 1): "value", ("value", 6): "pairs", ("pairs", 1): "pair", ("span", 15): "status",
}  # fmt: skip
HOSTILE_TEXTS: Final = (
    b"\xff\xfe\x80", b"\x00", b"a\x1fb\x1ec\x1b", b"\xed\xa0\x80", "\u202e\u0000é\U0001f4a9".encode(), b"'" * 999,
    b"(" * 4_000, b"SELECT " + b"1+" * 9_000, b"https://a@b:99999999/", b"[::1", b"9999-12-31T23:59:59+23:59", b"",
    b"0001-01-01T00:00:00-23:59", b"1" * 400, "²".encode(), b"a:1," * 9_000, b"CN=\\", b"--", b"/*", b"$$", b"\\",
)  # fmt: skip
HOSTILE_NUMBERS: Final = (0, 1, 127, 128, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, START_NS)
MAX_DEPTH: Final = 400


def parse(value: bytes, kind: str = "request") -> "list[Field]":
    """Return the fields of a well-formed message."""
    found: list[Field] = []
    at = 0
    while at < len(value):
        tag, at = _read_varint(value, at)
        number, wire = tag >> 3, tag & 7
        start = at
        if wire == 2:
            size, start = _read_varint(value, at)
            at = start + size
        else:
            at = _read_varint(value, at)[1] if wire == 0 else at + (8 if wire == 1 else 4)
        body, inner = value[start:at], NESTED.get((kind, number))
        found.append((number, wire, parse(body, inner) if wire == 2 and inner else body))
    return found


def _read_varint(value: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = value[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at


def serialize(fields: "Sequence[Field]", lie: random.Random | None = None) -> bytes:
    """Return the message's bytes. With ``lie``, some lengths are wrong."""
    out = bytearray()
    for number, wire, body in fields:
        content = body if isinstance(body, bytes) else serialize(body, lie)
        out += varint(number << 3 | wire)
        if wire == 2:
            size = len(content)
            if lie is not None and lie.random() < 0.02:
                size = lie.choice((0, size + 1, max(0, size - 1), size + 128, 1 << 31, (1 << 64) - 1))
            out += varint(size)
        out += content
    return bytes(out)


def mutate_structure(fields: "list[Field]", source: random.Random) -> "list[Field]":
    """Return a message of the same kind with one to four changes somewhere inside."""
    for _ in range(source.randint(1, 4)):
        fields = _change(fields, source)
    return fields


def _change(fields: "list[Field]", source: random.Random) -> "list[Field]":
    if not fields:
        return [(source.randint(1, 20), 2, b"")]
    at = source.randrange(len(fields))
    number, wire, body = fields[at]
    if isinstance(body, list) and source.random() < 0.8:
        return [*fields[:at], (number, wire, _change(body, source)), *fields[at + 1 :]]
    return [*fields[:at], *_instead(number, wire, body, source), *fields[at + 1 :]]


def _instead(number: int, wire: int, body: "bytes | list[Field]", source: random.Random) -> "list[Field]":
    what = source.randrange(9)
    if what == 0:
        return []
    if what == 1:
        return [(number, wire, body)] * source.choice((2, 3, 130, 1_000))
    if what == 2:
        return [(number, source.randrange(8), body if isinstance(body, bytes) else serialize(body))]
    if what == 3:
        return [(source.choice((0, 1, 2, 9, 15, 16, 1 << 20)), wire, body)]
    if what == 4:
        return [(number, 2, nest_value(source.randint(1, MAX_DEPTH)))]
    if what == 5:
        return [(number, 2, b"")] * source.choice((1, 4_000))
    if wire == 0:
        return [(number, 0, varint(source.choice(HOSTILE_NUMBERS)))]
    if wire == 2 and isinstance(body, bytes):
        return [(number, 2, source.choice(HOSTILE_TEXTS))]
    name = source.choice((*schema.TEXTS, *schema.NUMBERS, *schema.FLAGS)).encode()
    text = source.choice(HOSTILE_TEXTS)
    return [(number, wire, body), (9, 2, [(1, 2, name), (2, 2, [(1, 2, text)])])]


def nest_value(depth: int) -> bytes:
    """Return an AnyValue of lists inside of lists."""
    value = b"\x0a\x01x"
    for _ in range(depth):
        inner = b"\x0a" + varint(len(value)) + value
        value = b"\x2a" + varint(len(inner)) + inner
    return value


def mutate_bytes(value: bytes, source: random.Random) -> bytes:
    """Return the bytes with a few of them changed, moved or cut off."""
    found = bytearray(value)
    for _ in range(source.randint(0, 3)):
        if not found:
            break
        at = source.randrange(len(found))
        what = source.randrange(6)
        if what == 0:
            found[at] ^= 1 << source.randrange(8)
        elif what < 4:
            found[at] = source.choice((0, 1, 127, 128, 255, source.randrange(256)))
        elif what == 4:
            size = source.randrange(1, 40)
            found[at:at] = found[source.randrange(len(found)) :][:size]
        else:
            del found[at:]
    return bytes(found)


def seeds() -> list[bytes]:
    """Return well-formed requests of the collector and third-party SDKs, and any recorded ones."""
    app = App("shop", "", "", (("service.name", "shop"), ("process.pid", 7)))
    session = Session(system="postgresql", address="db.internal", port=5432)
    calls = [
        CollectorCall(
            session=session, operation="SELECT", text=text, sql=True, signs="", kind=3, start_ns=START_NS,
            end_ns=START_NS + 9, trace_id=1 << 100, span_id=2, parent_id=0, site=None, route="/orders", bytes_sent=9,
            bytes_received=99, bytes_estimated=False, rows_returned=3, rows_affected=-1, error="", facts=(("x", 1),),
        )
        for text in ("SELECT ?", "SELECT a FROM b WHERE c = ?")
    ]  # fmt: skip
    found = [encode_calls(app, calls), encode_heartbeat(app, {"queue": 3, "publish": 1})]
    events = eventful(seed=5, count=60)
    found += [encode(events[at : at + 2], at) for at in range(0, len(events), 9)]
    texts, numbers = dict.fromkeys(schema.TEXTS, "1.3"), dict.fromkeys(schema.NUMBERS, 7)
    every: Facts = {**texts, **numbers, **dict.fromkeys(schema.FLAGS, True)}
    foreign = {"db.system": "mysql", "db.statement": "SELECT * FROM users WHERE name = 'x' OR 1=1 --", "x": True}
    found += [encode([Call(START_NS, {**SAFE, **every}, every), Call(START_NS, SAFE, statement("SELECT 1"))])]
    span = otlp_writer.span(name="SELECT shop", kind=3, end_ns=START_NS, attributes=foreign.items())
    scope = otlp_writer.scope_spans(otlp_writer.scope("opentelemetry.instrumentation.mysql", "1", ()), [span])
    found += [
        otlp_writer.request([otlp_writer.resource_spans(otlp_writer.resource([(names.SERVICE_NAME, "shop")]), [scope])])
    ]
    return [*found, *_iter_recorded()]


def _iter_recorded(most: int = 60, largest: int = 8_192) -> Iterator[bytes]:
    folder = os.environ.get("BACKWATCH_TEST_DATA", "")
    if not folder:
        return
    from backwatch.detector.ingest.sources import RecordedRequest, read

    paths = [str(path) for path in sorted((Path(folder) / "otlp").glob("*.gz"))]
    for item in read(paths):
        if isinstance(item, RecordedRequest) and len(item.request) <= largest:
            yield item.request
            most -= 1
            if not most:
                return


def corpus(count: int, seed: int = 0, largest: int = 60_000) -> list[bytes]:
    """Return the seeds and so many structural mutants of them, none longer than ``largest`` bytes."""
    source, found = random.Random(seed), seeds()
    parsed = [parse(request) for request in found]
    while len(found) < count:
        fields = mutate_structure(source.choice(parsed), source)
        value = serialize(fields, source if source.random() < 0.3 else None)
        if len(value) <= largest:
            found.append(value)
    return found
