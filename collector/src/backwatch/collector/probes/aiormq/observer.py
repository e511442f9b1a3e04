"""The call observer of aiormq: connects, requests, messages published, fetched and delivered."""

import time
from contextvars import ContextVar
from typing import Any

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.aiormq.session import read_connection
from backwatch.collector.probes.families.amqp.observer import NOTICES, AmqpObserver
from backwatch.collector.probes.families.amqp.requests import (
    FRAME_OVERHEAD_BYTES,
    AmqpFields,
    AmqpRequest,
    affected_rows,
    estimate_message_bytes,
    is_call,
    to_request,
)
from backwatch.collector.probes.families.amqp.session import close_reason, error_facts
from backwatch.collector.probes.families.amqp.state import AmqpChannelState, InFlightAmqpCall, InFlightPublication
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER, Facts
from backwatch.collector.session.socket_counters import UNKNOWN


class AiormqConnectAttempt:
    """A connect in progress, completed by the methods that are sent meanwhile."""

    __slots__ = ("mechanism", "start_ns", "writer")

    def __init__(self) -> None:
        self.start_ns = time.time_ns()
        self.writer: Any = None
        self.mechanism = ""


current_attempt: ContextVar[AiormqConnectAttempt | None] = ContextVar("backwatch_aiormq_attempt", default=None)


