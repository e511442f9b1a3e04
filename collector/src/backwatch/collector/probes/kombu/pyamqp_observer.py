"""The call observer of py-amqp, kombu's transport to RabbitMQ."""

import time
from typing import Any, Final, NamedTuple

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.amqp.observer import AmqpObserver
from backwatch.collector.probes.families.amqp.requests import (
    AmqpFields,
    AmqpRequest,
    affected_rows,
    estimate_message_bytes,
    to_request,
)
from backwatch.collector.probes.families.amqp.session import close_reason, error_facts
from backwatch.collector.probes.families.amqp.state import AmqpConnectionState, InFlightAmqpCall, InFlightPublication
from backwatch.collector.probes.kombu.messages import describe_publish
from backwatch.collector.probes.kombu.session import account_of, new_connection, read_connection, read_transport
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.sockets import root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import UNKNOWN

_START_OK: Final = (10, 11)
CALLS: Final[dict[str, tuple[str, ...]]] = {
    "queue_declare": ("queue",),
    "queue_bind": ("queue", "exchange", "routing_key"),
    "queue_unbind": ("queue", "exchange", "routing_key"),
    "queue_purge": ("queue",),
    "queue_delete": ("queue",),
    "exchange_declare": ("exchange", "type"),
    "exchange_delete": ("exchange",),
    "exchange_bind": ("destination", "source", "routing_key"),
    "exchange_unbind": ("destination", "source", "routing_key"),
    "basic_consume": ("queue", "consumer_tag"),
    "basic_get": ("queue",),
    "tx_commit": (),
    "tx_rollback": (),
}
"""Methods of py-amqp's channel that are calls, and their first arguments."""


class _InFlightChannelMethod(NamedTuple):
    call: InFlightAmqpCall
    name: str
    fields: dict[str, Any]


class PyamqpCallObserver:
    """The call observer of py-amqp's connections and channels."""

    def __init__(self, recorder: Recorder) -> None:
        self.amqp = AmqpObserver(recorder, read_connection)

    def _connection_of(self, connection: Any) -> AmqpConnectionState | None:
        if not self.amqp.active or connection is None:
            return None
        return self.amqp.connection_of(connection)

    # --- connects ---

    @never_breaks_the_host
    def on_connect(self, connection: Any, _args: Any, _kwargs: Any) -> AmqpConnectionState | None:
        """Handle the start of a connect; return ``None`` if the connection is open already."""
        if not self.amqp.active or getattr(connection, "connected", False):
            return None
        state = self.amqp.connections[connection] = new_connection(connection)
        return state

    @never_breaks_the_host
    def on_connection_method(self, connection: Any, args: Any, kwargs: Any) -> None:
        """Handle a method that the connection itself sends. At the login, its TLS is established."""
        arguments = argument(args, kwargs, 2, "args")
        if not self.amqp.active or argument(args, kwargs, 0, "sig") != _START_OK:
            return
        state = self.amqp.connections.get(connection)
        if state is not None and isinstance(arguments, (tuple, list)) and len(arguments) > 1:
            read_transport(state, connection)
            state.update_session({"account": account_of(connection, arguments[1])})
            self.amqp.on_login(state, arguments[1], None)

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, state: AmqpConnectionState, _result: Any, error: Error) -> None:
        """Record a connect."""
        if error is None:
            read_transport(state, connection)
            self.amqp.on_open(state)
        else:
            state.wire = None  # py-amqp has closed it by now
            self.amqp.on_connect_failed(state, root_error(error))

    # --- calls ---

    def _begin_call(self, channel: Any) -> InFlightAmqpCall | None:
        connection = getattr(channel, "connection", None)
        if connection is None:
            return None
        return self.amqp.begin_call(connection, channel.channel_id, outermost=True)

    @never_breaks_the_host
    def on_request(self, name: str, channel: Any, args: Any, kwargs: Any) -> _InFlightChannelMethod | None:
        """Handle a method that is about to be called; return ``None`` if it is part of another call.

        Args:
            name: The method, one of ``CALLS``.
        """
        call = self._begin_call(channel)
        fields = dict(zip(CALLS[name], args, strict=False)) | kwargs
        return _InFlightChannelMethod(call, name, fields) if call is not None else None

    @never_breaks_the_host
    def on_request_end(self, _channel: Any, method: _InFlightChannelMethod, response: Any, error: Error) -> None:
        """Record a call."""
        call, name, fields = method
        self.amqp.end_call(call)
        amqp_method = ".".join(part.title() for part in name.split("_"))
        request = to_request(amqp_method, AmqpFields(**fields), call.start_ns, -1)
        rows = int(response is not None) if name == "basic_get" and error is None else -1
        affected = affected_rows(request, response)
        if name == "basic_consume" and error is None:
            call.channel.add_consumer(request, response)
        self.amqp.record(
            call.connection, request, error=error, affected=affected, rows=rows, facts=error_facts(error),
            estimated=UNKNOWN,
        )  # fmt: skip

    @never_breaks_the_host
    def on_publish(self, channel: Any, args: Any, kwargs: Any) -> InFlightPublication | None:
        """Handle a message that is about to be published."""
        call = self._begin_call(channel)
        if call is None:
            return None
        fields = dict(zip(("msg", "exchange", "routing_key"), args, strict=False)) | kwargs
        return InFlightPublication(call, fields, fields.get("msg"))

    @never_breaks_the_host
    def on_publish_end(self, _channel: Any, publication: InFlightPublication, _result: Any, error: Error) -> None:
        """Record a published message."""
        message = publication.message
        properties = getattr(message, "properties", None)
        headers = properties.get("application_headers") if isinstance(properties, dict) else None
        sent_bytes = estimate_message_bytes(getattr(message, "body", None), headers)
        statement = describe_publish(publication.fields, headers)
        self.amqp.end_publish(publication, sent_bytes, error, error_facts(error), statement)

    # --- what the broker sends without a request ---

    @never_breaks_the_host
    def on_close(self, channel: Any, args: Any, _kwargs: Any) -> None:
        """Record that the broker closes a channel, unless a call in progress does."""
        connection, (code, text) = self._connection_of(getattr(channel, "connection", None)), args[:2]
        if connection is None or code in (0, 200) or connection.channel(channel.channel_id).active_calls:
            return
        error, facts = close_reason(code, text)
        request = AmqpRequest("CHANNEL.CLOSE", "CHANNEL.CLOSE", "", time.time_ns(), 0)
        self.amqp.record(connection, request, error=error, facts=facts)

    @never_breaks_the_host
    def on_return(self, channel: Any, args: Any, _kwargs: Any) -> None:
        """Record a message that could not be routed and came back."""
        connection = self._connection_of(getattr(channel, "connection", None))
        if connection is not None:
            fields = dict(zip(("reply_code", "reply_text", "exchange", "routing_key"), args, strict=False))
            self.amqp.on_return(connection, channel.channel_id, AmqpFields(**fields))

    @never_breaks_the_host
    def on_notice(self, connection: Any, _args: Any, _kwargs: Any) -> None:
        """Count a notice of the broker about a connection."""
        state = self._connection_of(connection)
        if state is not None:
            state.notices += 1

    @never_breaks_the_host
    def on_channel_notice(self, channel: Any, _args: Any, _kwargs: Any) -> None:
        """Count a notice of the broker about a channel."""
        state = self._connection_of(getattr(channel, "connection", None))
        if state is not None:
            state.notices += 1
