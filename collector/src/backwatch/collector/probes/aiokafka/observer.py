"""The call observer of aiokafka: messages sent, received one by one or many at once, commits, administration.

aiokafka runs on one thread, so a hook belongs to the call in its task's context.
"""

from asyncio import CancelledError
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from backwatch.collector.payload import message_forms
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.kafka.calls import (
    InFlightOperation,
    PartitionCall,
    new_delivery,
)
from backwatch.collector.probes.families.kafka.clients import KafkaClients, status_facts
from backwatch.collector.probes.families.kafka.observer import PythonKafkaObserver
from backwatch.collector.probes.families.kafka.polls import (
    MAX_TOPICS,
    Poll,
    Sizes,
    record_poll,
    record_size,
    unpacked_facts,
)
from backwatch.collector.probes.families.kafka.state import KafkaClientState
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.deferred_flush import defer_flush
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.messages import PendingMessages, is_stream_topic, size_of, size_of_headers
from backwatch.collector.probes.toolkit.sockets import descriptor
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

PENDING_ATTRIBUTE: Final = "_backwatch_pending_messages"
"""Attribute of a consumer that holds messages received one by one, by topic."""
_OPTIONS: Final = (
    "bootstrap_servers", "client_id", "security_protocol", "ssl_context", "sasl_mechanism", "sasl_plain_username",
)  # fmt: skip
current_operation: ContextVar[InFlightOperation | None] = ContextVar("backwatch_aiokafka_operation", default=None)
current_poll: ContextVar[Poll | None] = ContextVar("backwatch_aiokafka_poll", default=None)
current_send: ContextVar["_InFlightSend | None"] = ContextVar("backwatch_aiokafka_send", default=None)


class AiokafkaAccess:
    """Read access to the objects of aiokafka."""

    def owner_of(self, client: Any) -> Any:
        """Return the client below a producer, a consumer or an administrator."""
        return client.client if hasattr(client, "client") else client._client

    def config_of(self, owner: Any) -> dict[str, Any]:
        """Return the client's options, which the driver keeps as attributes."""
        return {name: getattr(owner, f"_{name}", None) for name in _OPTIONS}

    def connection_to(self, owner: Any, node: Any) -> Any:
        """Return the connection for messages to a broker; groups use another one."""
        return owner._conns.get((node, 0))

    def session_of(self, client: KafkaClientState, socket: Any, version: object) -> tuple[Session, int]:
        """Return the session of an asyncio stream's writer, and its descriptor."""
        below = socket.get_extra_info("socket")
        return client.session_of(below, socket.get_extra_info("ssl_object"), version), descriptor(below)


class _InFlightSend:
    """A message on its way to the driver.

    Attributes:
        size: Bytes of key and value, once they are serialised; -1: not yet.
    """

    __slots__ = ("headers", "size", "start_ns", "topic")

    def __init__(self, start_ns: int, topic: Any, headers: Any) -> None:
        self.start_ns = start_ns
        self.topic = topic
        self.headers = headers
        self.size = -1


class _InFlightBatch(NamedTuple):
    start_ns: int
    topic: Any
    batch: Any


