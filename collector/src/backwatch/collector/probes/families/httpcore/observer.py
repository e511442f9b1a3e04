"""httpcore, below httpx: one call per request on a connection, recorded when the body's stream is closed.

Only httpcore knows the connection and the end of the body; httpx adds what it unpacked. A backend without a socket (a
double in a test) is no service: nothing is recorded. Over HTTP/2 a connection is shared, so volumes are estimates.
"""

import sys
import time
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from backwatch.collector.exposure import mode
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import pending_claim
from backwatch.collector.probes.families.http.recorder import HttpCallRecorder
from backwatch.collector.probes.families.http.session import LOGIN_HEADERS, login_of
from backwatch.collector.probes.families.http.state import Exchange, HttpConnectionState
from backwatch.collector.probes.families.httpcore.session import session_of, socket_of
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, CallToken, Error, Kwargs
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error, weakly
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import SocketCounters

_LIBRARIES: Final = frozenset(("httpx", "httpx2", "httpcore", "httpcore2"))
_USED_HEADERS: Final = frozenset((b"location", b"server", b"content-type"))


class Sender:
    """A request of the layer above: httpx's client, and the exchange that it became."""

    __slots__ = ("client", "exchange")

    def __init__(self, client: Any) -> None:
        self.client = client
        self.exchange: Exchange | None = None


class Tunnel:
    """A connection in the making, through a proxy."""

    __slots__ = ("connected", "context", "origin", "start_ns")

    def __init__(self, origin: Any, context: Any) -> None:
        self.origin = origin
        self.context = context
        self.start_ns = time.time_ns()
        self.connected = False


