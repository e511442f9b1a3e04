"""The call observer of kafka-python: messages sent and polled, commits, administration."""

from contextvars import ContextVar
from typing import Any

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.kafka.calls import (
    InFlightOperation,
    PartitionCall,
    describe_operation,
    new_delivery,
)
from backwatch.collector.probes.families.kafka.clients import KafkaClients
from backwatch.collector.probes.families.kafka.observer import PythonKafkaObserver
from backwatch.collector.probes.families.kafka.polls import Poll
from backwatch.collector.probes.families.kafka.state import STATE_ATTRIBUTE, KafkaClientState
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.sockets import descriptor, tls_of
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

current_operation: ContextVar[InFlightOperation | None] = ContextVar("backwatch_kafka_operation", default=None)
current_poll: ContextVar[Poll | None] = ContextVar("backwatch_kafka_poll", default=None)


class KafkaPythonAccess:
    """Read access to the objects of kafka-python."""

    def owner_of(self, client: Any) -> Any:
        """Return the object that holds the connections of a producer, a consumer or an administrator."""
        owner = client.__dict__.get(STATE_ATTRIBUTE)
        if owner is None:
            inner = getattr(client, "_client", None) or client._sender._client
            owner = client.__dict__[STATE_ATTRIBUTE] = getattr(inner, "_manager", inner)
        return owner

    def config_of(self, owner: Any) -> dict[str, Any]:
        """Return the client's options."""
        return owner.config

    def connection_to(self, owner: Any, node: Any) -> Any:
        """Return the connection to a broker; ``None`` if there is none."""
        return owner._conns.get(node)

    def session_of(self, client: KafkaClientState, socket: Any, version: object) -> tuple[Session, int]:
        """Return the session of an open plain or TLS socket, and its descriptor."""
        return client.session_of(socket, tls_of(socket), version), descriptor(socket)


class KafkaCallObserver(PythonKafkaObserver):
    """The call observer of kafka-python's clients."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(KafkaClients(recorder, KafkaPythonAccess()), current_operation, current_poll)

    @never_breaks_the_host
    def on_send(self, producer: Any, args: Any, kwargs: Any) -> tuple[int, Any] | None:
        """Handle a message that is about to be sent."""
        start_ns = self.operations.start_ns(producer)
        return (start_ns, argument(args, kwargs, 0, "topic")) if start_ns else None

    @never_breaks_the_host
    def on_send_end(self, producer: Any, token: tuple[int, Any], future: Any, error: Error) -> None:
        """Record a message once it is acknowledged, or now if the driver refused it."""
        delivery = new_delivery(self.clients, producer, *token)
        if delivery is None:
            return
        if error is not None:
            delivery.end(error)
            return
        delivery.estimated = (sum(size for size in future.args[3:] if size > 0), -1)
        delivery.partition = future._produce_future.topic_partition
        _end_with(future, delivery)

    @never_breaks_the_host
    def on_commit_async(self, consumer: Any, args: Any, kwargs: Any) -> InFlightOperation | None:
        """Handle a commit that is about to begin."""
        start_ns = self.operations.start_ns(consumer)
        return InFlightOperation("commit", argument(args, kwargs, 0, "offsets"), start_ns) if start_ns else None

    @never_breaks_the_host
    def on_commit_async_end(self, consumer: Any, commit: InFlightOperation, future: Any, error: Error) -> None:
        """Record a commit once the broker has responded, or now if the driver refused it."""
        if error is not None:
            self.operations.on_operation_end(consumer, commit, None, error)
            return
        recorder, statement = self.clients.recorder, describe_operation(commit.operation, commit.argument)
        if recorder is not None and statement is not None:
            call = PartitionCall(self.clients, consumer, commit.operation, statement, commit.start_ns)
            call.caller = recorder.capture_caller()
            _end_with(future, call)

    # --- inside a poll ---

    @never_breaks_the_host
    def on_take(self, portion: Any, _args: Any, _kwargs: Any) -> None:
        """Handle that the messages of one partition are unpacked next (3.x)."""
        self.polls.on_topic(_topic_of(portion))

    @never_breaks_the_host
    def on_parse(self, _fetcher: Any, args: Any, _kwargs: Any) -> None:
        """Handle that the messages of one fetch are unpacked next (2.x)."""
        self.polls.on_topic(_topic_of(args[0]) if args else None)

    @never_breaks_the_host
    def on_uncompress(self, batch: Any, _args: Any, _kwargs: Any) -> tuple[Any, int] | None:
        """Keep a batch's buffer as received, if it is compressed still."""
        if current_poll.get() is None or batch._decompressed:
            return None
        return batch._buffer, len(batch._buffer) - batch._pos

    @never_breaks_the_host
    def on_uncompress_end(self, batch: Any, packed: tuple[Any, int], _result: Any, _error: Error) -> None:
        """Count a compressed batch that was unpacked."""
        if batch._buffer is not packed[0]:
            self.polls.on_decompress(packed[1], len(batch._buffer))

    @never_breaks_the_host
    def on_deserialize(self, _owner: Any, args: Any, _kwargs: Any) -> None:
        """Keep a value that a function of the app is about to deserialise."""
        if args and args[0] is not None:
            self.polls.on_deserialize(args[-1])


def _end_with(future: Any, call: PartitionCall) -> None:
    future.add_callback(call.on_success)
    future.add_errback(call.end)


def _topic_of(portion: Any) -> Any:
    return getattr(getattr(portion, "topic_partition", None), "topic", None)
