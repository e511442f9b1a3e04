"""The call observer of nats-py: connects, messages published and delivered, requests, errors of the server.

Messages that the driver sends on its own (acknowledgements, flow control, pull requests) are not calls. Deliveries are
recorded together, by the subject of the subscription.
"""

from collections.abc import Callable
from time import time_ns
from typing import Any, Final
from weakref import ReferenceType, ref

from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes.nats.session import (
    advertised_servers,
    error_name,
    matches_subject,
    requested_facts,
    session_of,
)
from backwatch.collector.probes.nats.state import (
    STATE_ATTRIBUTE,
    InFlightMessage,
    NatsClientState,
    current_call,
    current_client,
)
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.deferred_flush import defer_flush
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.messages import PendingMessages, operation_text, size_of, size_of_headers
from backwatch.collector.probes.toolkit.nodes import topology_facts
from backwatch.collector.probes.toolkit.observers import RecordingObserver
from backwatch.collector.probes.toolkit.redelivery import nats_redeliveries
from backwatch.collector.probes.toolkit.sockets import root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CLIENT, CONSUMER, PRODUCER, Session
from backwatch.collector.session.socket_counters import SocketCounters

DRIVER_SUBJECTS: Final = ("$JS.ACK.", "$JS.FC.", "$JS.API.CONSUMER.MSG.NEXT.")
"""Prefixes of subjects to which the driver publishes on its own."""
MAX_SUBJECTS: Final = 256


