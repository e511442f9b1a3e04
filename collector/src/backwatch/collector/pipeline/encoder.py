"""Encoding of calls as OTLP ``ExportTraceServiceRequest``, by hand: a tenth of the cost of the generated classes.

One ResourceSpans for the app, one ScopeSpans for each session (the connection is the scope), one span for each call.
Repeated parts are encoded once: a session's scope is kept in the session, short attributes in a bounded table.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.exposure import mode as exposure_mode
from backwatch.collector.exposure.observation import merge
from backwatch.collector.exposure.statements import NO_KINDS, Kinds, kinds_of_text
from backwatch.collector.pipeline.app_identity import App
from backwatch.collector.pipeline.attached import find_attached
from backwatch.collector.pipeline.protobuf import field, int_value, key_value, varint
from backwatch.collector.runtime.keyed_cache import remember
from backwatch.collector.runtime.record import AttributeValue, Call, CallSite, Facts, Session
from backwatch.collector.runtime.release import RELEASE
from backwatch.collector.runtime.systems import system_attribute

MAX_REMEMBERED: Final = 4096
"""Cached encoded attributes of at most ``MAX_REMEMBERED_TEXT`` characters each, 1 MB in all."""
MAX_REMEMBERED_TEXT: Final = 200
MAX_CALL_SITES: Final = 2048
"""Cached encoded call sites with statements of at most ``MAX_CALL_SITE_TEXT`` characters: 4 MB in all."""
MAX_CALL_SITE_TEXT: Final = 500
MAX_FACT: Final = 8192
"""Characters of any reported text; statements are cut earlier, to the same length."""

_TIMES: Final = struct.Struct("<BQBQ").pack


def _key_value(key: str, value: AttributeValue) -> bytes:
    """Encode one ``KeyValue``, without the tag of the field that contains it."""
    return key_value(key, value[:MAX_FACT] if isinstance(value, str) else value)


_remembered: dict[tuple[str, str], bytes] = {}


def _text(key: str, value: str) -> bytes:
    """Encode one text attribute of a span, through the cache."""
    if len(value) > MAX_REMEMBERED_TEXT:
        return field(b"\x4a", _key_value(key, value))
    known = _remembered.get((key, value))
    return known or remember(_remembered, (key, value), field(b"\x4a", _key_value(key, value)), MAX_REMEMBERED)


class _Counts(dict[int, bytes]):
    """Encoded integer attributes of a span by value; those below ``MAX_REMEMBERED`` are cached."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._prefix = field(b"\x0a", key.encode())

    def __missing__(self, value: int) -> bytes:
        made = field(b"\x4a", self._prefix + field(b"\x12", int_value(value)))
        if 0 <= value < MAX_REMEMBERED:
            self[value] = made
        return made


_SENT: Final = _Counts(names.BYTES_SENT)
_RECEIVED: Final = _Counts(names.BYTES_RECEIVED)
_RETURNED: Final = _Counts(names.ROWS_RETURNED)
_AFFECTED: Final = _Counts(names.ROWS_AFFECTED)
_LINE: Final = _Counts(names.CODE_LINE)
_TRUE_ESTIMATED: Final = field(b"\x4a", _key_value(names.BYTES_ESTIMATED, True))
_FAILED: Final = field(b"\x7a", b"\x18\x02")  # status: error


