"""aiohttp's client: one call per request on the wire, recorded when its connection is given back or closed.

aiohttp gives a connection back the moment the body's end was parsed, while the socket still stands; small bodies end
even before the app sees the head. A WebSocket is one call: the request that opened it. aiohttp's server uses none of
the wrapped functions.
"""

from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import pending_claim
from backwatch.collector.probes.families.http.recorder import HttpCallRecorder
from backwatch.collector.probes.families.http.session import login_of
from backwatch.collector.probes.families.http.state import Exchange, HttpConnectionState
from backwatch.collector.probes.families.httpcore.session import requested_mode
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, CallToken, Error, Kwargs
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error, weakly, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters

_EARLY_CLOSE_ERROR: Final = "ClientConnectionError"
"""The error of a body's stream once the app has closed it early, which is no error of the call."""


def _requested_tls(request: Any, connector: Any) -> tuple[str, bool]:
    """Return the requested TLS mode, and whether a fingerprint is pinned, which aiohttp checks itself."""
    for setting in (getattr(request, "ssl", None), getattr(connector, "_ssl", None)):
        if hasattr(setting, "fingerprint"):
            return "verify-full", True
        if hasattr(setting, "verify_mode"):
            return requested_mode(setting), False
        if setting is False:
            return "require", False
    return "verify-full", False


def session_of(request: Any, connector: Any, transport: Any) -> Session:
    """Return the session of a connection.

    Args:
        transport: ``None`` where there is none.
    """
    tls = bool(request.is_ssl())
    requested, pinned = _requested_tls(request, connector)
    facts: dict[str, Any] = {"requested": requested if tls else "disable"}
    address, port = words(request.url.raw_host, 255), int(request.port or 0)
    if transport is not None:
        # Behind a proxy that forwards, the transport's TLS ends at the proxy.
        secured = transport.get_extra_info("ssl_object") if tls else None
        verified = "full" if pinned else None
        facts.update(connection_facts(transport.get_extra_info("socket"), secured, verified=verified))
        if facts.get("transport") == "unix":
            address, port = facts["peer_address"], 0
    return Session(system="http", address=address, port=port, requested_explicit=True, **facts)


def _packed_size(response: Any, content: Any, size: int | None) -> int | None:
    """Return the bytes of a compressed body on the wire; before aiohttp 3.13 only its announced length is known."""
    if hasattr(content, "total_compressed_bytes"):
        return content.total_compressed_bytes
    length = str(response.headers.get("Content-Length", ""))[:18]
    ended = hasattr(content, "is_eof") and content.is_eof()
    return int(length) if ended and length.isdecimal() and int(length) != size else None


