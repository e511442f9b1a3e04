"""The call observer of confluent-kafka: messages, consumer and producer operations, administration, client errors."""

from collections.abc import Mapping
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.formats import MAX_MEMBERS
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.confluent_kafka.calls import AdminRequest, ConfluentDelivery
from backwatch.collector.probes.confluent_kafka.session import error_name, status_facts
from backwatch.collector.probes.confluent_kafka.state import ConfluentClientState
from backwatch.collector.probes.families.kafka.calls import InFlightOperation, PendingCall, describe_operation
from backwatch.collector.probes.families.kafka.polls import MAX_TOPICS, record_poll
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.messages import (
    NEVER,
    PendingMessages,
    flush_due,
    is_stream_topic,
    operation_text,
    size_of,
    size_of_headers,
)
from backwatch.collector.probes.toolkit.observers import RecordingObserver
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER, PRODUCER, Facts

STATE_ATTRIBUTE: Final = "_backwatch_confluent"
"""Attribute of an administrator that holds its state."""
_PARTITION_EOF: Final = -191
_CONNECTION_ERRORS: Final = frozenset((-195, -193, -187, -185, -181, -169))
"""Transport, resolving, all brokers down, timed out, TLS, authentication."""
Error = BaseException | str | None


class ConfluentCallObserver(RecordingObserver):
    """The call observer of confluent-kafka's clients.

    Attributes:
        clients: States of producers and consumers by ``id``, as the objects have no room for them. Each state goes
            with its object.
    """

    def __init__(self, recorder: Recorder, *, checks_names: bool) -> None:
        super().__init__(recorder)
        self.checks_names = checks_names
        self.clients: dict[int, ConfluentClientState] = {}

    def client_of(self, owner: Any) -> ConfluentClientState | None:
        """Return the state of a driver's object; ``None`` if its calls are not recorded."""
        client = self.clients.get(id(owner)) or getattr(owner, STATE_ATTRIBUTE, None)
        return None if client is None or client.is_internal or self.recorder is None else client

    @never_breaks_the_host
    def on_configure(self, owner: Any, config: Mapping[Any, Any]) -> None:
        """Handle the configuration of a producer or consumer."""
        if self.recorder is not None:
            self.clients[id(owner)] = ConfluentClientState(config, checks_names=self.checks_names)

    @never_breaks_the_host
    def on_configure_admin(self, owner: Any, args: Any, kwargs: Any) -> None:
        """Handle the configuration of an administrator."""
        if self.recorder is not None:
            given = args[0] if args else kwargs.get("conf")
            config = given if isinstance(given, dict) else kwargs
            owner.__dict__[STATE_ATTRIBUTE] = ConfluentClientState(config, checks_names=self.checks_names)

    @never_breaks_the_host
    def on_client_error(self, client_id: int, error: Any) -> None:
        """Record a connection error that librdkafka passes to the app's listener."""
        client = self.clients.get(client_id)
        if client is not None and not client.is_internal and error.code() in _CONNECTION_ERRORS:
            self._record(client, "connect", time_ns(), error=error_name(error), facts=status_facts(error))

    def _record(self, client: ConfluentClientState, operation: str, start_ns: int, **more: Any) -> None:
        if self.recorder is not None:
            self.recorder.record_call(client.session, operation, start_ns=start_ns, **more)

    def _record_call(self, call: PendingCall, client: ConfluentClientState, error: Error, facts: Facts) -> None:
        if self.recorder is not None:
            call.record(self.recorder, client.session, error, facts)

    # --- messages sent ---

    @never_breaks_the_host
    def on_produce(self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ConfluentDelivery | None:
        """Handle a message that is about to be queued."""
        client, recorder = self.client_of(owner), self.recorder
        topic = argument(args, kwargs, 0, "topic")
        if client is None or recorder is None or is_stream_topic(topic):
            return None
        size = size_of(argument(args, kwargs, 1, "value")) + size_of(argument(args, kwargs, 2, "key"))
        size += size_of_headers(argument(args, kwargs, 7, "headers"))
        app_callback = argument(args, kwargs, 4, "callback") or argument(args, kwargs, 5, "on_delivery")
        delivery = ConfluentDelivery(self.on_delivery, client, app_callback or client.default_delivery, topic, size)
        if not client.reports_only_errors:
            delivery.caller = recorder.capture_caller()
        return delivery

    @never_breaks_the_host
    def on_produce_end(self, delivery: ConfluentDelivery, error: Error) -> None:
        """Record a message that was refused, or that was queued and gets no delivery report."""
        if error is not None or delivery.client.reports_only_errors:
            self._record_call(delivery, delivery.client, error, status_facts(error))

    @never_breaks_the_host
    def on_delivery(self, delivery: ConfluentDelivery, error: Any) -> None:
        """Record a message that was acknowledged or given up."""
        client = delivery.client
        if client.reports_only_errors:
            return  # recorded when it was queued
        if error is None:
            client.established_session()
            self._record_call(delivery, client, None, ())
        else:
            self._record_call(delivery, client, error_name(error), status_facts(error))

    @never_breaks_the_host
    def on_produce_batch(self, owner: Any, args: Any, kwargs: Any) -> tuple[int, Any, Any] | None:
        """Handle many messages that are about to be queued."""
        if self.client_of(owner) is None:
            return None
        return time_ns(), argument(args, kwargs, 0, "topic"), argument(args, kwargs, 1, "messages")

    @never_breaks_the_host
    def on_produce_batch_end(self, owner: Any, token: tuple[int, Any, Any], count: Any, error: Error) -> None:
        """Record many messages that were queued at once."""
        client, (start_ns, topic, messages) = self.client_of(owner), token
        if client is None or is_stream_topic(topic):
            return
        statement, facts = operation_text("send", topic)
        batch = PendingCall("send", statement, start_ns, facts, PRODUCER)
        size = 0
        for message in messages if isinstance(messages, list) else ():
            size += size_of(message.get("value")) + size_of(message.get("key"))
            size += size_of_headers(message.get("headers"))
        batch.estimated, batch.rows = (size, -1), count if isinstance(count, int) else -1
        self._record_call(batch, client, error, status_facts(error))

    # --- messages received ---

    @never_breaks_the_host
    def on_poll(self, owner: Any, _args: Any, _kwargs: Any) -> int | None:
        """Return the start of a poll; ``None`` if it is not recorded."""
        return time_ns() if self.client_of(owner) is not None else None

    @never_breaks_the_host
    def on_poll_end(self, owner: Any, start_ns: int, message: Any, error: Error) -> None:
        """Keep a message to be recorded with others, or record the error in its place."""
        client = self.client_of(owner)
        if client is None:
            return
        if message is None and error is None:
            self._record_due(client)
            return
        message_error = message.error() if message is not None else None
        if message is None or message_error is not None:
            self._record_failed_poll(client, start_ns, error, message_error)
            return
        topic = message.topic()
        if is_stream_topic(topic):
            return
        client.established_session()
        pending = client.pending.get(topic)
        if pending is None:
            if len(client.pending) >= MAX_TOPICS:
                self.flush(owner)
            pending = client.pending[topic] = self._new_pending(client, topic)
        value = message.value()
        pending.add(_message_size(message, value), value, start_ns)
        if pending.count:
            client.due = min(client.due, pending.due_at)
        else:
            self._record_due(client)  # other topics may be silent

    def _record_due(self, client: ConfluentClientState) -> None:
        """Record the messages of topics that have been silent for a while."""
        if client.due != NEVER:
            client.due = flush_due(client.pending.values(), client.due)

    def _record_failed_poll(
        self, client: ConfluentClientState, start_ns: int, error: Error, message_error: Any
    ) -> None:
        facts = status_facts(error if error is not None else message_error)
        if (names.STATUS_CODE, str(_PARTITION_EOF)) not in facts:
            error = error if error is not None else error_name(message_error)
            self._record(client, "poll", start_ns, statement="poll", error=error, facts=facts, kind=CONSUMER)

    def _new_pending(self, client: ConfluentClientState, topic: str) -> PendingMessages:
        @never_breaks_the_host
        def record(gathered: PendingMessages, error: BaseException | None) -> None:
            if self.recorder is not None:
                record_poll(
                    self.recorder, client.session, gathered.name, gathered.start_ns, values=gathered.samples,
                    rows=gathered.count, size=gathered.bytes, error=error,
                )  # fmt: skip

        return PendingMessages(topic, record)

    @never_breaks_the_host
    def on_consume_end(self, owner: Any, start_ns: int, messages: Any, error: Error) -> None:
        """Record many messages that were received at once, one record per topic."""
        client, recorder = self.client_of(owner), self.recorder
        if client is None or recorder is None:
            return
        if error is not None:
            self._record_failed_poll(client, start_ns, error, None)
        elif not messages:
            self._record_due(client)
        by_topic: dict[str, list[Any]] = {}
        for message in messages or ():
            if message.error() is None:
                by_topic.setdefault(message.topic(), []).append(message)
            else:
                self._record_failed_poll(client, start_ns, None, message.error())
        for topic, found in by_topic.items():
            if not is_stream_topic(topic):
                values = [message.value() for message in found]
                record_poll(
                    recorder, client.established_session(), topic, start_ns, values=values[:MAX_MEMBERS],
                    rows=len(found), size=sum(map(_message_size, found, values)),
                )  # fmt: skip

    @never_breaks_the_host
    def flush(self, owner: Any) -> None:
        """Record the messages of a consumer that wait."""
        client = self.clients.get(id(owner))
        if client is not None:
            pending, client.pending = client.pending, {}
            for gathered in pending.values():
                gathered.flush()

    def on_close(self, owner: Any, _args: Any, _kwargs: Any) -> None:
        """Record the messages that wait, before a consumer is closed."""
        self.flush(owner)

    # --- everything else ---

    @never_breaks_the_host
    def on_operation(self, operation: str, owner: Any, args: Any, kwargs: Any) -> InFlightOperation | None:
        """Handle the start of an operation; its first argument may name topics."""
        if self.client_of(owner) is None:
            return None
        return InFlightOperation(operation, args[0] if args else next(iter(kwargs.values()), None), time_ns())

    @never_breaks_the_host
    def on_operation_end(self, owner: Any, operation: InFlightOperation, result: Any, error: Error) -> None:
        """Record an operation that waits for its response."""
        client, statement = self.client_of(owner), describe_operation(operation.operation, operation.argument)
        if client is None or statement is None:
            return
        facts = status_facts(error) if error is not None else client.node_facts(result)
        if error is None and operation.operation != "commit":  # a commit may still be on its way
            client.established_session()
        start_ns = operation.start_ns
        self._record(client, operation.operation, start_ns, statement=statement, error=error, facts=facts)

    @never_breaks_the_host
    def on_admin_end(self, owner: Any, operation: InFlightOperation, result: Any, error: Error) -> None:
        """Record an administrator's call when all of its futures are done; now, if it has none."""
        client, recorder = self.client_of(owner), self.recorder
        futures = list(result.values()) if isinstance(result, dict) else [result]
        if error is not None or not futures or not all(hasattr(future, "add_done_callback") for future in futures):
            self.on_operation_end(owner, operation, result, error)
            return
        statement = describe_operation(operation.operation, operation.argument)
        if client is None or recorder is None or statement is None:
            return
        request = AdminRequest(
            self.on_admin_response, client, operation.operation, statement, operation.start_ns, len(futures)
        )  # fmt: skip
        request.caller = recorder.capture_caller()
        for future in futures:
            future.add_done_callback(request)

    @never_breaks_the_host
    def on_admin_response(self, request: AdminRequest, future: Any) -> None:
        """Handle one response to an administrator's call; record the call after the last."""
        request.missing -= 1
        error = None if future.cancelled() else future.exception()
        request.error = request.error or error
        if error is None:
            request.client.established_session()
        if request.missing == 0:
            self._record_call(request, request.client, request.error, status_facts(request.error))


def _message_size(message: Any, value: Any) -> int:
    """Return the bytes of value, key and headers."""
    return size_of(value) + size_of(message.key()) + size_of_headers(message.headers())
