"""httpcore, on which httpx rests: one call per request on a connection, told when the body's stream is closed.

Only there are the connection and the end of the body known; httpx adds what it unpacked. A backend without a socket (a
double in a test) is nobody's service: nothing is told. Over HTTP/2 a connection is shared, so volumes are estimates.
"""

import sys
import time
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import awaited
from backwatch.collector.probes.families.http.recorder import Teller
from backwatch.collector.probes.families.http.session import LOGIN_HEADERS, login_of
from backwatch.collector.probes.families.http.state import Exchange, Link
from backwatch.collector.probes.families.httpcore.session import session_of, socket_of
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error, weakly
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import SocketCounters

_HEARD: Final = frozenset((b"location", b"server", b"content-type"))


class Sender:
    """Who sends a request, one layer up: httpx's client, and then its response."""

    __slots__ = ("client", "exchange")

    def __init__(self, client: Any) -> None:
        self.client = client
        self.exchange: Exchange | None = None


class Tunnel:
    """A connection that is being made through a proxy."""

    __slots__ = ("context", "made", "origin", "start_ns")

    def __init__(self, origin: Any, context: Any) -> None:
        self.origin = origin
        self.context = context
        self.start_ns = time.time_ns()
        self.made = False


class Watch(Teller):
    """The connections of one process, blocking and asynchronous ones."""

    def __init__(self, recorder: Recorder | None) -> None:
        super().__init__(recorder)
        self.sender: ContextVar[Sender | None] = ContextVar("backwatch_httpx_sender", default=None)
        self.tunnel: ContextVar[Tunnel | None] = ContextVar("backwatch_httpcore_tunnel", default=None)
        self._links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()
        self._by_stream: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()
        self._responses: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()

    @never_breaks_the_host
    def connected(self, connection: Any, stream: Any, start_ns: int) -> None:
        """A connection was made, with its TLS handshake; one to a proxy is not told before its tunnel stands."""
        if self.active and self.tunnel.get() is None:
            self._made(stream, connection._origin, start_ns)

    @never_breaks_the_host
    def connect_failed(self, connection: Any, start_ns: int, error: BaseException) -> None:
        """It could not be."""
        if self.active and self.tunnel.get() is None:
            self._not_made(connection._origin, getattr(connection, "_ssl_context", None), start_ns, error)

    @never_breaks_the_host
    def tunnelling(self, connection: Any) -> Tunnel | None:
        """A request is about to go through a proxy; ``None`` where its tunnel stands already."""
        stands = getattr(connection, "_connected", None)
        if stands is None:
            stands = getattr(connection, "_connection", None) is not None
        if stands or not self.active:
            return None
        return Tunnel(connection._remote_origin, getattr(connection, "_ssl_context", None))

    @never_breaks_the_host
    def tunnel_failed(self, tunnel: Tunnel, error: BaseException) -> None:
        """No tunnel came about, or the request in it failed, which is told by then."""
        if not tunnel.made:
            self._not_made(tunnel.origin, tunnel.context, tunnel.start_ns, error)

    @never_breaks_the_host
    def begin(self, connection: Any, request: Any, *, shared: bool) -> Exchange | None:
        """A request is about to go out on this connection."""
        if not self.active or request.method == b"CONNECT":
            return None
        stream, tunnel = connection._network_stream, self.tunnel.get()
        link = self._links.get(stream)
        if link is None:
            start_ns = 0 if tunnel is None else tunnel.start_ns
            link = self._made(stream, connection._origin, start_ns)  # older than this probe, or the end of a tunnel
        if tunnel is not None:
            tunnel.made = True
        if link is None or link.session is None:
            return None
        headers = {name.lower(): value for name, value in request.headers}
        sender = self.sender.get()
        login = login_of({name.decode(): headers[name] for name in LOGIN_HEADERS & headers.keys()})
        owner = None if sender is None else sender.client
        exchange = self.exchange(link, request.method, request.url.target, login, owner)
        if shared or link.session.transport == "unix":
            exchange.estimate = [_size(request, headers), -1]
        if sender is not None:
            sender.exchange = exchange
        self.place(exchange, link.session, tls=connection._origin.scheme in (b"https", b"wss"))
        return exchange

    @never_breaks_the_host
    def failed(self, exchange: Exchange, error: BaseException) -> None:
        """No answer came. A connection that was taken by another request is no failure: httpcore tries the next."""
        if type(error).__name__ != "ConnectionNotAvailable":
            exchange.error = root_error(error)
            self.tell(exchange)

    @never_breaks_the_host
    def answered(self, exchange: Exchange, response: Any) -> None:
        """The head of the answer was read."""
        headers = {name.lower(): value for name, value in reversed(response.headers) if name.lower() in _HEARD}
        if exchange.estimate is not None:
            exchange.estimate[1] = sum(len(name) + len(value) + 4 for name, value in response.headers)
        if self.heed(exchange, int(response.status), lambda name: headers.get(name.lower().encode())):
            self.tell(exchange)
        else:
            self._by_stream[response.stream] = exchange

    @never_breaks_the_host
    def returned(self, sender: Sender, response: Any) -> None:
        """The layer above made its own response of it."""
        exchange = sender.exchange
        if exchange is not None and not exchange.told:
            self._responses[response] = exchange
            exchange.response = ref(response)

    @never_breaks_the_host
    def ends(self, stream: Any) -> None:
        """The body was read, or the app lets go of it; the socket still stands."""
        exchange = self._by_stream.pop(stream, None)
        if exchange is None:
            return
        error = sys.exc_info()[1]
        if error is not None and type(error).__module__.startswith("httpcore"):
            exchange.error = root_error(error)
        self._finish(exchange)

    @never_breaks_the_host
    def unpacked(self, response: Any, packed: int, size: int) -> None:
        """A part of a compressed body was unpacked."""
        exchange = self._responses.get(response)
        if exchange is not None:
            before = exchange.unpacked or (0, 0)
            exchange.unpacked = before[0] + packed, before[1] + size

    def settle(self) -> None:
        """Tells what still waits for the end of its body."""
        for exchange in list(self._by_stream.values()):
            self._finish(exchange)

    def _finish(self, exchange: Exchange) -> None:
        response = exchange.response() if exchange.response is not None else None
        if exchange.estimate is not None:
            exchange.estimate[1] += int(getattr(response, "num_bytes_downloaded", 0))
        self.tell(exchange)

    def _made(self, stream: Any, origin: Any, start_ns: int) -> Link | None:
        socket = socket_of(stream)
        if socket is None:
            return None
        link = self._links[stream] = Link()
        link.session = session_of(origin, stream)
        link.socket, link.number = weakly(socket), descriptor(socket)
        link.wire = SocketCounters(link.number)
        if start_ns:
            self.tell_connect(awaited(), link.session, start_ns, link.wire, None)
        return link

    def _not_made(self, origin: Any, context: Any, start_ns: int, error: BaseException) -> None:
        session = replace(session_of(origin, None, context), encoded=[], encrypted=None)
        self.tell_connect(awaited(), session, start_ns, None, root_error(error))


def _size(request: Any, headers: dict[bytes, bytes]) -> int:
    """Bytes of a request, where its body's length is known before it is sent."""
    body = headers.get(b"content-length", b"")
    if b"transfer-encoding" in headers or not body.isdigit():
        return -1 if b"transfer-encoding" in headers else _head(request)
    return _head(request) + int(body[:18])


def _head(request: Any) -> int:
    return len(request.method) + len(request.url.target) + sum(len(n) + len(v) + 4 for n, v in request.headers) + 12
