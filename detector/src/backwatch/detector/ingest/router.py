"""The door for everybody else: what comes in at ``otlp_spans`` is split by app, redacted, and carried over.

Nothing that was not redacted is kept behind this door, with one exception that cannot be helped: a value that cannot be
read is handed on as it came, behind a byte that makes it unreadable for good, so that the detector counts it, raises an
alert and keeps its bytes in quarantine.
"""

import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from google.protobuf.message import DecodeError

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Message, MessageRefused, Record, Relay, StreamUnavailable
from backwatch.collector.stream.factory import ensure_topics, open_relay
from backwatch.detector.decoding.app import OLDER_ENVIRONMENT, app_text
from backwatch.detector.decoding.outline import items_of, spans_of
from backwatch.detector.decoding.schema import MAX_ATTRIBUTES, MAX_SMALL_SPANS
from backwatch.detector.ingest import otlp_ingest, otlp_writer
from backwatch.detector.ingest.tolerant_schema import Request
from backwatch.detector.runtime.fault_description import describe
from backwatch.detector.runtime.progress import STALLED_S, GroupProgress
from backwatch.detector.runtime.repeated_errors import RepeatedErrors, StalledConsumer, unforeseen

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
RETRY_S: Final = 1.0
OBSERVE_EVERY_S: Final = 4.0
PROCESS_PREFIX: Final = b"backwatch.process."
GROUP: Final = "backwatch-router"
_RESOURCE: Final = (
    names.SERVICE_NAMESPACE, names.SERVICE_NAME, names.SERVICE_RELEASE, names.ENVIRONMENT, OLDER_ENVIRONMENT,
)  # fmt: skip

Scope = tuple[bytes, list[bytes]]
"""A scope's bytes, and those of each of its spans."""


class _Bomb(ValueError):
    """A value that would become many times its size."""


class _Room:
    """Bytes that the spans of one value may still become."""

    def __init__(self, value: bytes) -> None:
        self._left = MAX_GROWTH * len(value) + MAX_MESSAGE_BYTES

    def take(self, span: bytes) -> bytes:
        self._left -= len(span)
        if self._left < 0:
            raise _Bomb
        return span


def route(value: bytes) -> list[Message]:
    """What a value of ``otlp_spans`` becomes: per app, in order, its spans as calls of our contract. Never raises."""
    try:
        if not _is_bomb(value):
            return _routed(value)
    except (DecodeError, _Bomb):
        pass
    except Exception as error:  # noqa: BLE001  no value may end the router: it would read it again for ever
        logger.error("backwatch: router: a value cannot be read (%s); it goes on as unreadable", describe(error))  # noqa: TRY400  its text may be an attacker's
    return [Message(UNREADABLE + value)]


def _is_bomb(value: bytes) -> bool:
    """Return whether a value holds more messages than its bytes are worth, or has no outer shape at all."""
    spans, items = spans_of(value), items_of(value)
    small = spans > MAX_SMALL_SPANS and len(value) < MIN_SPAN_BYTES * spans
    return spans < 0 or small or (items > MAX_SMALL_SPANS and len(value) < MIN_ITEM_BYTES * items)


def _routed(value: bytes) -> list[Message]:
    request, room = Request.FromString(value), _Room(value)
    found: dict[tuple[bytes, str], tuple[bytes, list[Scope]]] = {}
    for one in request.resource_spans:
        told = {
            key: text[:MAX_RESOURCE_TEXT]
            for key, text in _pairs(one.resource.attributes)
            if key in _RESOURCE and isinstance(text, str)
        }
        key = app_text(told).encode()
        release = told.get(names.SERVICE_RELEASE, "")
        _, scopes = found.setdefault((key, release), (otlp_writer.resource(told.items()), []))
        scopes += [_scope(scope, room) for scope in one.scope_spans]
    return [
        Message(value=body, key=key)
        for (key, _), (resource, scopes) in found.items()
        for body in _bodies(resource, scopes)
    ]