class AiokafkaCallObserver(PythonKafkaObserver):
    """The call observer of aiokafka's clients."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(KafkaClients(recorder, AiokafkaAccess()), current_operation, current_poll)

    # --- messages sent ---

    @never_breaks_the_host
    def on_send(self, producer: Any, args: Any, kwargs: Any) -> _InFlightSend | None:
        """Handle a message that is about to be sent."""
        start_ns = self.operations.start_ns(producer)
        topic, headers = argument(args, kwargs, 0, "topic"), argument(args, kwargs, 5, "headers")
        return _InFlightSend(start_ns, topic, headers) if start_ns else None

    @never_breaks_the_host
    def on_serialize_end(self, _producer: Any, _token: Any, parts: Any, error: Error) -> None:
        """Keep the size of a message whose key and value are bytes now."""
        send = current_send.get()
        if send is not None and error is None:
            send.size = sum(map(size_of, parts))

    @never_breaks_the_host
    def on_send_end(self, producer: Any, send: _InFlightSend, future: Any, error: Error) -> None:
        """Record a message once it is acknowledged, or now if the driver refused it."""
        delivery = new_delivery(self.clients, producer, send.start_ns, send.topic)
        if delivery is None:
            return
        if error is None and send.size >= 0:
            delivery.estimated = (send.size + size_of_headers(send.headers), -1)
        _end_with(future, delivery, error)

    @never_breaks_the_host
    def on_send_batch(self, producer: Any, args: Any, kwargs: Any) -> _InFlightBatch | None:
        """Handle messages that the app has batched and is about to send."""
        start_ns = self.operations.start_ns(producer)
        batch, topic = argument(args, kwargs, 0, "batch"), argument(args, kwargs, 1, "topic")
        return _InFlightBatch(start_ns, topic, batch) if start_ns else None

    @never_breaks_the_host
    def on_send_batch_end(self, producer: Any, sent: _InFlightBatch, future: Any, error: Error) -> None:
        """Record a batch as one call, once it is acknowledged, or now if the driver refused it."""
        delivery = new_delivery(self.clients, producer, sent.start_ns, sent.topic)
        if delivery is not None:
            delivery.rows, delivery.estimated = sent.batch.record_count(), (sent.batch.size(), -1)
            _end_with(future, delivery, error)

    # --- messages received ---

    @never_breaks_the_host
    def on_getmany_end(self, consumer: Any, poll: Poll, found: Any, error: Error) -> None:
        """Record messages that were received together."""
        if not isinstance(error, CancelledError):  # how waiting with a time limit ends
            self.polls.on_poll_end(consumer, poll, found, error)

    @never_breaks_the_host
    def on_getone_end(self, consumer: Any, poll: Poll, message: Any, error: Error) -> None:
        """Keep a message to be recorded with others, or record that the app's function could not read it."""
        if error is not None:
            self.on_getmany_end(consumer, poll, None, error)
            return
        topic, recorder = message.topic, self.clients.recorder
        if is_stream_topic(topic):
            return
        by_topic: dict[str, _PendingMessages] = consumer.__dict__.setdefault(PENDING_ATTRIBUTE, {})
        pending = by_topic.get(topic)
        if pending is None:
            if len(by_topic) >= MAX_TOPICS:
                self._flush(consumer)
            pending = by_topic[topic] = _PendingMessages(self.clients, self.clients.access.owner_of(consumer), topic)
        pending.add(message, poll)
        if recorder is not None:
            defer_flush(pending.gathered, recorder)

    @never_breaks_the_host
    def on_stop(self, consumer: Any, _args: Any, _kwargs: Any) -> None:
        """Record the messages that wait, before the consumer stops."""
        self._flush(consumer)

    def _flush(self, consumer: Any) -> None:
        for pending in consumer.__dict__.pop(PENDING_ATTRIBUTE, {}).values():
            pending.gathered.flush()


class _PendingMessages:
    """Messages of one topic that a consumer received one by one and that wait to be recorded."""

    __slots__ = ("clients", "forms", "gathered", "owner", "unpacked")

    def __init__(self, clients: KafkaClients, owner: Any, topic: str) -> None:
        self.clients = clients
        self.owner = owner
        self.unpacked: tuple[Sizes, ...] = ()
        self.forms = 0
        self.gathered = PendingMessages(topic, self.record)

    def add(self, message: Any, poll: Poll) -> None:
        """Keep a message."""
        if poll.unpacked:
            self.unpacked += tuple(poll.unpacked.values())
        self.forms |= message_forms.detect_form(message) or 0
        values = poll.samples.get(message.topic) or (message.value,)
        self.gathered.add(record_size(message), values[-1], poll.start_ns)

    @never_breaks_the_host
    def record(self, gathered: PendingMessages, error: Error) -> None:
        """Record all of them together."""
        recorder = self.clients.recorder
        if recorder is None:
            return
        facts = status_facts(error) + unpacked_facts(self.unpacked) + message_forms.to_facts(self.forms)
        self.unpacked, self.forms = (), 0
        record_poll(
            recorder, self.clients.session_of(self.owner), gathered.name, gathered.start_ns, values=gathered.samples,
            rows=gathered.count, size=gathered.bytes, facts=facts, error=error, caller=gathered.caller,
        )  # fmt: skip


def _end_with(future: Any, delivery: PartitionCall, error: Error) -> None:
    """Record a delivery when its future is done, or now with the error that refused it."""
    if error is not None:
        delivery.end(error)
        return

    @never_breaks_the_host
    def end(future: Any) -> None:
        # ``exception()`` would make asyncio believe that the app has seen it.
        error = CancelledError() if future.cancelled() else getattr(future, "_exception", None)
        if error is None:
            delivery.partition = getattr(future.result(), "topic_partition", None)
        delivery.end(error)

    future.add_done_callback(end)
