"""One call per request on the wire, told when its body has been read: only then are its bytes known.

The end of a body is where the standard library lets go of the response's file, which comes before the socket may be
closed or another request may use it. A response that is never read is told when its connection goes back to the pool,
is used again, or when it is itself let go.
"""

import time
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary, finalize, ref

from backwatch.collector.payload.response_indicators import document_kind
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import Claim, awaited
from backwatch.collector.probes.families.http.recorder import Teller
from backwatch.collector.probes.families.http.session import login_of, session_of
from backwatch.collector.probes.families.http.state import Exchange, Link, Started, nothing
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters


class Watch(Teller):
    """The connections of one process.

    Args:
        recorder: Where requests are told that nobody claims; ``None``: nowhere.
    """

    def __init__(self, recorder: Recorder | None, tls_class: type) -> None:
        super().__init__(recorder)
        self.tls_class = tls_class
        self._links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()
        self.unpacks = False
        """Whether :meth:`decoded` is called: then a packed body, and a document, is told when it has been unpacked."""
        self._tell_late = never_breaks_the_host(self.tell)
        self._packed: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()
        self._by_response: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()
        self._current: ContextVar[Exchange | None] = ContextVar("backwatch_http_exchange", default=None)

    def _link(self, connection: Any) -> Link:
        link = self._links.get(connection)
        if link is None:
            link = self._links[connection] = Link()
        return link

    @never_breaks_the_host
    def connecting(self, connection: Any) -> Link | None:
        """A connection is about to be made; ``None`` where its own class calls on to the one below."""
        if not self.active:
            return None
        link = self._link(connection)
        if link.connecting_ns:
            return None
        link.connecting_ns = time.time_ns()
        return link

    @never_breaks_the_host
    def connected(self, connection: Any, link: Link) -> None:
        """It is made, with its TLS handshake, and with its proxy's tunnel."""
        start_ns, link.connecting_ns = link.connecting_ns, 0
        link.sessions.clear()
        link.session = self._session_of(connection)
        link.socket = ref(connection.sock)
        link.number = descriptor(connection.sock)
        link.wire = SocketCounters(link.number)
        self.tell_connect(self._claim_of(link), link.session, start_ns, link.wire, None)

    @never_breaks_the_host
    def connect_failed(self, connection: Any, link: Link, error: BaseException) -> None:
        """It was not: the request of its own is not told, it never was on the wire."""
        start_ns, link.connecting_ns = link.connecting_ns, 0
        link.session, link.socket = None, nothing
        current = self._current.get()
        if current is not None and current.link is link:
            current.connect_failed = True
        session = self._session_of(connection)
        # What came before the failure is no session: the socket may stand, its encryption does not.
        session = replace(session, encoded=[], encrypted=None, verified="")
        self.tell_connect(self._claim_of(link), session, start_ns, None, root_error(error))

    def _claim_of(self, link: Link) -> Claim | None:
        """The claim on the request that this connection is made for."""
        current = self._current.get()
        return current.claim if current is not None and current.link is link else awaited()

    @never_breaks_the_host
    def begin(self, pool: Any, connection: Any, method: object, path: object, headers: object) -> Started | None:
        """A request is about to be made."""
        if not self.active or connection is None:
            return None
        link = self._link(connection)
        if link.pending is not None:
            self.tell(link.pending)
        exchange = self.exchange(link, method, path, login_of(headers), pool)
        return exchange, self._current.set(exchange)

    @never_breaks_the_host
    def failed(self, connection: Any, started: Started, error: BaseException) -> None:
        """No response came, or its body broke while it was being read at once."""
        exchange = started[0]
        self._current.reset(started[1])
        if exchange.connect_failed:
            return
        exchange.error = root_error(error)
        self._address(connection, exchange)
        self.tell(exchange)

    @never_breaks_the_host
    def answered(self, connection: Any, started: Started, response: Any) -> None:
        """The head of the response was read; the body too, or it will be."""
        exchange = started[0]
        self._current.reset(started[1])
        self._address(connection, exchange)
        headers = getattr(response, "headers", None) or {}
        at_once = self.heed(exchange, int(getattr(response, "status", 0) or 0), headers.get)
        body = getattr(response, "_original_response", None) or response
        if at_once or getattr(body, "fp", None) is None:
            self.tell(exchange)
        else:
            exchange.link.pending = exchange
            self._by_response[body] = exchange
            # A layer above knows by itself what it unpacked, and does not wait.
            if self.unpacks and exchange.claim is None:
                exchange.compressed = headers.get("Content-Encoding", "identity") != "identity"
                length = "" if exchange.compressed else headers.get("Content-Length", "")
                exchange.document = document_kind(headers.get("Content-Type"), length)
                if exchange.document or exchange.compressed:
                    self._packed[body] = exchange

    @never_breaks_the_host
    def body_ends(self, body: Any) -> None:
        """The standard library lets go of a response's file. The socket still stands: its bytes are counted now."""
        exchange = self._by_response.pop(body, None)
        if exchange is not None:
            if not self._still_packed(body, exchange):
                self.tell(exchange)
            return
        current = self._current.get()
        if current is not None and not current.link.connecting_ns:
            current.counted.add_if_open(current.link)

    def _still_packed(self, body: Any, exchange: Exchange) -> bool:
        """Whether the end of a body is about to be unpacked; its bytes are counted now, the socket still stands."""
        if body not in self._packed:
            return False
        response = exchange.response() if exchange.response is not None else None
        # urllib3's own reading of chunks unpacks each at once; and the app may close a body before its end.
        looked_at = not exchange.compressed and not (exchange.document and not exchange.head)
        if looked_at or getattr(response, "chunk_left", None) == 0 or getattr(body, "length", None):
            del self._packed[body]
            return False
        exchange.counted.add_if_open(exchange.link)
        exchange.ended = True
        if exchange.link.pending is exchange:
            exchange.link.pending = None
        finalize(body, self._tell_late, exchange).atexit = False  # it may never be unpacked
        return True

    @never_breaks_the_host
    def decoded(self, response: Any, unpacks: object, data: bytes, plain: bytes) -> None:
        """Some of a body went through urllib3's decoder.

        Args:
            unpacks: False where the app takes it as it came.
        """
        body, decoder = getattr(response, "_original_response", None), getattr(response, "_decoder", None)
        exchange = self._packed.get(body) if body is not None else None
        if exchange is None:
            exchange = self._current.get()  # read at once, before its head has been heeded
            if exchange is not None and exchange.claim is None and exchange.document is None:
                exchange.document = document_kind((getattr(response, "headers", None) or {}).get("Content-Type"))
        if exchange is None:
            return
        exchange.looks(plain)
        exchange.response = exchange.response or ref(response)
        if unpacks and decoder is not None:
            packed, size = exchange.unpacked or (0, 0)
            exchange.unpacked = packed + len(data), size + len(plain)
        if exchange.ended and not getattr(decoder, "has_unconsumed_tail", False):
            self._packed.pop(body, None)
            self.tell(exchange)

    @never_breaks_the_host
    def released(self, connection: Any) -> None:
        """The connection goes back to its pool."""
        link = self._links.get(connection) if connection is not None else None
        if link is not None and link.pending is not None:
            self.tell(link.pending)

    def settle(self) -> None:
        """Tells what is still waiting for its body."""
        for link in list(self._links.values()):
            if link.pending is not None:
                self.tell(link.pending)
        for exchange in list(self._packed.values()):
            self.tell(exchange)

    def _session_of(self, connection: Any) -> Session:
        return session_of(connection, tls=self._is_tls(connection))

    def _is_tls(self, connection: Any) -> bool:
        return isinstance(connection, self.tls_class)

    def _address(self, connection: Any, exchange: Exchange) -> None:
        """Session, URL and statement, now that the connection stands."""
        if exchange.session is not None:
            return
        link = exchange.link
        if link.session is None and getattr(connection, "sock", None) is not None:  # older than this probe
            link.session = self._session_of(connection)
            link.socket, link.number = ref(connection.sock), descriptor(connection.sock)
            link.wire = SocketCounters(link.number)
        self.place(exchange, link.session or self._session_of(connection), tls=self._is_tls(connection))