class HttpcoreCallObserver(SwitchableObserver):
    """The connections of one process, blocking and asynchronous ones."""

    def __init__(self, recorder: Recorder | None) -> None:
        self.calls = HttpCallRecorder(recorder)
        self.sender: ContextVar[Sender | None] = ContextVar("backwatch_httpx_sender", default=None)
        self.tunnel: ContextVar[Tunnel | None] = ContextVar("backwatch_httpcore_tunnel", default=None)
        self._states: WeakKeyDictionary[Any, HttpConnectionState] = WeakKeyDictionary()
        self._by_stream: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()
        self._responses: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, token: CallToken, stream: Any, error: Error) -> None:
        """Record a connect with its TLS handshake, or its failure. One to a proxy waits for its tunnel."""
        if not self.active or self.tunnel.get() is not None:
            return
        if error is None:
            self._add_connection(stream, connection._origin, token[0])
        else:
            context = getattr(connection, "_ssl_context", None)
            self._record_failed_connect(connection._origin, context, token[0], error)

    @never_breaks_the_host
    def on_tunnel(self, connection: Any, _args: Args, _kwargs: Kwargs) -> Tunnel | None:
        """Note a request that is about to go through a proxy; ``None`` where its tunnel stands already."""
        stands = getattr(connection, "_connected", None)
        if stands is None:
            stands = getattr(connection, "_connection", None) is not None
        if stands or not self.active:
            return None
        return Tunnel(connection._remote_origin, getattr(connection, "_ssl_context", None))

    @never_breaks_the_host
    def on_tunnel_end(self, _connection: Any, tunnel: Tunnel, _result: Any, error: Error) -> None:
        """Record a failed tunnel. Where the request inside it failed, that request is recorded by now."""
        if error is not None and not tunnel.connected:
            self._record_failed_connect(tunnel.origin, tunnel.context, tunnel.start_ns, error)

    @never_breaks_the_host
    def on_request(self, connection: Any, args: Args, kwargs: Kwargs) -> Exchange | None:
        """Note a request that is about to go out on a connection of its own."""
        return self._begin(connection, argument(args, kwargs, 0, "request"), shared=False)

    @never_breaks_the_host
    def on_shared_request(self, connection: Any, args: Args, kwargs: Kwargs) -> Exchange | None:
        """Note likewise, on a connection that several requests share (HTTP/2)."""
        return self._begin(connection, argument(args, kwargs, 0, "request"), shared=True)

    def _begin(self, connection: Any, request: Any, *, shared: bool) -> Exchange | None:
        if not self.active or request.method == b"CONNECT":
            return None
        stream, tunnel = connection._network_stream, self.tunnel.get()
        state = self._states.get(stream)
        if state is None:
            start_ns = 0 if tunnel is None else tunnel.start_ns
            state = self._add_connection(
                stream, connection._origin, start_ns
            )  # older than this probe, or a tunnel's end
        if tunnel is not None:
            tunnel.connected = True
        if state is None or state.session is None:
            return None
        headers = {name.lower(): value for name, value in request.headers}
        sender = self.sender.get()
        login = login_of({name.decode(): headers[name] for name in LOGIN_HEADERS & headers.keys()})
        owner = None if sender is None else sender.client
        exchange = self.calls.begin_exchange(state, request.method, request.url.target, login, owner)
        if mode.reads_columns and exchange.claim is None:
            exchange.keep_body(_body_of(request.stream))
        if shared or state.session.transport == "unix":
            exchange.estimate = [_request_size(request, headers), -1]
        if sender is not None:
            sender.exchange = exchange
        self.calls.set_target(exchange, state.session, tls=connection._origin.scheme in (b"https", b"wss"))
        return exchange

    @never_breaks_the_host
    def on_response(self, _connection: Any, exchange: Exchange, response: Any, error: Error) -> None:
        """Take the head of a response. After an error, none came.

        A connection that another request took meanwhile is no failure: httpcore tries the next one.
        """
        if error is not None:
            if type(error).__name__ != "ConnectionNotAvailable":
                exchange.error = root_error(error)
                self.calls.record_request(exchange)
            return
        headers = {name.lower(): value for name, value in reversed(response.headers) if name.lower() in _USED_HEADERS}
        if exchange.estimate is not None:
            exchange.estimate[1] = sum(len(name) + len(value) + 4 for name, value in response.headers)
        if self.calls.learn_response(exchange, int(response.status), lambda name: headers.get(name.lower().encode())):
            self.calls.record_request(exchange)
        else:
            self._by_stream[response.stream] = exchange

    @never_breaks_the_host
    def on_send(self, client: Any, _args: Args, _kwargs: Kwargs) -> Sender:
        """Note the client of httpx that sends a request."""
        return Sender(client)

    @never_breaks_the_host
    def on_send_end(self, _client: Any, sender: Sender, response: Any, _error: Error) -> None:
        """Keep the response object that the layer above made."""
        exchange = sender.exchange
        if exchange is not None and response is not None and not exchange.reported:
            self._responses[response] = exchange
            exchange.response = ref(response)

    @never_breaks_the_host
    def on_body_end(self, stream: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Record a request whose body was read, or that the app drops: the socket still stands."""
        exchange = self._by_stream.pop(stream, None)
        if exchange is None:
            return
        error = sys.exc_info()[1]
        if error is not None and type(error).__module__.startswith("httpcore"):
            exchange.error = root_error(error)
        self._finish(exchange)

    @never_breaks_the_host
    def on_decode(self, response: Any, packed: int, size: int) -> None:
        """Count a part of a compressed body that was unpacked."""
        exchange = self._responses.get(response)
        if exchange is not None:
            before = exchange.unpacked or (0, 0)
            exchange.unpacked = before[0] + packed, before[1] + size

    def disable(self) -> None:
        """Record calls whose bodies have not ended, and nothing from now on: the probe is removed."""
        super().disable()
        self.flush()

    def flush(self) -> None:
        """Record what still waits for the end of its body."""
        for exchange in list(self._by_stream.values()):
            self._finish(exchange)

    def _finish(self, exchange: Exchange) -> None:
        response = exchange.response() if exchange.response is not None else None
        if exchange.estimate is not None:
            exchange.estimate[1] += int(getattr(response, "num_bytes_downloaded", 0))
        self.calls.record_request(exchange)

    def _add_connection(self, stream: Any, origin: Any, start_ns: int) -> HttpConnectionState | None:
        socket = socket_of(stream)
        if socket is None:
            return None
        state = self._states[stream] = HttpConnectionState()
        state.session = session_of(origin, stream)
        state.socket, state.number = weakly(socket), descriptor(socket)
        state.wire = SocketCounters(state.number)
        if start_ns:
            self.calls.record_connect(pending_claim(), state.session, start_ns, state.wire, None)
        return state

    def _record_failed_connect(self, origin: Any, context: Any, start_ns: int, error: BaseException) -> None:
        session = replace(session_of(origin, None, context), encoded=[], encrypted=None)
        self.calls.record_connect(pending_claim(), session, start_ns, None, root_error(error))


def _body_of(stream: Any) -> object:
    """Return a body that httpx or httpcore holds in memory as one piece; ``None``: the app makes it piece by piece."""
    if type(stream).__module__.partition(".")[0] not in _LIBRARIES:
        return None
    return stream.__dict__.get("_stream", stream.__dict__.get("_content"))


def _request_size(request: Any, headers: dict[bytes, bytes]) -> int:
    """Return the bytes of a request, where its body's length is known; else -1."""
    body = headers.get(b"content-length", b"")
    if b"transfer-encoding" in headers or not body.isdigit():
        return -1 if b"transfer-encoding" in headers else _head_size(request)
    return _head_size(request) + int(body[:18])


def _head_size(request: Any) -> int:
    return len(request.method) + len(request.url.target) + sum(len(n) + len(v) + 4 for n, v in request.headers) + 12