class AiohttpCallObserver(SwitchableObserver):
    """The connections of one process's clients."""

    def __init__(self, recorder: Recorder | None) -> None:
        self.calls = HttpCallRecorder(recorder)
        self._states: WeakKeyDictionary[Any, HttpConnectionState] = WeakKeyDictionary()
        self._open: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()
        """By aiohttp's ``Connection``, which lends a transport to one request."""

    @never_breaks_the_host
    def on_connect_end(self, connector: Any, token: CallToken, protocol: Any, error: Error) -> None:
        """Record a connection with its TLS handshake and its proxy's tunnel, or its failure."""
        if not self.active:
            return
        start_ns, args, kwargs = token
        request: Any = argument(args, kwargs, 0, "req")
        if error is not None:
            session = replace(session_of(request, connector, None), encoded=[], encrypted=None)
            self.calls.record_connect(pending_claim(), session, start_ns, None, root_error(error))
            return
        state = self._state(connector, request, protocol)
        if state.session is not None:
            self.calls.record_connect(pending_claim(), state.session, start_ns, state.wire, None)

    @never_breaks_the_host
    def on_send(self, request: Any, args: Args, kwargs: Kwargs) -> Exchange | None:
        """Note a request that is about to be sent; one to a proxy, for a tunnel, belongs to the connect."""
        connection: Any = argument(args, kwargs, 0, "conn")
        protocol = connection.protocol
        if not self.active or request.method == "CONNECT" or protocol is None:
            return None
        state = self._state(getattr(connection, "_connector", None), request, protocol)
        owner = getattr(request, "_session", None)
        target = request.url.raw_path_qs
        exchange = self.calls.begin_exchange(state, request.method, target, login_of(request.headers), owner)
        if state.session is not None:
            self.calls.set_target(exchange, state.session, tls=bool(request.is_ssl()))
            if state.session.transport == "unix":
                exchange.estimate = [-1, -1]
        exchange.connection = ref(connection)
        self._open[connection] = exchange
        return exchange

    @never_breaks_the_host
    def on_send_end(self, _request: Any, exchange: Exchange, _result: Any, error: Error) -> None:
        """Record a request that could not be sent."""
        if error is not None:
            self._open.pop(exchange.connection(), None)
            exchange.error = root_error(error)
            self.calls.record_request(exchange)

    @never_breaks_the_host
    def on_response(self, response: Any, token: CallToken, _result: Any, error: Error) -> None:
        """Take the head of a response; all of it, where the connection has been given back by now."""
        connection: Any = argument(token[1], token[2], 0, "connection")
        if error is not None:
            exchange = self._open.pop(connection, None)
            if exchange is not None:
                exchange.error = root_error(error)
                self.calls.record_request(exchange)
            return
        exchange = self._open.get(connection)
        if exchange is None:
            return
        headers = response.headers
        exchange.response = ref(response)
        is_final = self.calls.learn_response(exchange, int(response.status), headers.get)
        if is_final or exchange.released:
            self._finish(connection, exchange)

    @never_breaks_the_host
    def on_release(self, connection: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Count the bytes of a connection that is given back, or closed: its socket still stands."""
        exchange = self._open.get(connection)
        if exchange is None:
            return
        if exchange.status:
            self._finish(connection, exchange)
        else:
            exchange.released = True
            exchange.counted.add_if_open(exchange.state)

    def flush(self) -> None:
        """Record what still waits for the end of its body."""
        for connection, exchange in list(self._open.items()):
            self._finish(connection, exchange)

    def _finish(self, connection: Any, exchange: Exchange) -> None:
        self._open.pop(connection, None)
        response = exchange.response() if exchange.response is not None else None
        if response is not None:
            content: Any = getattr(response, "content", None)
            broken = content.exception() if hasattr(content, "exception") else None
            if broken is not None and type(broken).__name__ != _EARLY_CLOSE_ERROR and exchange.error is None:
                exchange.error = root_error(broken)
            self._measure(exchange, response, content)
        self.calls.record_request(exchange)

    def _measure(self, exchange: Exchange, response: Any, content: Any) -> None:
        size = getattr(content, "total_bytes", None)
        packed = _packed_size(response, content, size)
        coded = response.headers.get("Content-Encoding", "identity") != "identity"
        if coded and packed is not None and size is not None:
            exchange.unpacked = packed, size
        if exchange.estimate is not None:
            body = packed if packed is not None else None if coded else size
            head = sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
            exchange.estimate[1] = -1 if body is None else head + body
            writer = getattr(response, "_stream_writer", None)
            sent = getattr(writer, "output_size", None) or getattr(response, "_output_size", None)
            exchange.estimate[0] = int(sent) if sent else -1

    def _state(self, connector: Any, request: Any, protocol: Any) -> HttpConnectionState:
        state = self._states.get(protocol)
        if state is None:
            state = self._states[protocol] = HttpConnectionState()
            transport = protocol.transport
            socket = None if transport is None else transport.get_extra_info("socket")
            state.session = session_of(request, connector, transport)
            if socket is not None:
                state.socket, state.number = weakly(socket), descriptor(socket)
                state.wire = SocketCounters(state.number)
        return state
