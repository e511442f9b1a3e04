"""The span exporter for apps with their own OpenTelemetry instrumentations: ``OTEL_TRACES_EXPORTER=backwatch``.

Spans that name a backing service become calls, redacted and checked for injection signs in this process, on the same
queue as those of the probes. Only known attributes are reported: further ones may contain anything. Spans of a library
that has a probe are dropped, so that no call is recorded twice.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

from backwatch.collector import names
from backwatch.collector.documents.foreign import SYSTEMS, redact_foreign
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.redaction import http, messaging
from backwatch.collector.redaction.sanitize import sanitize
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import (
    CLIENT,
    CONSUMER,
    PRODUCER,
    AttributeValue,
    Call,
    CallSite,
    Facts,
    Session,
)
from backwatch.collector.runtime.systems import is_database
from backwatch.collector.statements.dialects import NOT_SQL, is_document

MAX_TEXT: Final = 200
_KINDS: Final = {SpanKind.CLIENT: CLIENT, SpanKind.PRODUCER: PRODUCER, SpanKind.CONSUMER: CONSUMER}
_SCOPES: Final = "opentelemetry.instrumentation."
_WORD: Final = re.compile(r"[A-Za-z_]{1,40}")
_SAME_CALLS: Final[Mapping[str, frozenset[str]]] = {
    "http": frozenset({"urllib"}),
    "httpx2": frozenset({"httpx"}),
    "aiohttp": frozenset({"aiohttp_client"}),
    "urllib3": frozenset({"requests", "botocore", "urllib3", "elasticsearch"}),
}
"""Further instrumentation scopes whose spans are the same calls that a probe records."""
_DRIVERS_OF: Final = {"postgresql": ("psycopg", "psycopg2"), "mysql": ("pymysql",), "sqlite": ("sqlite3",)}
"""SQLAlchemy's spans repeat those of its driver."""


class BackwatchSpanExporter(SpanExporter):
    """Converts finished spans to calls. Never raises, never waits for the stream."""

    def __init__(self, pipeline: Pipeline | None = None, active: Callable[[], frozenset[str]] | None = None) -> None:
        from backwatch.collector.bootstrap import start

        self._pipeline = pipeline or start.start_pipeline()
        self._active = active or start.get_active_probes

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Queue the spans that are calls; the queue counts what it drops."""
        if self._pipeline is not None:
            active = self._active()
            for span in spans:
                call = call_of(span, active)
                if call is not None:
                    self._pipeline.add_call(call)
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until all calls are delivered."""
        return self._pipeline is None or self._pipeline.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Deliver within the exit timeout, which the app's exit shares; the queue keeps serving the probes."""
        if self._pipeline is not None:
            self._pipeline.deliver()


def _is_recorded_by_probe(scope: str, system: str, active: frozenset[str]) -> bool:
    """Return whether a probe has recorded the same call already."""
    if not scope.startswith(_SCOPES):
        return False
    library = scope.removeprefix(_SCOPES).partition(".")[0]
    if library == "sqlalchemy":
        return any(driver in active for driver in _DRIVERS_OF.get(system, ()))
    return library in active or any(library in _SAME_CALLS.get(probe, ()) for probe in active)


@never_breaks_the_host
def call_of(span: ReadableSpan, active: frozenset[str] = frozenset()) -> Call | None:
    """Return the call of a span; ``None`` if it is no call, or a probe has recorded it."""
    kind = _KINDS.get(span.kind)
    attributes: Mapping[str, Any] = span.attributes or {}
    system = _system(attributes)
    if kind is None or not system or span.context is None:
        return None
    scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
    if _is_recorded_by_probe(scope, system, active):
        return None
    text, signs, operation, facts = _read_statement(attributes, system, span.name)
    return Call(
        _session(attributes, system), operation[:60], text, _is_sql(system), signs, kind, _site(attributes),
        _text(attributes, names.HTTP_ROUTE), span.start_time or 0, span.end_time or span.start_time or 0,
        span.context.trace_id, span.context.span_id, span.parent.span_id if span.parent else 0, -1, -1, False,
        _number(attributes, names.ROWS_RETURNED, -1), -1, _error(span, attributes), facts,
    )  # fmt: skip


def _text(attributes: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str) and value:
            return value[:MAX_TEXT]
    return ""


def _number(attributes: Mapping[str, Any], key: str, default: int) -> int:
    value = attributes.get(key)
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _system(attributes: Mapping[str, Any]) -> str:
    system = _text(attributes, names.DB_SYSTEM, "db.system", names.MESSAGING_SYSTEM, names.RPC_SYSTEM, names.SYSTEM)
    if system:
        return system
    return "http" if names.HTTP_METHOD in attributes or "http.method" in attributes else ""


def _is_sql(system: str) -> bool:
    return is_database(system) and system not in NOT_SQL and system not in SYSTEMS


