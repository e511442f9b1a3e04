"""The observer of AMQP connections: it matches responses to requests, for every client that shows its methods.

A connection is shared by its channels. So a call's bytes are the sizes of its own frames, recorded as an estimate;
only those of ``connect`` are counted by the kernel.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector.exposure.observation import received_value_facts
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.amqp.requests import (
    AmqpRequest,
    affected_rows,
    is_call,
    response_method,
    to_publication,
    to_request,
)
from backwatch.collector.probes.families.amqp.session import close_reason, error_facts, login_facts, server_facts
from backwatch.collector.probes.families.amqp.state import (
    MAX_PENDING_REQUESTS,
    AmqpChannelState,
    AmqpConnectionState,
    InFlightAmqpCall,
    InFlightPublication,
)
from backwatch.collector.probes.toolkit.redelivery import RedeliveryTracker
from backwatch.collector.redaction import amqp as redact
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER, Facts

NOTICES: Final = frozenset((
    "Connection.Blocked", "Connection.Unblocked", "Basic.Cancel", "Basic.Nack", "Channel.Flow",
))  # fmt: skip
"""Methods that a broker sends without a request."""
Error = BaseException | str | None


class AmqpObserver:
    """The AMQP part of a driver's call observer.

    Drivers call it from guarded hooks, before they act on the method themselves: what they do next may run code of
    the app.

    Args:
        read_connection: Returns the state of a connection that is older than the probe.
    """

    def __init__(self, recorder: Recorder, read_connection: Callable[[Any], AmqpConnectionState]) -> None:
        self.recorder = recorder
        self.active = True
        self.redeliveries = RedeliveryTracker()
        self.connections: WeakKeyDictionary[Any, AmqpConnectionState] = WeakKeyDictionary()
        self._read_connection = read_connection

    def connection_of(self, connection: Any) -> AmqpConnectionState:
        """Return the state of a connection; read it now if the connection is older than the probe."""
        state = self.connections.get(connection)
        if state is None:
            state = self.connections[connection] = self._read_connection(connection)
            state.is_open = state.is_reported = True
        return state

    # --- connects ---

    def on_login(self, connection: AmqpConnectionState, mechanism: object, response: object) -> None:
        """Handle the client's login."""
        with_account = not connection.session.account
        connection.update_session(login_facts(mechanism, response, with_account=with_account))

    def on_open(self, connection: AmqpConnectionState) -> None:
        """Record a connect."""
        connection.is_open = connection.is_reported = True
        self.recorder.record_call(connection.session, "connect", start_ns=connection.start_ns, wire=connection.wire)

    def on_connect_failed(self, connection: AmqpConnectionState, error: BaseException | str) -> None:
        """Record a failed connect, unless it has been recorded."""
        if not connection.is_reported:
            connection.is_reported = True
            self.recorder.record_call(
                connection.session, "connect", start_ns=connection.start_ns, wire=connection.wire, error=error,
                facts=connection.facts("", error_facts(error)),
            )  # fmt: skip

    # --- requests and responses ---

    def on_method_sent(
        self, connection: AmqpConnectionState, channel: int, method: str, fields: Any, *, start_ns: int,
        sent_bytes: int, has_response: bool,
    ) -> None:  # fmt: skip
        """Handle a method that was sent; queue a request until its response comes."""
        if method == "Connection.StartOk":
            self.on_login(connection, getattr(fields, "mechanism", ""), getattr(fields, "response", None))
        elif is_call(method):
            request = to_request(method, fields, start_ns, sent_bytes)
            if not has_response:
                self.record(connection, request)
                return
            pending = connection.channel(channel).pending.setdefault(response_method(method), deque())
            if len(pending) < MAX_PENDING_REQUESTS:
                pending.append(request)

    def on_method_received(self, connection: AmqpConnectionState, channel: int, method: str, fields: Any) -> None:
        """Handle a method that was received; :meth:`on_delivery` and its like handle content."""
        if method == "Connection.Start":
            connection.update_session(server_facts(getattr(fields, "server_properties", None)))
        elif method == "Connection.OpenOk":
            self.on_open(connection)
        elif method in ("Channel.Close", "Connection.Close"):
            self.on_close(connection, channel, fields, is_connection=method == "Connection.Close")
        elif method in NOTICES:
            connection.notices += 1
        elif method == "Basic.GetEmpty":
            self._record_get(connection, channel, 0, ())
        elif method.endswith("Ok") and method != "Basic.GetOk":
            self._on_response(connection, connection.channel(channel), method, fields)

    def _on_response(
        self, connection: AmqpConnectionState, channel: AmqpChannelState, method: str, fields: Any
    ) -> None:
        pending = channel.pending.get(method)
        if not pending:
            channel.received_bytes = 0
            return
        request = pending.popleft()
        if method == "Basic.ConsumeOk":
            channel.add_consumer(request, getattr(fields, "consumer_tag", None))
        affected = affected_rows(request, getattr(fields, "message_count", None))
        self.record(connection, request, channel, affected=affected)

    def on_close(self, connection: AmqpConnectionState, channel: int, fields: Any, *, is_connection: bool) -> None:
        """Handle the close of a channel or connection, mostly due to a request that the broker refuses."""
        code = getattr(fields, "reply_code", 0)
        if not connection.is_open or code in (0, 200):
            return
        error, facts = close_reason(code, getattr(fields, "reply_text", ""))
        recorded = False
        for closed in list(connection.channels.values()) if is_connection else [connection.channel(channel)]:
            for pending in closed.pending.values():
                for request in pending:
                    self.record(connection, request, closed, error=error, facts=facts)
                    recorded = True
            closed.pending.clear()
            closed.consumers.clear()
        if not recorded:  # a message that could not be published, an acknowledgement of nothing
            operation = "CONNECTION.CLOSE" if is_connection else "CHANNEL.CLOSE"
            event = AmqpRequest(operation, operation, "", time.time_ns(), 0)
            self.record(connection, event, error=error, facts=facts)

    # --- calls that a hook surrounds ---

    def begin_call(self, connection: Any, channel: int, *, outermost: bool) -> InFlightAmqpCall | None:
        """Begin a call on a channel.

        Args:
            outermost: Return ``None`` if a hook further out records the call.
        """
        if not self.active:
            return None
        state = self.connection_of(connection)
        channel_state = state.channel(channel)
        if outermost and channel_state.active_calls:
            return None
        channel_state.active_calls += 1
        return InFlightAmqpCall(state, channel_state, time.time_ns())

    def end_call(self, call: InFlightAmqpCall) -> None:
        """End a call: methods on its channel are recorded by themselves again."""
        call.channel.active_calls = max(call.channel.active_calls - 1, 0)

    def end_publish(
        self, publication: InFlightPublication, sent_bytes: int, error: BaseException | None, facts: Facts = (),
        statement: str = "",
    ) -> None:  # fmt: skip
        """Record a published message.

        Args:
            statement: In place of the usual one.
        """
        call, fields = publication.call, publication.fields
        self.end_call(call)
        exchange, routing_key = fields.get("exchange", ""), fields.get("routing_key", "")
        request = to_publication(exchange, routing_key, call.start_ns, sent_bytes)
        request = request._replace(statement=statement) if statement else request
        self.record(call.connection, request, error=error, facts=facts, kind=PRODUCER)

    def record(
        self, connection: AmqpConnectionState, request: AmqpRequest, channel: AmqpChannelState | None = None, *,
        error: Error = None, affected: int = -1, rows: int = -1, facts: Facts = (), kind: int = CLIENT,
        estimated: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Record a call that has ended. Its bytes are those of its own frames, or ``estimated``."""
        received_bytes = 0
        if channel is not None:
            received_bytes, channel.received_bytes = channel.received_bytes, 0
        self.recorder.record_call(
            connection.session, request.operation, statement=request.statement, start_ns=request.start_ns,
            estimated=(request.sent_bytes, received_bytes) if estimated is None else estimated, rows_returned=rows,
            rows_affected=affected, error=error, facts=connection.facts(request.destination, facts), kind=kind,
        )  # fmt: skip

    # --- messages ---

    def on_delivery(
        self, connection: AmqpConnectionState, channel: int, fields: Any, body: object, properties: Any
    ) -> None:
        """Record a message that was delivered to a consumer."""
        state = connection.channel(channel)
        queue = state.queue_of(getattr(fields, "consumer_tag", None))
        request = AmqpRequest("DELIVER", f"DELIVER {queue or '?'}", queue, time.time_ns(), 0)
        facts = self.message_facts(fields, queue, body, properties)
        self.record(connection, request, state, rows=1, facts=facts, kind=CONSUMER)

    def on_get_ok(
        self, connection: AmqpConnectionState, channel: int, fields: Any, body: object, properties: Any
    ) -> None:
        """Record a message that was requested."""
        pending = connection.channel(channel).pending.get("Basic.GetOk")
        queue = pending[0].destination if pending else ""
        self._record_get(connection, channel, 1, self.message_facts(fields, queue, body, properties))

    def message_facts(self, fields: Any, queue: str, body: object, properties: Any) -> Facts:
        """Return the format of a message, and how often it was delivered before."""
        facts = detect_formats(body) + received_value_facts(queue, body)
        if getattr(fields, "redelivered", False):
            headers = getattr(properties, "headers", None)
            return (*facts, *self.redeliveries.facts(queue, body, headers))
        return facts

    def _record_get(self, connection: AmqpConnectionState, channel: int, rows: int, facts: Facts) -> None:
        state = connection.channel(channel)
        pending = state.pending.get("Basic.GetOk")
        if pending:
            self.record(connection, pending.popleft(), state, rows=rows, facts=facts, kind=CONSUMER)

    def on_return(self, connection: AmqpConnectionState, channel: int, fields: Any) -> None:
        """Record a message that could not be routed and came back."""
        connection.notices += 1
        error, facts = close_reason(getattr(fields, "reply_code", 0), getattr(fields, "reply_text", ""))
        exchange, routing_key = getattr(fields, "exchange", ""), getattr(fields, "routing_key", "")
        destination = redact.redact_name(exchange) or redact.redact_name(routing_key)
        statement = f"RETURN {redact.redact_route(exchange, routing_key)}"
        request = AmqpRequest("RETURN", statement, destination, time.time_ns(), 0)
        self.record(connection, request, connection.channel(channel), error=error, facts=facts)
