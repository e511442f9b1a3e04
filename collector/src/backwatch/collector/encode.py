"""Calls to OTLP: ``ExportTraceServiceRequest`` bytes, written by hand: a tenth of what the generated classes cost.

One ResourceSpans for the app, one ScopeSpans for each session (the connection is the scope), one span for each call.
What repeats is encoded once: a session's scope beside the session, short attributes in a bounded table.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from backwatch.collector import names
from backwatch.collector.identity import App
from backwatch.collector.record import AttributeValue, Call, Session

MAX_REMEMBERED: Final = 4096
"""Attributes whose bytes are remembered; at most ``MAX_REMEMBERED_TEXT`` characters each, 1 MB in all."""
MAX_REMEMBERED_TEXT: Final = 200
MAX_FACT: Final = 8192
"""Characters of any text that is told; statements are cut before, to the same length."""

_MESSAGING: Final = frozenset({"kafka", "rabbitmq", "pulsar", "activemq", "aws_sqs", "jms", "nats", "mqtt", "celery"})
_RPC: Final = frozenset({"grpc", "aws-api"})
_OTHER: Final = frozenset({"http", "smtp", "imap", "pop3", "ldap", "ftp", "s3"})

_INT64: Final = 1 << 63
_TIMES: Final = struct.Struct("<BQBQ").pack
_DOUBLE: Final = struct.Struct("<Bd").pack


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_SHORT: Final = tuple(_varint(number) for number in range(4096))


def _size(length: int) -> bytes:
    return _SHORT[length] if length < 4096 else _varint(length)


def _field(tag: bytes, body: bytes) -> bytes:
    return tag + _size(len(body)) + body


def _value(value: AttributeValue) -> bytes:
    """One ``AnyValue``."""
    if isinstance(value, str):
        return _field(b"\x0a", value[:MAX_FACT].encode("utf-8", "replace"))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        value = max(-_INT64, min(value, _INT64 - 1))
        return b"\x18" + (_SHORT[value] if 0 <= value < 4096 else _varint(value & (1 << 64) - 1))
    return _DOUBLE(0x21, value)


def _key_value(key: str, value: AttributeValue) -> bytes:
    """One ``KeyValue``, without the tag of what holds it."""
    return _field(b"\x0a", key.encode("utf-8", "replace")) + _field(b"\x12", _value(value))


_remembered: dict[tuple[str, str], bytes] = {}
_prefixes: dict[str, bytes] = {}


def _text(key: str, value: str) -> bytes:
    """One text attribute of a span; texts that repeat are remembered."""
    if len(value) > MAX_REMEMBERED_TEXT:
        return _field(b"\x4a", _key_value(key, value))
    known = _remembered.get((key, value))
    if known is None:
        known = _field(b"\x4a", _key_value(key, value))
        if len(_remembered) >= MAX_REMEMBERED:
            _remembered.clear()
        _remembered[(key, value)] = known
    return known


def _number(key: str, value: int) -> bytes:
    """One whole-number attribute of a span."""
    prefix = _prefixes.get(key)
    if prefix is None:
        prefix = _prefixes[key] = _field(b"\x0a", key.encode())
    body = b"\x18" + (_SHORT[value] if 0 <= value < 4096 else _varint(value & (1 << 64) - 1))
    return _field(b"\x4a", prefix + _field(b"\x12", body))


_TRUE_ESTIMATED: Final = _field(b"\x4a", _key_value(names.BYTES_ESTIMATED, True))
_FAILED: Final = _field(b"\x7a", b"\x18\x02")  # status: error


def _library_version() -> str:
    try:
        return version("backwatch-collector")
    except PackageNotFoundError:
        return "0"


def system_attribute(system: str) -> str:
    """The attribute that names this kind of service."""
    if system in _OTHER:
        return names.SYSTEM
    if system in _MESSAGING:
        return names.MESSAGING_SYSTEM
    return names.RPC_SYSTEM if system in _RPC else names.DB_SYSTEM


def is_database(system: str) -> bool:
    """Whether this kind of service is named by ``db.system.name``."""
    return system_attribute(system) == names.DB_SYSTEM


def session_attributes(session: Session) -> dict[str, AttributeValue]:
    """A session's facts by their contract names; what the driver does not say is absent."""
    told: dict[str, AttributeValue | None] = {
        names.BACKWATCH_CONTRACT: names.CONTRACT,
        system_attribute(session.system): session.system,
        names.SERVER_ADDRESS: session.address,
        names.SERVER_PORT: session.port or None,
        names.DB_NAMESPACE: session.namespace,
        names.TRANSPORT: session.transport,
        names.TLS_REQUESTED: session.requested,
        names.TLS_REQUESTED_EXPLICIT: session.requested_explicit,
        names.TLS_ESTABLISHED: session.encrypted,
        names.TLS_VERSION: session.tls_version,
        names.TLS_CIPHER: session.cipher,
        names.TLS_VERIFIED: session.verified,
        names.CERT_SHA256: session.certificate_sha256,
        names.CERT_NOT_BEFORE: session.not_before,
        names.CERT_NOT_AFTER: session.not_after,
        names.CERT_ISSUER: session.issuer,
        names.CERT_SUBJECT: session.subject,
        names.PEER_ADDRESS: session.peer_address,
        names.PEER_PORT: session.peer_port or None,
        names.ACCOUNT: session.account,
        names.SERVER_VERSION: session.server_version,
        names.SERVER_ID: session.server_id,
        names.AUTH_METHOD: session.auth_method,
    }
    facts = {key: value for key, value in told.items() if value is not None and value != ""}
    facts.update(session.extra)
    return facts


