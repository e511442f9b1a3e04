"""One call per request on the wire, told when its body has been read: only then are its bytes known.

The end of a body is where the standard library lets go of the response's file, which comes before the socket may be
closed or another request may use it. A response that is never read is told when its connection goes back to the pool,
is used again, or when it is itself let go.
"""

import time
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from backwatch.collector import names
from backwatch.collector.guard import never_breaks_the_host
from backwatch.collector.probes import Recorder
from backwatch.collector.probes._http_claims import Carried, Claim, awaited, claim_of
from backwatch.collector.probes._http_session import endpoint_of, login_of, redirect_target, session_of
from backwatch.collector.probes._http_state import Exchange, Link, Started, nothing
from backwatch.collector.probes._sockets import descriptor, root_error, words
from backwatch.collector.record import AttributeValue, Session
from backwatch.collector.redact import http as redact
from backwatch.collector.wire import Wire

MAX_PATH: Final = 8_192
MAX_SESSIONS: Final = 16
"""Sessions kept per connection: targets behind one proxy, and accounts."""


class Watch:
    """The connections of one process.

    Args:
        recorder: Where requests are told that nobody claims; ``None``: nowhere.
    """

    def __init__(self, recorder: Recorder | None, tls_class: type) -> None:
        self.recorder = recorder
        self.tls_class = tls_class
        self.active = True
        self._links: WeakKeyDictionary[Any, Link] = WeakKeyDictionary()
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
        link.session = session_of(connection, tls=isinstance(connection, self.tls_class))
        link.socket = ref(connection.sock)
        link.number = descriptor(connection.sock)
        link.wire = Wire(link.number)
        self._tell_connect(self._claim_of(link), link.session, start_ns, link.wire, None)

    @never_breaks_the_host
    def connect_failed(self, connection: Any, link: Link, error: BaseException) -> None:
        """It was not: the request of its own is not told, it never was on the wire."""
        start_ns, link.connecting_ns = link.connecting_ns, 0
        link.session, link.socket = None, nothing
        current = self._current.get()
        if current is not None and current.link is link:
            current.connect_failed = True
        session = session_of(connection, tls=isinstance(connection, self.tls_class))
        # What came before the failure is no session: the socket may stand, its encryption does not.
        session = replace(session, encoded=[], encrypted=None, verified="")
        self._tell_connect(self._claim_of(link), session, start_ns, None, root_error(error))

    def _claim_of(self, link: Link) -> Claim | None:
        """The claim on the request that this connection is made for."""
        current = self._current.get()
        return current.claim if current is not None and current.link is link else awaited()

    def _tell_connect(
        self, claim: Claim | None, session: Session, start_ns: int, wire: Wire | None, error: BaseException | None
    ) -> None:
        if claim is not None:
            claim.connected(session, start_ns, wire, error)
        elif self.recorder is not None:
            self.recorder.call(session, "connect", start_ns=start_ns, wire=wire, error=error)

    @never_breaks_the_host
    def begin(self, pool: Any, connection: Any, method: object, path: object, headers: object) -> Started | None:
        """A request is about to be made."""
        if not self.active or connection is None:
            return None
        link = self._link(connection)
        if link.pending is not None:
            self._tell(link.pending)
        verb, target = words(method, 20).upper(), words(path, MAX_PATH)
        exchange = Exchange(link, verb, target, login_of(headers), claim_of(pool, verb, target))
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
        self._tell(exchange)

    @never_breaks_the_host
    def answered(self, connection: Any, started: Started, response: Any) -> None:
        """The head of the response was read; the body too, or it will be."""
        exchange = started[0]
        self._current.reset(started[1])
        self._address(connection, exchange)
        exchange.status = status = int(getattr(response, "status", 0) or 0)
        headers = getattr(response, "headers", None) or {}
        facts: list[tuple[str, AttributeValue]] = [(names.HTTP_METHOD, exchange.method), (names.HTTP_STATUS, status)]
        if status >= 400:
            exchange.error = str(status)
        exchange.target = target = redirect_target(exchange.url, headers.get("Location")) if 300 <= status < 400 else ""
        if target:
            facts.append((names.REDIRECT_TARGET, target))
        exchange.facts = tuple(facts)
        self._server(exchange, headers.get("Server"))
        body = getattr(response, "_original_response", None) or response
        endless = status == 101 or "event-stream" in str(headers.get("Content-Type", ""))
        if target or endless or getattr(body, "fp", None) is None:
            # A redirect is told at once: where it leads matters, and the app may never read its body.
            self._tell(exchange)
        else:
            exchange.link.pending = exchange
            self._by_response[body] = exchange

    @never_breaks_the_host
    def body_ends(self, body: Any) -> None:
        """The standard library lets go of a response's file. The socket still stands: its bytes are counted now."""
        exchange = self._by_response.pop(body, None)
        if exchange is not None:
            self._tell(exchange)
            return
        current = self._current.get()
        if current is not None and not current.link.connecting_ns:
            current.counted.add_if_open(current.link)

    @never_breaks_the_host
    def released(self, connection: Any) -> None:
        """The connection goes back to its pool."""
        link = self._links.get(connection) if connection is not None else None
        if link is not None and link.pending is not None:
            self._tell(link.pending)

    def settle(self) -> None:
        """Tells what is still waiting for its body."""
        for link in list(self._links.values()):
            if link.pending is not None:
                self._tell(link.pending)

    def _tell(self, exchange: Exchange) -> None:
        link = exchange.link
        if link.pending is exchange:
            link.pending = None
        if exchange.told or exchange.session is None:
            return
        exchange.told = True
        exchange.counted.add_if_open(link)
        if exchange.claim is not None:
            exchange.claim.carried(Carried(
                exchange.session, exchange.start_ns, wire=exchange.counted, status=exchange.status,
                target=exchange.target, error=exchange.error,
            ))  # fmt: skip
        elif self.recorder is not None:
            self.recorder.call(
                exchange.session, exchange.method, statement=exchange.statement, start_ns=exchange.start_ns,
                wire=exchange.counted, error=exchange.error, facts=exchange.facts,
            )  # fmt: skip

    def _address(self, connection: Any, exchange: Exchange) -> None:
        """Session, URL and statement, now that the connection stands."""
        link, tls = exchange.link, isinstance(connection, self.tls_class)
        if link.session is None and getattr(connection, "sock", None) is not None:  # older than this probe
            link.session = session_of(connection, tls=tls)
            link.socket, link.number = ref(connection.sock), descriptor(connection.sock)
            link.wire = Wire(link.number)
        session = link.session or session_of(connection, tls=tls)
        exchange.url = exchange.path
        if "://" not in exchange.path[:12]:
            host = f"[{session.address}]" if ":" in session.address else session.address
            exchange.url = f"{'https' if tls else 'http'}://{host}:{session.port}{exchange.path}"
        if exchange.claim is None:
            exchange.statement = redact.statement(exchange.method, exchange.url)
        exchange.session = self._session(link, session, exchange)

    def _session(self, link: Link, session: Session, exchange: Exchange) -> Session:
        """The session as this request uses it: its account, and behind a forwarding proxy its target."""
        address, port = session.address, session.port
        if exchange.url is exchange.path:
            address, port = endpoint_of(exchange.url)
        key = (address, port, *exchange.login)
        if key == (session.address, session.port, "", ""):
            return session
        known = link.sessions.get(key)
        if known is None:
            account, method = exchange.login
            if len(link.sessions) >= MAX_SESSIONS:
                link.sessions.clear()
            known = replace(session, encoded=[], address=address, port=port, account=account, auth_method=method)
            link.sessions[key] = known
        return known

    def _server(self, exchange: Exchange, server: object) -> None:
        """What the server calls itself, learnt from a connection's first response."""
        link, session = exchange.link, exchange.session
        if session is None or link.session is None or link.session.server_version or not server:
            return
        version = words(server, 80)
        link.session = replace(link.session, encoded=[], server_version=version)
        link.sessions.clear()
        exchange.session = self._session(link, link.session, exchange)
