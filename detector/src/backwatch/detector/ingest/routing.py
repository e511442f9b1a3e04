"""Routing of third-party spans: a value of ``otlp_spans`` is split by app, redacted, and forwarded.

Nothing that was not redacted is kept behind this door, with one exception that cannot be helped: a value that cannot be
read is handed on as it came, behind a byte that makes it unreadable for good, so that the detector counts it, raises an
alert and keeps its bytes in quarantine.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from google.protobuf.message import DecodeError

from backwatch.collector import names
from backwatch.collector.facts.app import FACTS as APP_FACTS
from backwatch.collector.stream import Message, Record
from backwatch.detector.decoding.app import app_text
from backwatch.detector.decoding.fault_description import describe
from backwatch.detector.decoding.outline import items_of, spans_of
from backwatch.detector.decoding.schema import MAX_ATTRIBUTES, MAX_SMALL_SPANS
from backwatch.detector.ingest import otlp_ingest, otlp_writer
from backwatch.detector.ingest.tolerant_schema import Request

logger = logging.getLogger("backwatch")

UNREADABLE: Final = b"\x00"
"""Stands before a value that cannot be read: no message begins with it, so no reader takes what follows for spans."""
MAX_MESSAGE_BYTES: Final = 700_000
"""A broker takes a megabyte; what has more spans than fit is sent as several messages."""
MIN_SPAN_BYTES: Final = 24
"""Spans that are smaller on average, in such numbers, are a bomb: reading them takes a hundred times their bytes."""
MIN_ITEM_BYTES: Final = 8
"""The same of resources, scopes and spans together."""
MAX_GROWTH: Final = 8
"""How many times its size a value may become: a scope's texts are written into each of its spans."""
MAX_RESOURCE_TEXT: Final = 1_000
MAX_SCOPE_BYTES: Final = 65_536
"""What stands before the spans of every message must be small: else a few spans a message make a flood of one."""
KEPT_BYTES: Final = 1 << 16
PROCESS_PREFIX: Final = b"backwatch.process."
_RESOURCE: Final = frozenset(name for fact in APP_FACTS for name in (fact.name, *fact.older))
"""Attributes of a resource that are handed on."""

Scope = tuple[bytes, list[bytes]]
"""A scope's bytes, and those of each of its spans."""


class _DecompressionBomb(ValueError):
    """A value that would become many times its size."""


class _Room:
    """Bytes that the spans of one value may still become."""

    def __init__(self, value: bytes) -> None:
        self._left = MAX_GROWTH * len(value) + MAX_MESSAGE_BYTES

    def take(self, span: bytes) -> bytes:
        self._left -= len(span)
        if self._left < 0:
            raise _DecompressionBomb
        return span


def route(value: bytes) -> list[Message]:
    """Return the messages for a value of ``otlp_spans``: per app, in order, its spans as calls. Never raises."""
    try:
        if not _is_bomb(value):
            return _route(value)
    except (DecodeError, _DecompressionBomb):
        pass
    except Exception as error:  # noqa: BLE001  no value may end the router: it would read it again for ever
        logger.error("backwatch: router: a value cannot be read (%s); it goes on as unreadable", describe(error))  # noqa: TRY400  its text may be an attacker's
    return [Message(UNREADABLE + value)]


def _is_bomb(value: bytes) -> bool:
    """Return whether a value holds more messages than its size justifies, or has no outer shape."""
    spans, items = spans_of(value), items_of(value)
    small = spans > MAX_SMALL_SPANS and len(value) < MIN_SPAN_BYTES * spans
    return spans < 0 or small or (items > MAX_SMALL_SPANS and len(value) < MIN_ITEM_BYTES * items)


def _route(value: bytes) -> list[Message]:
    request, room = Request.FromString(value), _Room(value)
    found: dict[tuple[bytes, str], tuple[bytes, list[Scope]]] = {}
    for resource_span in request.resource_spans:
        facts = {
            key: text[:MAX_RESOURCE_TEXT]
            for key, text in _pairs(resource_span.resource.attributes)
            if key in _RESOURCE and isinstance(text, str)
        }
        key = app_text(facts).encode()
        release = facts.get(names.SERVICE_RELEASE, "")
        _, scopes = found.setdefault((key, release), (otlp_writer.resource(facts.items()), []))
        scopes += [_scope(scope, room) for scope in resource_span.scope_spans]
    return [
        Message(value=body, key=key)
        for (key, _), (resource, scopes) in found.items()
        for body in _bodies(resource, scopes)
    ]