class NatsCallObserver(RecordingObserver):
    """The call observer of nats-py's clients."""

    def _state(self, client: Any) -> NatsClientState:
        state: NatsClientState | None = client.__dict__.get(STATE_ATTRIBUTE)
        if state is None:
            state = client.__dict__[STATE_ATTRIBUTE] = NatsClientState()
        return state

    def _session(self, client: Any) -> Session:
        """Return the session of the current connection; read it now if it is older than the probe."""
        state = self._state(client)
        if state.session is None:
            server = client._current_server
            uri = server.uri if server is not None else state.uri
            if uri is None:
                return Session(system="nats")
            state.session = session_of(client, uri, is_open=client.is_connected)[0]
        return state.session

    def _record(self, session: Session, operation: str, start_ns: int, **more: Any) -> None:
        if self.recorder is not None:
            self.recorder.record_call(session, operation, start_ns=start_ns, **more)

    # --- connects ---

    def on_select_server(self, client: Any, _args: Any, _kwargs: Any) -> ReferenceType[Any]:
        """Return the client, for the transports that it opens."""
        return ref(client)

    @never_breaks_the_host
    def on_open_transport(self, _transport: Any, args: Any, kwargs: Any) -> Any:
        """Handle a transport that is about to be opened; return its client, ``None`` if there is none.

        TLS inside an open connection belongs to the login.
        """
        reference, uri = current_client.get(), argument(args, kwargs, 0, "uri")
        client = reference() if reference is not None else None
        if client is None or self.recorder is None or not hasattr(uri, "hostname"):
            return None
        state = self._state(client)
        state.uri, state.start_ns, state.session = uri, time_ns(), None
        return client

    @never_breaks_the_host
    def on_open_transport_end(self, _transport: Any, client: Any, _result: Any, error: Error) -> None:
        """Record a failed connect."""
        if error is None:
            return
        state = self._state(client)
        start_ns, state.start_ns = state.start_ns, 0
        if start_ns:
            session = Session(system="nats", **requested_facts(client, state.uri))
            self._record(session, "connect", start_ns, error=root_error(error))

    @never_breaks_the_host
    def on_login_end(self, client: Any, _token: Any, _result: Any, error: Error) -> None:
        """Record a connect, TLS and login included."""
        state, server = self._state(client), client._current_server
        start_ns, state.start_ns = state.start_ns or time_ns(), 0
        if error is not None:
            session, _ = session_of(client, server.uri if server is not None else state.uri, is_open=False)
            self._record(session, "connect", start_ns, error=error_name(str(error)) or root_error(error))
            return
        state.session, number = session_of(client, server.uri, is_open=True)
        urls = advertised_servers(client._server_info)
        state.nodes = tuple(sorted(urls))
        self._record(state.session, "connect", start_ns, wire=SocketCounters(number), facts=topology_facts(urls))

    @never_breaks_the_host
    def on_info(self, client: Any, args: Any, kwargs: Any) -> None:
        """Record servers that the server advertises later on."""
        if argument(args, kwargs, 1, "initial_connection"):
            return  # ``on_login_end`` records the first ones
        state, urls = self._state(client), advertised_servers(argument(args, kwargs, 0, "info"))
        nodes = tuple(sorted(urls))
        if nodes and nodes != state.nodes:
            state.nodes = nodes
            self._record(self._session(client), "info", time_ns(), statement="info", facts=topology_facts(urls))

    @never_breaks_the_host
    def on_server_error(self, client: Any, args: Any, kwargs: Any) -> None:
        """Record an error that the server sends."""
        text = argument(args, kwargs, 0, "err_msg")
        name = error_name(text)
        if name == "PermissionsViolation":
            operation = "subscribe" if "subscription" in str(text).lower() else "publish"
        else:
            operation = "error"
        session = self._session(client)
        self._record(session, operation, time_ns(), statement=operation, error=name or "ServerError")

    # --- messages sent ---

    def _start_ns(self, subject: Any = "") -> int:
        """Return the current time; 0 if a call to this subject is not recorded: the driver's own, or inside another."""
        outer = current_call.get()
        if self.recorder is None or (outer is not None and outer.hides_calls):
            return 0
        return 0 if isinstance(subject, str) and subject.startswith(DRIVER_SUBJECTS) else time_ns()

    @never_breaks_the_host
    def on_publish(self, headers_at: int, owner: Any, args: Any, kwargs: Any) -> InFlightMessage | None:
        """Handle a message or request that is about to be sent, by a client or by JetStream.

        Args:
            headers_at: Position of the argument ``headers``.
        """
        subject = argument(args, kwargs, 0, "subject")
        start_ns = self._start_ns(subject)
        if not start_ns:
            return None
        payload, headers = argument(args, kwargs, 1, "payload"), argument(args, kwargs, headers_at, "headers")
        return InFlightMessage(getattr(owner, "_nc", owner), start_ns, subject, payload, headers)

    @never_breaks_the_host
    def on_publish_end(self, _owner: Any, message: InFlightMessage, _result: Any, error: Error) -> None:
        """Record a published message; JetStream's is also acknowledged."""
        statement, facts = operation_text("publish", message.subject)
        self._record(
            self._session(message.client), "publish", message.start_ns, statement=statement, facts=facts, error=error,
            kind=PRODUCER, estimated=(_message_size(message.payload, message.headers), -1),
        )  # fmt: skip

    @never_breaks_the_host
    def on_request_end(self, client: Any, message: InFlightMessage, reply: Any, error: Error) -> None:
        """Record a request and its reply."""
        statement, facts = operation_text("request", message.subject)
        received, rows = -1, -1
        if reply is not None:
            received, rows = _message_size(reply.data, reply.headers), 1
            facts += detect_formats(reply.data)
        self._record(
            self._session(client), "request", message.start_ns, statement=statement, facts=facts, error=error,
            estimated=(_message_size(message.payload, message.headers), received), rows_returned=rows, kind=CLIENT,
        )  # fmt: skip

    @never_breaks_the_host
    def on_subscribe(self, client: Any, args: Any, kwargs: Any) -> InFlightMessage:
        """Handle a subscription, inside a request too: it starts tasks that outlive the request."""
        subject = argument(args, kwargs, 0, "subject")
        return InFlightMessage(client, self._start_ns(), subject, hides_calls=False)

    @never_breaks_the_host
    def on_subscribe_end(self, client: Any, call: InFlightMessage, _result: Any, error: Error) -> None:
        """Record a subscription of the app."""
        subject = call.subject
        if not call.start_ns:
            return
        if isinstance(subject, str) and subject.startswith(_inbox_prefix(client)) and error is None:
            return  # mostly the driver's own; its messages are recorded
        statement, facts = operation_text("subscribe", subject)
        self._record(self._session(client), "subscribe", call.start_ns, statement=statement, facts=facts, error=error)

    # --- messages received ---

    @never_breaks_the_host
    def on_message(self, client: Any, args: Any, kwargs: Any) -> bool | None:
        """Keep the subscription of a message that is about to be read."""
        if self.recorder is None:
            return None
        self._state(client).reading = client._subs.get(argument(args, kwargs, 0, "sid"))
        return True

    @never_breaks_the_host
    def on_message_end(self, client: Any, _token: bool, _result: Any, _error: Error) -> None:
        """Drop the subscription of a message that was read."""
        self._state(client).reading = None

    @never_breaks_the_host
    def on_build_message(self, client: Any, args: Any, _kwargs: Any) -> None:
        """Keep a delivered message to be recorded with others."""
        if self.recorder is None or len(args) < 4:
            return
        subject, reply, data, headers = args[-4:]  # before them, in some versions, the subscription's number
        if headers and not data and "Status" in headers:
            return  # a status of the server: no more messages, still alive
        name = subject.decode("utf-8", "replace") if isinstance(subject, (bytes, bytearray)) else str(subject)
        is_stray = False
        inboxes, subscription = _inbox_prefix(client), self._state(client).reading
        if subscription is not None:
            wanted = subscription._subject
            if not wanted.startswith(inboxes):
                is_stray = name != wanted and not (_is_jetstream(subscription) or matches_subject(name, wanted))
                name = wanted
            elif name.startswith(inboxes) and _is_internal(subscription):
                return  # the reply to a request, which is recorded there
        times = nats_redeliveries(reply) if reply else 0
        pending = self._pending_messages(client, name)
        size = _message_size(data, headers)
        pending.add(size, data, times=times, sign="other-key" if is_stray else "")
        defer_flush(pending, self.recorder)

    def _pending_messages(self, client: Any, name: str) -> PendingMessages:
        state = self._state(client)
        pending = state.pending.get(name)
        if pending is None:
            if len(state.pending) >= MAX_SUBJECTS:
                self._flush(client)
            pending = state.pending[name] = PendingMessages(name, self._record_deliveries(self._session(client)))
        return pending

    def _record_deliveries(self, session: Session) -> Callable[[PendingMessages, Error], None]:
        @never_breaks_the_host
        def record(gathered: PendingMessages, error: Error) -> None:
            statement, facts = operation_text("deliver", gathered.name)
            self._record(
                session, "deliver", gathered.start_ns, statement=statement, facts=facts + gathered.facts(),
                error=error, kind=CONSUMER, estimated=(-1, gathered.bytes), rows_returned=gathered.count,
                caller=gathered.caller,
            )  # fmt: skip

        return record

    @never_breaks_the_host
    def on_close_end(self, client: Any, _token: Any, _result: Any, _error: Error) -> None:
        """Record the messages that wait, once the client is closed."""
        self._flush(client)

    def _flush(self, client: Any) -> None:
        state = self._state(client)
        pending, state.pending = state.pending, {}
        for gathered in pending.values():
            gathered.flush()


def _message_size(payload: Any, headers: Any) -> int:
    return size_of(payload) + size_of_headers(headers)


def _inbox_prefix(client: Any) -> str:
    prefix = client._inbox_prefix
    return prefix.decode() if isinstance(prefix, (bytes, bytearray)) else str(prefix)


def _is_jetstream(subscription: Any) -> bool:
    """Return whether JetStream delivers to an address of the app's choice: messages bear their own subjects."""
    return getattr(subscription, "_jsi", None) is not None


def _is_internal(subscription: Any) -> bool:
    """Return whether a subscription is the driver's own."""
    if subscription._future is not None:
        return True
    function = getattr(subscription._cb, "__func__", subscription._cb)
    return (getattr(function, "__module__", "") or "").startswith("nats.")