def _scope(session: Session) -> bytes:
    """The session as the first field of a ScopeSpans; made once and kept beside the session."""
    if session.encoded:
        return session.encoded[0]
    body = _scope_bytes(names.SCOPE_CALLS, session_attributes(session))
    session.encoded.append(body)
    return body


def _scope_bytes(name: str, attributes: Mapping[str, AttributeValue]) -> bytes:
    parts = [_field(b"\x0a", name.encode()), _field(b"\x12", _VERSION)]
    parts += [_field(b"\x1a", _key_value(key, value)) for key, value in attributes.items()]
    return _field(b"\x0a", b"".join(parts))


_VERSION: Final = _library_version().encode()


def _span(call: Call) -> bytes:
    """One call as one field of a ScopeSpans."""
    parts = [b"\x0a\x10", call.trace_id.to_bytes(16, "big"), b"\x12\x08", call.span_id.to_bytes(8, "big")]
    if call.parent_id:
        parts += (b"\x22\x08", call.parent_id.to_bytes(8, "big"))
    name = call.operation.encode("utf-8", "replace")
    parts += (
        b"\x2a",
        _size(len(name)),
        name,
        b"\x30",
        _SHORT[call.kind],
        _TIMES(0x39, call.start_ns, 0x41, call.end_ns),
    )
    if call.sql:
        parts.append(_text(names.OPERATION, call.operation))
    if call.text:
        parts.append(_text(names.QUERY_TEXT if call.sql else names.STATEMENT, call.text))
    if call.signs:
        parts.append(_text(names.QUERY_SIGNS, call.signs))
    if call.bytes_sent >= 0:
        parts.append(_number(names.BYTES_SENT, call.bytes_sent))
    if call.bytes_received >= 0:
        parts.append(_number(names.BYTES_RECEIVED, call.bytes_received))
    if call.bytes_estimated:
        parts.append(_TRUE_ESTIMATED)
    if call.rows_returned >= 0:
        parts.append(_number(names.ROWS_RETURNED, min(call.rows_returned, _INT64 - 1)))
    if call.rows_affected >= 0:
        parts.append(_number(names.ROWS_AFFECTED, min(call.rows_affected, _INT64 - 1)))
    if call.site is not None:
        function, file, line = call.site
        parts += (_text(names.CODE_FUNCTION, function), _text(names.CODE_FILE, file), _number(names.CODE_LINE, line))
    if call.route:
        parts.append(_text(names.HTTP_ROUTE, call.route))
    for key, value in call.facts:
        parts.append(_text(key, value) if isinstance(value, str) else _field(b"\x4a", _key_value(key, value)))
    if call.error:
        parts += (_text(names.ERROR_TYPE, call.error), _FAILED)
    return _field(b"\x12", b"".join(parts))


def _resource(app: App) -> bytes:
    return _field(b"\x0a", b"".join(_field(b"\x0a", _key_value(key, value)) for key, value in app.attributes))


def _request(app: App, scopes: Iterable[bytes]) -> bytes:
    spans = b"".join([_resource(app), *(_field(b"\x12", scope) for scope in scopes)])
    return _field(b"\x0a", spans)


def encode_calls(app: App, calls: Sequence[Call]) -> bytes:
    """These calls as one ``ExportTraceServiceRequest``; sessions with the same facts become one scope."""
    scopes: dict[bytes, list[bytes]] = {}
    for call in calls:
        scope = _scope(call.session)
        spans = scopes.get(scope)
        if spans is None:
            spans = scopes[scope] = []
        spans.append(_span(call))
    return _request(app, (b"".join([scope, *spans]) for scope, spans in scopes.items()))


def encode_heartbeat(app: App, dropped: Mapping[str, int]) -> bytes:
    """A record without spans: this collector lives, and dropped so many records of each kind since the last one."""
    counts = {names.DROPPED_PREFIX + kind: count for kind, count in dropped.items()}
    return _request(app, [_scope_bytes(names.SCOPE_HEARTBEAT, {names.BACKWATCH_CONTRACT: names.CONTRACT, **counts})])
