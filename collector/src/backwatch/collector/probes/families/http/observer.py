"""One call per request on the wire, recorded when its body has been read: only then are its bytes known.

The end of a body is where the standard library lets go of the response's file, which comes before the socket may be
closed or another request may use it. A response that is never read is recorded when its connection goes back to the
pool, is used again, or when the response itself is dropped.
"""

import time
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary, finalize, ref

from backwatch.collector.payload.response_indicators import document_kind
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import Claim, pending_claim
from backwatch.collector.probes.families.http.recorder import HttpCallRecorder
from backwatch.collector.probes.families.http.session import login_of, session_of
from backwatch.collector.probes.families.http.state import Exchange, HttpConnectionState, no_socket
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs
from backwatch.collector.probes.toolkit.observers import SwitchableObserver
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters


class HttpCallObserver(SwitchableObserver):
    """The connections of urllib3's kind in one process.

    Args:
        recorder: Receives the requests without a claim; ``None``: they are not recorded.
    """

    def __init__(self, recorder: Recorder | None, tls_class: type) -> None:
        self.calls = HttpCallRecorder(recorder)
        self.tls_class = tls_class
        self.current: ContextVar[Exchange | None] = ContextVar("backwatch_http_exchange", default=None)
        """The request whose response is being waited for."""
        self.sees_decoding = False
        """Set where :meth:`on_decode` is called: then a packed body, and a document, is recorded when unpacked."""
        self._states: WeakKeyDictionary[Any, HttpConnectionState] = WeakKeyDictionary()
        self._record_late = never_breaks_the_host(self.calls.record_request)
        self._packed: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()
        self._by_response: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()

    def _state(self, connection: Any) -> HttpConnectionState:
        state = self._states.get(connection)
        if state is None:
            state = self._states[connection] = HttpConnectionState()
        return state

    @never_breaks_the_host
    def on_connect(self, connection: Any, _args: Args, _kwargs: Kwargs) -> HttpConnectionState | None:
        """Note the start of a connect; ``None`` where its own class calls on to the one below."""
        if not self.active:
            return None
        state = self._state(connection)
        if state.connecting_ns:
            return None
        state.connecting_ns = time.time_ns()
        return state

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, state: HttpConnectionState, _result: Any, error: Error) -> None:
        """Record a connection with its TLS handshake and its proxy's tunnel, or its failure."""
        start_ns, state.connecting_ns = state.connecting_ns, 0
        if error is not None:
            self._record_failed_connect(connection, state, start_ns, error)
            return
        state.sessions.clear()
        state.session = self._session_of(connection)
        state.socket = ref(connection.sock)
        state.number = descriptor(connection.sock)
        state.wire = SocketCounters(state.number)
        self.calls.record_connect(self._claim_of(state), state.session, start_ns, state.wire, None)

    def _record_failed_connect(
        self, connection: Any, state: HttpConnectionState, start_ns: int, error: BaseException
    ) -> None:
        """Record a failed connect. The request behind it is not recorded: it never was on the wire."""
        state.session, state.socket = None, no_socket
        current = self.current.get()
        if current is not None and current.state is state:
            current.connect_failed = True
        session = self._session_of(connection)
        # What came before the failure is no session: the socket may stand, its encryption does not.
        session = replace(session, encoded=[], encrypted=None, verified="")
        self.calls.record_connect(self._claim_of(state), session, start_ns, None, root_error(error))

    def _claim_of(self, state: HttpConnectionState) -> Claim | None:
        """Return the claim on the request that this connection is made for."""
        current = self.current.get()
        return current.claim if current is not None and current.state is state else pending_claim()

    @never_breaks_the_host
    def on_request(self, pool: Any, args: Args, kwargs: Kwargs) -> Exchange | None:
        """Note a request of urllib3's, which its pool is about to make."""
        given = dict(zip(("conn", "method", "url", "body", "headers"), args, strict=False)) | kwargs
        connection = given.get("conn")
        exchange = self._begin(pool, connection, given.get("method"), given.get("url"), given.get("headers"))
        if exchange is not None and exchange.claim is None:
            exchange.keep_body(given.get("body"))
        return exchange

    def _begin(self, pool: Any, connection: Any, method: object, path: object, headers: object) -> Exchange | None:
        if not self.active or connection is None:
            return None
        state = self._state(connection)
        if state.pending is not None:
            self.calls.record_request(state.pending)
        exchange = self.calls.begin_exchange(state, method, path, login_of(headers), pool)
        exchange.connection = ref(connection)
        return exchange

    @never_breaks_the_host
    def on_response(self, _owner: Any, exchange: Exchange, response: Any, error: Error) -> None:
        """Take the head of a response; the body was read with it, or follows. After an error, none came."""
        connection = exchange.connection()
        if error is not None:
            if not exchange.connect_failed:
                exchange.error = root_error(error)
                self._learn_target(connection, exchange)
                self.calls.record_request(exchange)
            return
        self._learn_target(connection, exchange)
        headers = getattr(response, "headers", None) or {}
        is_final = self.calls.learn_response(exchange, int(getattr(response, "status", 0) or 0), headers.get)
        body = getattr(response, "_original_response", None) or response
        if is_final or getattr(body, "fp", None) is None:
            self.calls.record_request(exchange)
        else:
            exchange.state.pending = exchange
            self._by_response[body] = exchange
            # A layer above knows by itself what it unpacked, and does not wait.
            if self.sees_decoding and exchange.claim is None:
                exchange.compressed = headers.get("Content-Encoding", "identity") != "identity"
                length = "" if exchange.compressed else headers.get("Content-Length", "")
                exchange.document = document_kind(headers.get("Content-Type"), length)
                if exchange.document or exchange.compressed:
                    self._packed[body] = exchange

    @never_breaks_the_host
    def on_body_end(self, body: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Count the bytes where the standard library lets go of a response's file: the socket still stands."""
        exchange = self._by_response.pop(body, None)
        if exchange is not None:
            if not self._is_still_packed(body, exchange):
                self.calls.record_request(exchange)
            return
        current = self.current.get()
        if current is not None and not current.state.connecting_ns:
            current.counted.add_if_open(current.state)

    def _is_still_packed(self, body: Any, exchange: Exchange) -> bool:
        """Return whether the end of a body is yet to be unpacked; then count its bytes: the socket still stands."""
        if body not in self._packed:
            return False
        response = exchange.response() if exchange.response is not None else None
        # urllib3's own reading of chunks unpacks each at once; and the app may close a body before its end.
        is_inspected = not exchange.compressed and not (exchange.document and not exchange.head)
        if is_inspected or getattr(response, "chunk_left", None) == 0 or getattr(body, "length", None):
            del self._packed[body]
            return False
        exchange.counted.add_if_open(exchange.state)
        exchange.ended = True
        if exchange.state.pending is exchange:
            exchange.state.pending = None
        finalize(body, self._record_late, exchange).atexit = False  # it may never be unpacked
        return True

    @never_breaks_the_host
    def on_decode(self, _response: Any, args: Args, kwargs: Kwargs) -> tuple[Any, Any] | None:
        """Note a piece of a body, and whether urllib3's decoder is to unpack it."""
        return argument(args, kwargs, 0, "data"), argument(args, kwargs, 1, "decode_content")

    @never_breaks_the_host
    def on_decode_end(self, response: Any, piece: tuple[Any, Any], result: Any, _error: Error) -> None:
        """Count and inspect a piece of a body that went through urllib3's decoder."""
        data, unpacks = piece
        plain = b"" if result is None else result
        body, decoder = getattr(response, "_original_response", None), getattr(response, "_decoder", None)
        exchange = self._packed.get(body) if body is not None else None
        if exchange is None:
            exchange = self.current.get()  # read at once, before its head has been looked at
            if exchange is not None and exchange.claim is None and exchange.document is None:
                exchange.document = document_kind((getattr(response, "headers", None) or {}).get("Content-Type"))
        if exchange is None:
            return
        exchange.inspect(plain)
        exchange.response = exchange.response or ref(response)
        if unpacks and decoder is not None:
            packed, size = exchange.unpacked or (0, 0)
            exchange.unpacked = packed + len(data), size + len(plain)
        if exchange.ended and not getattr(decoder, "has_unconsumed_tail", False):
            self._packed.pop(body, None)
            self.calls.record_request(exchange)

    @never_breaks_the_host
    def on_release(self, _pool: Any, args: Args, kwargs: Kwargs) -> None:
        """Record what still waits on a connection that goes back to its pool."""
        connection = args[0] if args else kwargs.get("conn")
        state = self._states.get(connection) if connection is not None else None
        if state is not None and state.pending is not None:
            self.calls.record_request(state.pending)

    def disable(self) -> None:
        """Record calls whose bodies have not ended, and nothing from now on: the probe is removed."""
        super().disable()
        self.flush()

    def flush(self) -> None:
        """Record what is still waiting for its body."""
        for state in list(self._states.values()):
            if state.pending is not None:
                self.calls.record_request(state.pending)
        for exchange in list(self._packed.values()):
            self.calls.record_request(exchange)

    def _session_of(self, connection: Any) -> Session:
        return session_of(connection, tls=self._is_tls(connection))

    def _is_tls(self, connection: Any) -> bool:
        return isinstance(connection, self.tls_class)

    def _learn_target(self, connection: Any, exchange: Exchange) -> None:
        """Set session, URL and statement, now that the connection stands."""
        if exchange.session is not None:
            return
        state = exchange.state
        if state.session is None and getattr(connection, "sock", None) is not None:  # older than this probe
            state.session = self._session_of(connection)
            state.socket, state.number = ref(connection.sock), descriptor(connection.sock)
            state.wire = SocketCounters(state.number)
        self.calls.set_target(exchange, state.session or self._session_of(connection), tls=self._is_tls(connection))