class AiormqCallObserver:
    """The call observer of aiormq's connections and channels."""

    def __init__(self, recorder: Recorder) -> None:
        self.amqp = AmqpObserver(recorder, read_connection)

    def disable(self) -> None:
        """Stop recording: the probe is removed."""
        self.amqp.active = False

    # --- connects ---

    @never_breaks_the_host
    def on_connect(self, _connection: Any, _args: Any, _kwargs: Any) -> AiormqConnectAttempt | None:
        """Handle the start of a connect."""
        return AiormqConnectAttempt() if self.amqp.active else None

    @never_breaks_the_host
    def on_connection_method(self, _owner: None, args: Any, kwargs: Any) -> None:
        """Handle a method that a connect sends, and the stream that it is written to."""
        attempt, method = current_attempt.get(), kwargs.get("request", args[0] if args else None)
        if attempt is not None:
            attempt.writer = kwargs.get("writer", args[1] if len(args) > 1 else None)
            if getattr(method, "name", "") == "Connection.StartOk":
                attempt.mechanism = words(getattr(method, "mechanism", ""), 30)

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, attempt: AiormqConnectAttempt, _result: Any, error: Error) -> None:
        """Record a connect."""
        state = read_connection(connection, attempt.writer, attempt.start_ns, is_open=error is None)
        self.amqp.connections[connection] = state
        if attempt.mechanism:
            self.amqp.on_login(state, attempt.mechanism, None)
        if error is None:
            self.amqp.on_open(state)
        else:
            self.amqp.on_connect_failed(state, error)

    @never_breaks_the_host
    def on_notice(self, connection: Any, _args: Any, _kwargs: Any) -> None:
        """Handle the broker's notice that it blocks or unblocks its publishers."""
        if self.amqp.active:
            self.amqp.connection_of(connection).notices += 1

    # --- calls ---

    def _begin_call(self, channel: Any) -> InFlightAmqpCall | None:
        return self.amqp.begin_call(channel.connection, channel.number, outermost=False)

    @never_breaks_the_host
    def on_request(self, channel: Any, args: Any, kwargs: Any) -> tuple[InFlightAmqpCall, AmqpRequest] | None:
        """Handle a request that is about to be sent; ``None`` if it is not a call, or ``basic_get`` records it."""
        frame = kwargs.get("frame", args[0] if args else None)
        method = getattr(frame, "name", "")
        if not is_call(method) or method == "Basic.Get":
            return None
        call = self._begin_call(channel)
        if call is None:
            return None
        request = to_request(method, frame, call.start_ns, -1)
        if request.tag:
            call.channel.add_consumer(request)  # now: the first message may be read before the response is
        return call, request

    @never_breaks_the_host
    def on_request_end(
        self, _channel: Any, token: tuple[InFlightAmqpCall, AmqpRequest], response: Any, error: Error
    ) -> None:
        """Record a request."""
        call, request = token
        self.amqp.end_call(call)
        if request.operation == "CONSUME" and error is None:
            call.channel.add_consumer(request, getattr(response, "consumer_tag", None))
        affected = affected_rows(request, getattr(response, "message_count", None))
        facts = _failure_facts(call.channel, error)
        self.amqp.record(call.connection, request, error=error, affected=affected, facts=facts, estimated=UNKNOWN)

    @never_breaks_the_host
    def on_publish(self, channel: Any, args: Any, kwargs: Any) -> InFlightPublication | None:
        """Handle a message that is about to be published."""
        call = self._begin_call(channel)
        return InFlightPublication(call, kwargs, kwargs.get("body", args[0] if args else None)) if call else None

    @never_breaks_the_host
    def on_publish_end(self, _channel: Any, publication: InFlightPublication, _result: Any, error: Error) -> None:
        """Record a published message, confirmed if the channel requests that."""
        body, fields = publication.message, publication.fields
        size = len(body) if isinstance(body, (bytes, bytearray)) else 0
        route = (words(fields.get(name, ""), 255) for name in ("exchange", "routing_key"))
        sent_bytes = size + 3 * FRAME_OVERHEAD_BYTES + 22 + sum(map(len, route))
        self.amqp.end_publish(publication, sent_bytes, error, _failure_facts(publication.call.channel, error))

    @never_breaks_the_host
    def on_get(self, channel: Any, args: Any, kwargs: Any) -> tuple[InFlightAmqpCall, object] | None:
        """Handle a message that is about to be requested."""
        call = self._begin_call(channel)
        return (call, kwargs.get("queue", args[0] if args else "")) if call else None

    @never_breaks_the_host
    def on_get_end(self, _channel: Any, token: tuple[InFlightAmqpCall, object], message: Any, error: Error) -> None:
        """Record a requested message, or that there was none."""
        call, queue = token
        self.amqp.end_call(call)
        request = to_request("Basic.Get", AmqpFields(queue=queue), call.start_ns, -1)
        found = error is None and getattr(getattr(message, "delivery", None), "name", "") == "Basic.GetOk"
        if found:
            facts = self.amqp.message_facts(message.delivery, request.destination, message.body, _properties(message))
            estimated = (2 * FRAME_OVERHEAD_BYTES, estimate_message_bytes(message.body))
        else:
            facts, estimated = _failure_facts(call.channel, error), UNKNOWN
        self.amqp.record(
            call.connection, request, error=error, rows=int(found) if error is None else -1, facts=facts,
            kind=CONSUMER, estimated=estimated,
        )  # fmt: skip

    # --- what a channel reads ---

    @never_breaks_the_host
    def on_content_end(self, channel: Any, token: Any, message: Any, error: Error) -> None:
        """Handle a message that was read without a request."""
        if not self.amqp.active or error is not None:
            return
        state, method = self.amqp.connection_of(channel.connection), token[1][0]
        name = getattr(method, "name", "")
        state.channel(channel.number).received_bytes = estimate_message_bytes(message.body)
        if name == "Basic.Deliver":
            self.amqp.on_delivery(state, channel.number, method, message.body, _properties(message))
        elif name == "Basic.Return":
            self.amqp.on_return(state, channel.number, method)

    @never_breaks_the_host
    def on_frame_end(self, channel: Any, _token: Any, frame: Any, error: Error) -> None:
        """Handle a frame that a channel has read."""
        name = getattr(frame, "name", "")
        if not self.amqp.active or error is not None or (name not in NOTICES and name != "Channel.Close"):
            return
        state = self.amqp.connection_of(channel.connection)
        channel_state = state.channel(channel.number)
        if name == "Channel.Close":
            channel_state.close_reason = (getattr(frame, "reply_code", 0), getattr(frame, "reply_text", ""))
            if not channel_state.active_calls:
                self.amqp.on_close(state, channel.number, frame, is_connection=False)
        else:
            state.notices += 1


def _properties(message: Any) -> Any:
    return getattr(getattr(message, "header", None), "properties", None)


def _failure_facts(channel: AmqpChannelState, error: Error) -> Facts:
    if error is None or channel.close_reason is None:
        return error_facts(error)
    return close_reason(*channel.close_reason)[1]
