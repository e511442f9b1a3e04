"""aiohttp's client: one call per request on the wire, told when its connection is given back or closed.

aiohttp gives a connection back the moment the body's end was parsed, while the socket still stands; small bodies end
even before the app sees the head. A WebSocket is one call: the request that opened it. aiohttp's server uses none of
what is wrapped here.
"""

from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import awaited
from backwatch.collector.probes.families.http.recorder import Teller
from backwatch.collector.probes.families.http.session import login_of
from backwatch.collector.probes.families.http.state import Exchange, Link
from backwatch.collector.probes.families.httpcore.session import requested
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, root_error, weakly, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import read_tls_facts

_LET_GO: Final = "ClientConnectionError"
"""What a body's stream says once the app has closed it early, which is no error of the call."""


def _asked(request: Any, connector: Any) -> tuple[str, bool]:
    """What TLS was asked for, and whether by the fingerprint of the certificate, which aiohttp checks itself."""
    for told in (getattr(request, "ssl", None), getattr(connector, "_ssl", None)):
        if hasattr(told, "fingerprint"):
            return "verify-full", True
        if hasattr(told, "verify_mode"):
            return requested(told), False
        if told is False:
            return "require", False
    return "verify-full", False


def session_of(request: Any, connector: Any, transport: Any) -> Session:
    """What is known of a connection.

    Args:
        transport: ``None`` where there is none.
    """
    tls = bool(request.is_ssl())
    asked, pinned = _asked(request, connector)
    facts: dict[str, Any] = {"requested": asked if tls else "disable"}
    address, port = words(request.url.raw_host, 255), int(request.port or 0)
    if transport is not None:
        # Behind a proxy that forwards, the transport's TLS ends at the proxy.
        secured = transport.get_extra_info("ssl_object") if tls else None
        facts.update(read_tls_facts(secured, verified="full" if pinned else None))
        facts.update(peer(transport.get_extra_info("socket")))
        if facts.get("transport") == "unix":
            address, port = facts["peer_address"], 0
    return Session(system="http", address=address, port=port, requested_explicit=True, **facts)


def _packed(response: Any, content: Any, size: int | None) -> int | None:
    """Bytes of a compressed body on the wire; before aiohttp 3.13 only its announced length tells."""
    if hasattr(content, "total_compressed_bytes"):
        return content.total_compressed_bytes
    told = str(response.headers.get("Content-Length", ""))[:18]
    ended = hasattr(content, "is_eof") and content.is_eof()
    return int(told) if ended and told.isdecimal() and int(told) != size else None


class Watch(Teller):
    """The connections of one process's clients."""

    def __init__(self, recorder: Recorder | None) -> None:
        super().__init__(recorder)
        self._links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()
        self._open: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()
        """By aiohttp's ``Connection``, which is one request's hold of a transport."""

    @never_breaks_the_host
    def connected(self, connector: Any, request: Any, protocol: Any, start_ns: int) -> None:
        """A connection was made: its TLS handshake, and a proxy's tunnel, with it."""
        if self.active:
            link = self._link(connector, request, protocol)
            if link.session is not None:
                self.tell_connect(awaited(), link.session, start_ns, link.wire, None)

    @never_breaks_the_host
    def connect_failed(self, connector: Any, request: Any, start_ns: int, error: BaseException) -> None:
        """It could not be."""
        if self.active:
            session = replace(session_of(request, connector, None), encoded=[], encrypted=None)
            self.tell_connect(awaited(), session, start_ns, None, root_error(error))

    @never_breaks_the_host
    def begin(self, request: Any, connection: Any) -> Exchange | None:
        """A request is about to be sent; one to a proxy, for a tunnel, belongs to the connection."""
        protocol = connection.protocol
        if not self.active or request.method == "CONNECT" or protocol is None:
            return None
        link = self._link(getattr(connection, "_connector", None), request, protocol)
        owner = getattr(request, "_session", None)
        target = request.url.raw_path_qs
        exchange = self.exchange(link, request.method, target, login_of(request.headers), owner)
        if link.session is not None:
            self.place(exchange, link.session, tls=bool(request.is_ssl()))
            if link.session.transport == "unix":
                exchange.estimate = [-1, -1]
        self._open[connection] = exchange
        return exchange

    @never_breaks_the_host
    def not_sent(self, connection: Any, exchange: Exchange, error: BaseException) -> None:
        """It could not be sent."""
        self._open.pop(connection, None)
        exchange.error = root_error(error)
        self.tell(exchange)

    @never_breaks_the_host
    def failed(self, connection: Any, error: BaseException) -> None:
        """No answer came."""
        exchange = self._open.pop(connection, None)
        if exchange is not None:
            exchange.error = root_error(error)
            self.tell(exchange)

    @never_breaks_the_host
    def answered(self, connection: Any, response: Any) -> None:
        """The head of the answer was read; the whole of it, where the connection has been given back by now."""
        exchange = self._open.get(connection)
        if exchange is None:
            return
        headers = response.headers
        exchange.response = ref(response)
        at_once = self.heed(exchange, int(response.status), headers.get)
        if at_once or exchange.released:
            self._finish(connection, exchange)

    @never_breaks_the_host
    def released(self, connection: Any) -> None:
        """The connection is given back, or closed; its socket still stands."""
        exchange = self._open.get(connection)
        if exchange is None:
            return
        if exchange.status:
            self._finish(connection, exchange)
        else:
            exchange.released = True
            exchange.counted.add_if_open(exchange.link)

    def settle(self) -> None:
        """Tells what still waits for the end of its body."""
        for connection, exchange in list(self._open.items()):
            self._finish(connection, exchange)

    def _finish(self, connection: Any, exchange: Exchange) -> None:
        self._open.pop(connection, None)
        response = exchange.response() if exchange.response is not None else None
        if response is not None:
            content: Any = getattr(response, "content", None)
            broken = content.exception() if hasattr(content, "exception") else None
            if broken is not None and type(broken).__name__ != _LET_GO and exchange.error is None:
                exchange.error = root_error(broken)
            self._measure(exchange, response, content)
        self.tell(exchange)

    def _measure(self, exchange: Exchange, response: Any, content: Any) -> None:
        size = getattr(content, "total_bytes", None)
        packed = _packed(response, content, size)
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

    def _link(self, connector: Any, request: Any, protocol: Any) -> Link:
        link = self._links.get(protocol)
        if link is None:
            link = self._links[protocol] = Link()
            transport = protocol.transport
            socket = None if transport is None else transport.get_extra_info("socket")
            link.session = session_of(request, connector, transport)
            if socket is not None:
                link.socket, link.number = weakly(socket), descriptor(socket)
                link.wire = SocketCounters(link.number)
        return link