def _scope(scope_spans: Any, room: _Room) -> Scope:
    scope = scope_spans.scope
    attributes = dict(_pairs(scope.attributes))
    is_heartbeat = scope.name == names.SCOPE_HEARTBEAT.encode()
    is_native = attributes.get(names.BACKWATCH_CONTRACT) or is_heartbeat
    if is_native and scope.ByteSize() <= MAX_SCOPE_BYTES:
        # Fields that no version of the schema knows would be handed on, and one of them can be a group, for which the
        # detector refuses the whole message.
        scope_spans.DiscardUnknownFields()
        _strip_process(scope)
        if is_heartbeat:
            relayed = scope.attributes.add()
            relayed.key = names.HEARTBEAT_RELAYED.encode()
            relayed.value.int_value = 1
        return scope.SerializeToString(), [span.SerializeToString() for span in scope_spans.spans]
    above = otlp_ingest.facts_of(attributes.items())
    return otlp_writer.scope(b"" if is_heartbeat else scope.name[:200], scope.version[:40], ()), [
        room.take(_span(span, above)) for span in scope_spans.spans
    ]


def _strip_process(scope: Any) -> None:
    """Remove the process from a heartbeat: a forged final heartbeat would silence ``watch-lost``.

    Collectors write theirs to the topic of calls themselves.
    """
    kept = [attribute for attribute in scope.attributes if not attribute.key.startswith(PROCESS_PREFIX)]
    if len(kept) < len(scope.attributes):
        copies = [attribute.SerializeToString() for attribute in kept]
        scope.ClearField("attributes")
        for copy in copies:
            scope.attributes.add().ParseFromString(copy)


def _span(span: Any, above: otlp_ingest.Facts) -> bytes:
    """Return a span as Backwatch's collector would report it; of a span that is no call, only its existence."""
    pairs = [pair for event in span.events[:MAX_ATTRIBUTES] for pair in _pairs(event.attributes)]
    facts = above | otlp_ingest.facts_of(
        [*(pair for pair in pairs if pair[0] == "exception.type"), *_pairs(span.attributes)]
    )
    name: str = ""
    if otlp_ingest.is_call(facts, span.kind):
        name, facts = otlp_ingest.redact_call(facts, span.name[:256].decode("utf-8", "replace"))
    else:
        facts = {}
    return otlp_writer.span(
        trace_id=span.trace_id[:16], span_id=span.span_id[:8], parent_id=span.parent_span_id[:8], name=name,
        kind=span.kind, start_ns=span.start_time_unix_nano, end_ns=span.end_time_unix_nano,
        attributes=facts.items(), status=span.status.code,
    )  # fmt: skip


def _pairs(attributes: Any) -> Iterator[tuple[str, otlp_ingest.Value]]:
    """Texts, numbers and flags; lists and the like are not read."""
    for attribute in attributes[:MAX_ATTRIBUTES]:
        value = attribute.value
        which = value.WhichOneof("value")
        if which == b"string_value" or which == "string_value":
            yield attribute.key.decode("utf-8", "replace"), value.string_value.decode("utf-8", "replace")
        elif which in ("int_value", "bool_value", "double_value"):
            yield attribute.key.decode("utf-8", "replace"), getattr(value, which)


def _bodies(resource: bytes, scopes: Sequence[Scope]) -> Iterator[bytes]:
    """Requests that a broker takes, spans in order."""
    ready: list[bytes] = []
    size = len(resource)
    for scope, spans in scopes:
        begun: list[bytes] = []
        for span in spans:
            if size + len(span) > MAX_MESSAGE_BYTES and (ready or begun):
                yield _body(resource, [*ready, otlp_writer.scope_spans(scope, begun)] if begun else ready)
                ready, begun, size = [], [], len(resource) + len(scope)
            begun.append(span)
            size += len(span) + 8
        ready.append(otlp_writer.scope_spans(scope, begun))
        size += len(scope) + 8
    if ready:
        yield _body(resource, ready)


def _body(resource: bytes, scopes: Sequence[bytes]) -> bytes:
    return otlp_writer.request([otlp_writer.resource_spans(resource, scopes)])


def outputs(record: Record) -> list[Message]:
    """Return the messages of a record, each with its first append time. None is marked as a backfill."""
    return [replace(message, appended_ns=record.appended_ns) for message in route(record.value)]