def _session(attributes: Mapping[str, Any], system: str) -> Session:
    address = _text(attributes, names.SERVER_ADDRESS, "net.peer.name")
    port = _number(attributes, names.SERVER_PORT, 0) or _number(attributes, "net.peer.port", 0)
    extra: list[tuple[str, AttributeValue]] = []
    encrypted: bool | None = None
    if system == "http":
        scheme, host, asked_port = _url(_text(attributes, names.URL_FULL, "http.url"))
        address = address or host
        port = port or asked_port or {"https": 443, "http": 80}.get(scheme, 0)
        # A request with a status had a connection; one that failed may have had none.
        has_status = names.HTTP_STATUS in attributes or "http.status_code" in attributes
        encrypted = {"https": True, "http": False}.get(scheme) if has_status else None
    destination = _text(attributes, names.MESSAGING_DESTINATION, "messaging.destination")
    if destination:
        extra.append((names.MESSAGING_DESTINATION, _destination(system, destination)))
    return Session(
        system=system, address=address, port=port, namespace=_text(attributes, names.DB_NAMESPACE, "db.name"),
        transport={"ip_tcp": "tcp", "pipe": "pipe", "unix": "unix"}.get(
            _text(attributes, names.TRANSPORT, "net.transport"), "tcp" if address else ""
        ),
        encrypted=encrypted, peer_address=_text(attributes, names.PEER_ADDRESS, "net.peer.ip"),
        peer_port=_number(attributes, names.PEER_PORT, 0), account=_text(attributes, names.ACCOUNT, "db.user"),
        extra=tuple(extra),
    )  # fmt: skip


def _url(text: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL; empty if it is invalid."""
    try:
        parts = urlsplit(text)
        return parts.scheme, parts.hostname or "", parts.port or 0
    except ValueError:
        return "", "", 0


def _read_statement(attributes: Mapping[str, Any], system: str, span_name: str) -> tuple[str, str, str, Facts]:
    """Return text, signs, operation and further facts."""
    if system in SYSTEMS:
        statement = str(attributes.get(names.QUERY_TEXT) or attributes.get("db.statement") or "")
        named = _first_word(_text(attributes, names.OPERATION, "db.operation") or span_name)
        collection = _text(attributes, names.DB_COLLECTION, "db.mongodb.collection")
        found = redact_foreign(system, statement, named, collection)
        if found is not None:
            return found[0], found[1], found[2], ()
    if _is_sql(system):
        statement = attributes.get(names.QUERY_TEXT) or attributes.get("db.statement") or ""
        statement = "" if is_document(str(statement)[:100]) else statement
        text, signs, first_word = sanitize(statement, system)
        return text, signs, first_word or _first_word(_text(attributes, names.OPERATION, "db.operation")), ()
    if system == "http":
        method = _text(attributes, names.HTTP_METHOD, "http.method").upper()
        status = _number(attributes, names.HTTP_STATUS, -1)
        status = status if status >= 0 else _number(attributes, "http.status_code", -1)
        facts: list[tuple[str, AttributeValue]] = [(names.HTTP_METHOD, method)]
        if status >= 0:
            facts.append((names.HTTP_STATUS, status))
        url = str(attributes.get(names.URL_FULL) or attributes.get("http.url") or "")
        if http.carries_secret(url):
            facts.append((names.URL_SECRET, True))
        return http.to_statement(method, url), "", method, tuple(facts)
    operation = _first_word(_text(attributes, names.OPERATION, "db.operation", "rpc.method") or span_name)
    if names.MESSAGING_SYSTEM in attributes:
        operation = _messaging_operation(attributes, span_name)
    # The values in this language are unknown, so its text is not reported.
    return operation, "", operation, ()


def _destination(system: str, name: str) -> str:
    """Return a message destination without parts that look like values."""
    return messaging.redact_span_destination(system, name)


def _messaging_operation(attributes: Mapping[str, Any], span_name: str) -> str:
    """Return the operation on messages; the span's name also contains the destination."""
    operation = _text(attributes, "messaging.operation.name", "messaging.operation.type", "messaging.operation")
    return messaging.to_operation(f"{operation} {span_name}")


def _first_word(text: str) -> str:
    found = _WORD.search(text)
    return found.group() if found else ""


def _site(attributes: Mapping[str, Any]) -> CallSite | None:
    function = _text(attributes, names.CODE_FUNCTION, "code.function")
    file = _text(attributes, names.CODE_FILE, "code.filepath")
    line = max(_number(attributes, names.CODE_LINE, 0), _number(attributes, "code.lineno", 0))
    return CallSite(function, file, line) if function or file else None


def _error(span: ReadableSpan, attributes: Mapping[str, Any]) -> str:
    kind = _text(attributes, names.ERROR_TYPE)
    if kind:
        return _first_word(kind.rpartition(".")[2]) or (kind if kind.isdecimal() and len(kind) < 6 else "error")
    for event in span.events:
        if event.name == "exception" and event.attributes:
            kind = event.attributes.get("exception.type")
            return kind.rpartition(".")[2][:100] if isinstance(kind, str) else "error"
    return "" if span.status.is_ok else "error"