def _scope(scope_spans: Any, room: _Room) -> Scope:
    scope = scope_spans.scope
    told = dict(_pairs(scope.attributes))
    is_heartbeat = scope.name == names.SCOPE_HEARTBEAT.encode()
    ours = told.get(names.BACKWATCH_CONTRACT) or is_heartbeat
    if ours and scope.ByteSize() <= MAX_SCOPE_BYTES:
        # Fields that no version of the schema knows would be handed on, and one of them can be a group, for which the
        # detector refuses the whole message.
        scope_spans.DiscardUnknownFields()
        _strip_process(scope)
        if is_heartbeat:
            relayed = scope.attributes.add()
            relayed.key = names.HEARTBEAT_RELAYED.encode()
            relayed.value.int_value = 1
        return scope.SerializeToString(), [one.SerializeToString() for one in scope_spans.spans]
    above = otlp_ingest.facts_of(told.items())
    return otlp_writer.scope(b"" if is_heartbeat else scope.name[:200], scope.version[:40], ()), [
        room.take(_span(one, above)) for one in scope_spans.spans
    ]


def _strip_process(scope: Any) -> None:
    """Take the process out of a heartbeat: a farewell forged at this door would silence ``watch-lost``.

    Collectors write theirs to the topic of calls themselves.
    """
    kept = [one for one in scope.attributes if not one.key.startswith(PROCESS_PREFIX)]
    if len(kept) < len(scope.attributes):
        copies = [one.SerializeToString() for one in kept]
        scope.ClearField("attributes")
        for one in copies:
            scope.attributes.add().ParseFromString(one)


def _span(span: Any, above: otlp_ingest.Facts) -> bytes:
    """A span as our collector would have told it; of one that is no call, that it was there."""
    pairs = [pair for event in span.events[:MAX_ATTRIBUTES] for pair in _pairs(event.attributes)]
    facts = above | otlp_ingest.facts_of(
        [*(pair for pair in pairs if pair[0] == "exception.type"), *_pairs(span.attributes)]
    )
    name: str = ""
    if otlp_ingest.is_call(facts, span.kind):
        name, facts = otlp_ingest.redacted(facts, span.name[:256].decode("utf-8", "replace"))
    else:
        facts = {}
    return otlp_writer.span(
        trace_id=span.trace_id[:16], span_id=span.span_id[:8], parent_id=span.parent_span_id[:8], name=name,
        kind=span.kind, start_ns=span.start_time_unix_nano, end_ns=span.end_time_unix_nano,
        attributes=facts.items(), status=span.status.code,
    )  # fmt: skip


def _pairs(attributes: Any) -> Iterator[tuple[str, otlp_ingest.Value]]:
    """Texts, numbers and flags; lists and the like are not read."""
    for one in attributes[:MAX_ATTRIBUTES]:
        value = one.value
        which = value.WhichOneof("value")
        if which == b"string_value" or which == "string_value":
            yield one.key.decode("utf-8", "replace"), value.string_value.decode("utf-8", "replace")
        elif which in ("int_value", "bool_value", "double_value"):
            yield one.key.decode("utf-8", "replace"), getattr(value, which)


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
    """What a record becomes: each message keeps its first append time. Nobody may call it a backfill at this door."""
    return [replace(message, appended_ns=record.appended_ns) for message in route(record.value)]


def messages_of(record: Record) -> list[Message]:
    """What a record becomes; one that stands for undecodable ones, or fails its reader, goes on as unreadable."""
    if not record.skipped:
        try:
            return outputs(record)
        except Exception as error:  # noqa: BLE001  one record must not stop its partition
            reason, what = unforeseen(error), record.value
    else:
        reason, what = record.reason, record.value
    count = max(1, record.skipped)
    logger.error(
        "backwatch: router: partition %d, %d record(s) from offset %d: %s; handed on as unreadable",
        record.partition, count, record.offset, reason,
    )  # fmt: skip
    head = f"{count} record(s) of {names.TOPIC_SPANS}, partition {record.partition} offset {record.offset}: {reason}\n"
    return [Message(UNREADABLE + head.encode() + what[:KEPT_BYTES], appended_ns=record.appended_ns)]


