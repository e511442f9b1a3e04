"""The call observer of pika: connects, methods, frames, and messages published and delivered."""

import threading
import time
from typing import Any, NamedTuple

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.amqp.observer import AmqpObserver
from backwatch.collector.probes.families.amqp.requests import is_call
from backwatch.collector.probes.families.amqp.state import AmqpConnectionState, InFlightPublication
from backwatch.collector.probes.pika.session import last_error, read_connection, requested_facts
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.runtime.guard import never_breaks_the_host


class _ConnectingThread(threading.local):
    """A thread's connect in progress."""

    start_ns = 0
    failing: AmqpConnectionState | None = None
    """The connection that ended before it was open."""


class _InFlightMethod(NamedTuple):
    channel: int
    method: Any
    start_ns: int
    sent_bytes: int
    """Bytes sent on the connection before."""


class PikaCallObserver:
    """The call observer of pika's connections and channels."""

    def __init__(self, recorder: Recorder) -> None:
        self.amqp = AmqpObserver(recorder, read_connection)
        self._thread = _ConnectingThread()

    def disable(self) -> None:
        """Stop recording: the probe is removed."""
        self.amqp.active = False

    # --- connects ---

    @never_breaks_the_host
    def on_connect(self) -> None:
        """Handle the start of a connect."""
        self._thread.start_ns = time.time_ns()

    @never_breaks_the_host
    def on_stream_open(self, connection: Any, _args: Any, _kwargs: Any) -> None:
        """Handle a connection whose TCP and TLS are established; AMQP begins."""
        if self.amqp.active:
            start_ns, self._thread.start_ns = self._thread.start_ns, 0
            self.amqp.connections[connection] = read_connection(connection, start_ns)

    @never_breaks_the_host
    def on_stream_close(self, connection: Any, args: Any, _kwargs: Any) -> tuple[Any, ...]:
        """Keep the facts of a connection that ends before it was open, for the hook that reports the reason."""
        state = self.amqp.connections.get(connection)
        if state is not None and not state.is_reported:
            self._thread.failing = state
        return args

    @never_breaks_the_host
    def on_stream_close_end(self, connection: Any, args: tuple[Any, ...], _result: Any, _error: Any) -> None:
        """Record a failed connect that no other hook has recorded."""
        self._thread.failing = None
        error = args[-1] if args else None
        state = self.amqp.connections.pop(connection, None)
        if state is not None and self.amqp.active and not state.is_open and isinstance(error, (BaseException, str)):
            self.amqp.on_connect_failed(state, error)

    @never_breaks_the_host
    def on_connect_failed(self, parameters: Any, error: BaseException) -> None:
        """Record a failed connect: no address, no TCP, no TLS, or no login."""
        if not self.amqp.active or "Aborted" in type(error).__name__:
            return
        thread = self._thread
        state = thread.failing
        if state is None:
            state = AmqpConnectionState(requested_facts(parameters), None, thread.start_ns or time.time_ns())
        thread.start_ns, thread.failing = 0, None
        self.amqp.on_connect_failed(state, last_error(error))

    # --- methods and frames ---

    @never_breaks_the_host
    def on_send(self, connection: Any, args: Any, kwargs: Any) -> _InFlightMethod | None:
        """Handle a method that is about to be written; ``None`` if it is neither a call nor the login."""
        method = argument(args, kwargs, 1, "method")
        name = getattr(method, "NAME", "")
        if not self.amqp.active or not (is_call(name) or name == "Connection.StartOk"):
            return None
        channel = argument(args, kwargs, 0, "channel_number")
        return _InFlightMethod(channel, method, time.time_ns(), getattr(connection, "bytes_sent", 0))

    @never_breaks_the_host
    def on_send_end(self, connection: Any, sent: _InFlightMethod, _result: Any, error: Error) -> None:
        """Handle a method that was written."""
        if not self.amqp.active or error is not None:
            return
        self.amqp.on_method_sent(
            self.amqp.connection_of(connection), sent.channel, sent.method.NAME, sent.method, start_ns=sent.start_ns,
            sent_bytes=getattr(connection, "bytes_sent", 0) - sent.sent_bytes,
            has_response=not getattr(sent.method, "nowait", False),
        )  # fmt: skip

    @never_breaks_the_host
    def on_frame(self, connection: Any, args: Any, _kwargs: Any) -> None:
        """Handle a frame that was read, before the driver acts on it."""
        if not self.amqp.active:
            return
        frame, state = args[0], self.amqp.connection_of(connection)
        total = getattr(connection, "bytes_received", 0)
        size, state.read_bytes = total - state.read_bytes, total
        channel = getattr(frame, "channel_number", 0)
        if channel:
            state.channel(channel).received_bytes += max(size, 0)
        method = getattr(frame, "method", None)
        if method is not None:
            self.amqp.on_method_received(state, channel, method.NAME, method)

    # --- messages ---

    @never_breaks_the_host
    def on_publish(self, channel: Any, args: Any, kwargs: Any) -> InFlightPublication | None:
        """Handle a message that is about to be published, through a channel or a blocking one above it."""
        channel = getattr(channel, "_impl", channel)
        call = self.amqp.begin_call(channel.connection, channel.channel_number, outermost=True)
        if call is None:
            return None
        fields = dict(zip(("exchange", "routing_key"), args, strict=False)) | kwargs
        return InFlightPublication(call, fields, sent_bytes=channel.connection.bytes_sent)

    @never_breaks_the_host
    def on_publish_end(self, channel: Any, publication: InFlightPublication, _result: Any, error: Error) -> None:
        """Record a published message."""
        connection = getattr(channel, "_impl", channel).connection
        self.amqp.end_publish(publication, max(connection.bytes_sent - publication.sent_bytes, 0), error)

    @never_breaks_the_host
    def on_deliver(self, channel: Any, args: Any, _kwargs: Any) -> None:
        """Handle a message that was delivered to a consumer."""
        if self.amqp.active:
            self.amqp.on_delivery(*self._content(channel, *args))

    @never_breaks_the_host
    def on_get_ok(self, channel: Any, args: Any, _kwargs: Any) -> None:
        """Handle a message that was requested."""
        if self.amqp.active:
            self.amqp.on_get_ok(*self._content(channel, *args))

    @never_breaks_the_host
    def on_return(self, channel: Any, args: Any, _kwargs: Any) -> None:
        """Handle a message that could not be routed and came back."""
        if self.amqp.active:
            self.amqp.on_return(*self._content(channel, *args)[:3])

    def _content(
        self, channel: Any, method_frame: Any, header_frame: Any, body: object
    ) -> tuple[AmqpConnectionState, int, Any, object, Any]:
        """Return connection, channel number, method, body and properties of a message."""
        state, method = self.amqp.connection_of(channel.connection), getattr(method_frame, "method", None)
        return state, channel.channel_number, method, body, getattr(header_frame, "properties", None)