def session_attributes(session: Session) -> dict[str, AttributeValue]:
    """Return a session's facts by contract name, without those that the driver does not report."""
    all_facts: dict[str, AttributeValue | None] = {
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
    facts = {key: value for key, value in all_facts.items() if value is not None and value != ""}
    facts.update(session.extra)
    facts.update(find_attached(session.address, session.port))
    return facts


def _scope(session: Session) -> bytes:
    """Encode the session as the first field of a ScopeSpans, once; the session keeps the result."""
    if session.encoded:
        return session.encoded[0]
    body = _scope_bytes(names.SCOPE_CALLS, session_attributes(session))
    session.encoded.append(body)
    return body


def _scope_bytes(name: str, attributes: Mapping[str, AttributeValue]) -> bytes:
    parts = [field(b"\x0a", name.encode()), field(b"\x12", _VERSION)]
    parts += [field(b"\x1a", _key_value(key, value)) for key, value in attributes.items()]
    return field(b"\x0a", b"".join(parts))


_DATA: Final = frozenset((names.DATA_RECEIVED, names.DATA_SENT))
_VERSION: Final = RELEASE.encode()


_Shared = tuple[str, str, bool, str, int, CallSite | None, str]
"""``operation`` to ``route`` of a call: the fields that the calls of one call site share."""
_EncodedShared = tuple[bytes, bytes, Kinds, bytes]
"""Name and kind of the span, attributes, kinds of data by names, and those as attributes."""
_encoded_shared: dict[_Shared, _EncodedShared] = {}


def _encode_shared(shared: _Shared) -> _EncodedShared:
    """Encode the fields that the calls of one call site share: name and kind, and the attributes; kinds of data."""
    operation, text, sql, signs, kind, site, route = shared
    parts: list[bytes] = []
    if operation:  # for every system: rules match FLUSHALL or PutBucketAcl by this name
        parts.append(_text(names.OPERATION, operation))
    if text:
        parts.append(_text(names.QUERY_TEXT if sql else names.STATEMENT, text))
    if signs:
        parts.append(_text(names.QUERY_SIGNS, signs))
    if site is not None:
        function, file, line, path = site
        parts += (_text(names.CODE_FUNCTION, function), _text(names.CODE_FILE, file), _LINE[line])
        if path:
            parts.append(_text(names.CALL_PATH, path))
    if route:
        parts.append(_text(names.HTTP_ROUTE, route))
    kinds = kinds_of_text(text, sql=sql) if text else NO_KINDS
    named = b"".join(_text(name, str(words)) for name, words in merge((), *kinds))
    name = field(b"\x2a", operation.encode("utf-8", "replace")) + b"\x30" + varint(kind)
    made = name, b"".join(parts), kinds, named
    return remember(_encoded_shared, shared, made, MAX_CALL_SITES) if len(text) <= MAX_CALL_SITE_TEXT else made


def _span(call: Call) -> bytes:
    """Encode one call as one field of a ScopeSpans."""
    shared: Any = call[1:8]
    name, attributes, kinds, named = _encoded_shared.get(shared) or _encode_shared(shared)
    (start_ns, end_ns, trace_id, span_id, parent_id, sent, received, estimated, returned, affected, error, facts) = (
        call[8:]
    )
    body = b"".join((
        b"\x0a\x10", trace_id.to_bytes(16, "big"), b"\x12\x08", span_id.to_bytes(8, "big"),
        b"\x22\x08" + parent_id.to_bytes(8, "big") if parent_id else b"", name,
        _TIMES(0x39, start_ns, 0x41, end_ns), attributes,
        _SENT[sent] if sent >= 0 else b"", _RECEIVED[received] if received >= 0 else b"",
        _RETURNED[returned] if returned >= 0 else b"", _AFFECTED[affected] if affected >= 0 else b"",
    ))  # fmt: skip
    if kinds is not NO_KINDS and exposure_mode.reads_columns:
        if facts and not _DATA.isdisjoint(fact for fact, _ in facts):
            facts = merge(facts, *kinds)
        else:
            body += named
    if estimated or facts or error:
        body += _rest(estimated, facts, error)
    return field(b"\x12", body)


def _rest(estimated: bool, facts: Facts, error: str) -> bytes:
    """Encode the parts that most calls do not have."""
    parts = [_TRUE_ESTIMATED] if estimated else []
    for key, value in facts:
        parts.append(_text(key, value) if isinstance(value, str) else field(b"\x4a", _key_value(key, value)))
    if error:
        parts += (_text(names.ERROR_TYPE, error), _FAILED)
    return b"".join(parts)


def _resource(app: App) -> bytes:
    return field(b"\x0a", b"".join(field(b"\x0a", _key_value(key, value)) for key, value in app.attributes))


def _request(app: App, scopes: Iterable[bytes]) -> bytes:
    spans = b"".join([_resource(app), *(field(b"\x12", scope) for scope in scopes)])
    return field(b"\x0a", spans)


def encode_calls(app: App, calls: Sequence[Call]) -> bytes:
    """Encode calls as one ``ExportTraceServiceRequest``; sessions with the same facts become one scope."""
    scopes: dict[bytes, list[bytes]] = {}
    session: object = scopes  # no session yet
    spans: list[bytes] = []
    for call in calls:
        if call[0] is not session:
            session = call[0]
            spans = scopes.setdefault(_scope(call[0]), [])
        spans.append(_span(call))
    return _request(app, (b"".join([scope, *spans]) for scope, spans in scopes.items()))


def encode_heartbeat(
    app: App, dropped: Mapping[str, int], process: Mapping[str, AttributeValue] = MappingProxyType({})
) -> bytes:
    """Encode a heartbeat: a record without spans.

    Args:
        app: The app.
        dropped: Records dropped since the last delivered heartbeat, by kind.
        process: Facts of the process, by contract name.
    """
    counts = {names.DROPPED_PREFIX + kind: count for kind, count in dropped.items()}
    attributes = {names.BACKWATCH_CONTRACT: names.CONTRACT, **process, **counts}
    return _request(app, [_scope_bytes(names.SCOPE_HEARTBEAT, attributes)])