class Router:
    """Carries ``otlp_spans`` over to ``backwatch_calls`` until it is told to stop. Owned by one thread.

    Nothing but ``stop`` ends it: after any error the relay is opened anew, at the group's progress.
    """

    def __init__(self, stream: StreamSettings, group: str = GROUP, instance: str = "") -> None:
        self._stream = stream
        self._group = group
        self._instance = instance
        self._errors = RepeatedErrors("router")
        self._observed_s = -math.inf
        self.progress = GroupProgress(group, names.TOPIC_SPANS)
        """What this member has read; a :class:`~backwatch.detector.runtime.progress.ProgressBoard` writes it."""

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set; a stream that is away is waited for."""
        relay: Relay | None = None
        while not stop.is_set():
            try:
                relay = relay or self._open()
                self.turn(relay)
                self._errors.over()
            except Exception as error:  # noqa: BLE001  whatever the client raises must not end the thread
                foreseen = isinstance(error, StreamUnavailable)
                text = str(error.strerror or error) if isinstance(error, StreamUnavailable) else unforeseen(error)
                self._errors.note(text, None if foreseen else error)
                self.progress.fail(text)
                self.progress.turn("waiting after an error")
                relay = self._close(relay)
                stop.wait(RETRY_S if foreseen else self._errors.pause_s)
        self.progress.release()
        self._close(relay)

    def _open(self) -> Relay:
        self.progress.turn("connecting to the stream")
        ensure_topics(self._stream, (names.TOPIC_SPANS, names.TOPIC_CALLS))
        relay = open_relay(self._stream, names.TOPIC_SPANS, names.TOPIC_CALLS, self._group, self._instance)
        self.progress.restart_clocks()
        return relay

    def _close(self, relay: Relay | None) -> None:
        if relay is not None:
            try:
                relay.close()
            except Exception as error:  # noqa: BLE001  it is replaced whatever it says
                logger.debug("backwatch: a relay did not close (%s)", type(error).__name__)

    def turn(self, relay: Relay) -> int:
        """Carries over what is there; the number of records read."""
        self._observe(relay)
        self.progress.turn("polling")
        self.progress.polled()
        records = relay.poll(0.2)
        if records:
            self.progress.turn(f"carrying over partition {records[0].partition} from offset {records[0].offset}")
            try:
                relay.forward(records, [message for record in records for message in messages_of(record)])
            except MessageRefused as error:
                self._one_by_one(relay, records)
                # The reader has gone back to where the group was; a new one begins where it is now.
                raise StreamUnavailable(f"{error}; begun anew behind it") from None
        return len(records)

    def _observe(self, relay: Relay) -> None:
        """Every few seconds: report progress, and see to partitions that stand still."""
        now_s = time.monotonic()
        if now_s - self._observed_s < OBSERVE_EVERY_S:
            return
        self._observed_s = now_s
        positions, ends = relay.positions(), relay.ends()
        self.progress.observe(positions, relay.held_back(), ends)
        stalled = self.progress.stalled()
        if stalled:
            raise StalledConsumer(
                f"partition(s) {', '.join(map(str, stalled))} of {names.TOPIC_SPANS} are assigned and have records, but"
                f" none was delivered for {STALLED_S:.0f} s"
            )

    def _one_by_one(self, relay: Relay, records: Sequence[Record]) -> None:
        """Each record by itself; one that the log will never take goes as a trace of itself, and is a loss."""
        for record in records:
            try:
                relay.forward([record], messages_of(record))
            except MessageRefused as error:
                logger.error("backwatch: router: %s; its first bytes go on in its place", error)  # noqa: TRY400
                cut = Message(
                    UNREADABLE + record.value[:KEPT_BYTES], appended_ns=record.appended_ns, backfill=record.backfill
                )
                relay.forward([record], [cut])
