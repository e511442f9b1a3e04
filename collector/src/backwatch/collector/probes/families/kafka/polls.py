"""The polls of Kafka consumers: one record for each poll and topic, none if the poll returned nothing."""

from collections.abc import Iterable
from contextvars import ContextVar
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.exposure.observation import received_value_facts
from backwatch.collector.payload import message_forms
from backwatch.collector.payload.formats import MAX_MEMBERS, detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.kafka.clients import KafkaClients, status_facts
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.messages import (
    MAX_SAMPLES,
    is_stream_topic,
    operation_text,
    size_of_headers,
)
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER, Caller, Facts, Session
from backwatch.collector.session.socket_counters import UNKNOWN

MAX_TOPICS: Final = 256
"""Topics of one consumer whose messages wait to be recorded together; beyond it, all are recorded at once."""
Sizes = tuple[int, int]
"""Bytes of compressed batches: as received, and unpacked."""


class Poll:
    """A poll in progress.

    Attributes:
        topic: The topic whose messages the driver is unpacking.
        samples: Values as received, by topic, where a function of the app deserialises them.
        unpacked: Sizes of compressed batches by topic.
    """

    __slots__ = ("samples", "start_ns", "topic", "unpacked")

    def __init__(self) -> None:
        self.start_ns = time_ns()
        self.topic = ""
        self.samples: dict[str, list[Any]] = {}
        self.unpacked: dict[str, Sizes] = {}


def record_size(record: Any) -> int:
    """Return the bytes of key, value and headers as received."""
    size, key, headers = (
        record.serialized_value_size, record.serialized_key_size, getattr(record, "serialized_header_size", -1),
    )  # fmt: skip
    if headers < 0 and record.headers:  # aiokafka does not count them
        headers = size_of_headers(record.headers)
    return max(size, 0) + max(key, 0) + max(headers, 0)


def unpacked_facts(batches: Iterable[Sizes]) -> Facts:
    """Return the sizes of compressed batches: as received, and unpacked."""
    sizes = list(zip(*batches, strict=True))
    return ((names.PAYLOAD_WIRE, sum(sizes[0])), (names.PAYLOAD_SIZE, sum(sizes[1]))) if sizes else ()


def record_poll(
    recorder: Recorder, session: Session, topic: str | None, start_ns: int, *, values: list[Any] | None = None,
    rows: int = -1, size: int = -1, facts: Facts = (), error: BaseException | str | None = None,
    caller: Caller | None = None,
) -> None:  # fmt: skip
    """Record the messages of one topic that a consumer received.

    Args:
        values: Some of them, to detect_formats their format.
        size: Bytes of all of them.
    """
    statement, destination = operation_text("poll", topic)
    facts = destination + detect_formats(values) + received_value_facts(statement, values) + facts
    recorder.record_call(
        session, "poll", statement=statement, start_ns=start_ns, estimated=(-1, size) if size >= 0 else UNKNOWN,
        rows_returned=rows, error=error, facts=facts, kind=CONSUMER, caller=caller,
    )  # fmt: skip


class PollObserver:
    """The observer of one driver's polls.

    Args:
        scope: Holds the poll while the driver is called.
    """

    def __init__(self, clients: KafkaClients, scope: ContextVar[Poll | None]) -> None:
        self.clients = clients
        self.scope = scope

    @never_breaks_the_host
    def on_poll(self, consumer: Any, _args: Any, _kwargs: Any) -> Poll | None:
        """Handle the start of a poll."""
        return Poll() if self.clients.is_observed(consumer) else None

    @never_breaks_the_host
    def on_poll_end(self, consumer: Any, poll: Poll, found: Any, error: Error) -> None:
        """Record a poll: its messages by topic, or its error."""
        recorder = self.clients.recorder
        if recorder is None:
            return
        owner = self.clients.access.owner_of(consumer)
        by_topic: dict[str, list[Any]] = {}
        for partition, records in (found or {}).items():
            by_topic.setdefault(partition.topic, []).append((partition, records))
        for topic, portions in by_topic.items():
            if not is_stream_topic(topic):
                session = self.clients.session_of(owner, portions[0][0])
                self._record_topic(recorder, session, poll, topic, [record for _, part in portions for record in part])
        if error is not None and not is_stream_topic(poll.topic):
            facts = self._facts(poll, poll.topic, 0) + status_facts(error)
            session = self.clients.session_of(owner)
            values = poll.samples.get(poll.topic)
            record_poll(recorder, session, poll.topic or None, poll.start_ns, values=values, facts=facts, error=error)

    def _record_topic(self, recorder: Recorder, session: Session, poll: Poll, topic: str, records: list[Any]) -> None:
        forms = 0
        for record in records:
            forms |= message_forms.detect_form(record) or 0
        values = poll.samples.get(topic) or [record.value for record in records[:MAX_MEMBERS]]
        record_poll(
            recorder, session, topic, poll.start_ns, values=values, rows=len(records),
            size=sum(map(record_size, records)), facts=self._facts(poll, topic, forms),
        )  # fmt: skip

    def _facts(self, poll: Poll, topic: str, forms: int) -> Facts:
        unpacked = poll.unpacked.get(topic)
        return message_forms.to_facts(forms) + (unpacked_facts((unpacked,)) if unpacked else ())

    # --- inside a poll ---

    def on_topic(self, topic: Any) -> None:
        """Keep the topic whose messages are unpacked from now on."""
        poll = self.scope.get()
        if poll is not None and isinstance(topic, str):
            poll.topic = topic

    def on_decompress(self, packed_bytes: int, unpacked_bytes: int) -> None:
        """Count a compressed batch that was unpacked."""
        poll = self.scope.get()
        if poll is not None and poll.topic:
            packed, unpacked = poll.unpacked.get(poll.topic, (0, 0))
            poll.unpacked[poll.topic] = (packed + packed_bytes, unpacked + unpacked_bytes)

    def on_deserialize(self, value: Any) -> None:
        """Keep a value that a function of the app is about to deserialise."""
        poll = self.scope.get()
        if poll is not None:
            samples = poll.samples.setdefault(poll.topic, [])
            if len(samples) < MAX_SAMPLES:
                samples.append(value)
