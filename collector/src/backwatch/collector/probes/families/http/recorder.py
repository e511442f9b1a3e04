"""The common part of every HTTP client's observer: target and response of a request, and its one record."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.exposure.cells import cells_of_body
from backwatch.collector.exposure.observation import sent_facts
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import Claim, FinishedRequest, take_claim
from backwatch.collector.probes.families.http.session import endpoint_of, forward_session, redirect_target, scheme_of
from backwatch.collector.probes.families.http.state import Exchange, HttpConnectionState
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import http as redact
from backwatch.collector.runtime.keyed_cache import remember
from backwatch.collector.runtime.record import AttributeValue, Session
from backwatch.collector.session.socket_counters import SocketCounters

MAX_PATH: Final = 8_192
MAX_SESSIONS: Final = 16
"""Sessions kept per connection: targets behind one proxy, and accounts."""


class HttpCallRecorder:
    """Records requests and connections, or hands them to the layer that claimed them.

    Args:
        recorder: Receives the requests without a claim; ``None``: they are not recorded.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self.recorder = recorder

    def begin_exchange(
        self, state: HttpConnectionState, method: object, path: object, login: tuple[str, str], owner: Any
    ) -> Exchange:
        """Return a request that is about to be made by the caller on the stack.

        Args:
            owner: The pool or session that sends it, for the layer above that may have claimed it.
        """
        verb, target = words(method, 20).upper(), words(path, MAX_PATH)
        exchange = Exchange(state, verb, target, login, take_claim(owner, verb, target))
        if exchange.claim is None and self.recorder is not None:
            exchange.caller = self.recorder.capture_caller()
        return exchange

    def record_connect(
        self,
        claim: Claim | None,
        session: Session,
        start_ns: int,
        wire: SocketCounters | None,
        error: Error,
    ) -> None:
        """Record a connect, or its failure."""
        if claim is not None:
            claim.on_connect(session, start_ns, wire, error)
        elif self.recorder is not None:
            self.recorder.record_call(session, "connect", start_ns=start_ns, wire=wire, error=error)

    def record_request(self, exchange: Exchange) -> None:
        """Record a request that has ended. Only the first call counts."""
        state = exchange.state
        if state.pending is exchange:
            state.pending = None
        if exchange.reported or exchange.session is None:
            return
        exchange.reported = True
        if not exchange.ended:  # by now the connection carries another request's bytes
            exchange.counted.add_if_open(state)
        if exchange.claim is not None:
            self._hand_over(exchange, exchange.claim, exchange.session)
        elif self.recorder is not None:
            volume: dict[str, Any] = {"wire": exchange.counted}
            if exchange.estimate is not None:
                volume = {"estimated": (exchange.estimate[0], exchange.estimate[1])}
            facts = exchange.facts
            if exchange.unpacked is not None:
                packed, size = exchange.unpacked
                facts = (*facts, (names.PAYLOAD_WIRE, packed), (names.PAYLOAD_SIZE, size))
            if redact.carries_secret(exchange.path):
                facts = (*facts, (names.URL_SECRET, True))
            exchange.finish_inspection()
            if exchange.signs:
                facts = add_indicators(facts, exchange.signs)
            if exchange.body is not None:
                facts += sent_facts(exchange.statement, lambda: cells_of_body(exchange.body))
            facts += exchange.received
            self.recorder.record_call(
                exchange.session, exchange.method, statement=exchange.statement, start_ns=exchange.start_ns,
                error=exchange.error, facts=facts, caller=exchange.caller, **volume,
            )  # fmt: skip

    @staticmethod
    def _hand_over(exchange: Exchange, claim: Claim, session: Session) -> None:
        request = FinishedRequest(
            session, exchange.start_ns, wire=exchange.counted, status=exchange.status, target=exchange.target,
            error=exchange.error,
        )  # fmt: skip
        if exchange.estimate is not None:
            request = request._replace(wire=None, estimated=(exchange.estimate[0], exchange.estimate[1]))
        claim.on_request_end(request)

    def set_target(self, exchange: Exchange, session: Session, *, tls: bool) -> None:
        """Set URL, statement and session, now that the connection is known."""
        exchange.url = exchange.path
        if not scheme_of(exchange.path):
            host = f"[{session.address}]" if ":" in session.address else session.address
            exchange.url = f"{'https' if tls else 'http'}://{host}:{session.port}{exchange.path}"
        if exchange.claim is None:
            exchange.statement = redact.to_statement(exchange.method, exchange.url)
        exchange.session = self._session_for(exchange.state, session, exchange)

    def learn_response(self, exchange: Exchange, status: int, header: Callable[[str], object]) -> bool:
        """Learn from the head of the response; return true where it is to be recorded now, without its body."""
        exchange.status = status
        facts: list[tuple[str, AttributeValue]] = [(names.HTTP_METHOD, exchange.method), (names.HTTP_STATUS, status)]
        if status >= 400:
            exchange.error = str(status)
        # A redirect is recorded at once: its target matters, and the app may never read its body.
        target = redirect_target(exchange.url, header("Location")) if 300 <= status < 400 else ""
        if target:
            exchange.target = target
            facts.append((names.REDIRECT_TARGET, target))
        exchange.facts = tuple(facts)
        self._learn_server(exchange, header("Server"))
        return bool(target) or status == 101 or "event-stream" in words(header("Content-Type"))

    def _session_for(self, state: HttpConnectionState, session: Session, exchange: Exchange) -> Session:
        """Return the session as this request uses it: its account, and behind a forwarding proxy its target."""
        address, port, scheme = session.address, session.port, ""
        if exchange.url is exchange.path:
            address, port = endpoint_of(exchange.url)
            scheme = scheme_of(exchange.url)
        account, method = exchange.login
        key = (scheme, address, port, account, method)
        if key == ("", session.address, session.port, "", ""):
            return session
        known = state.sessions.get(key)
        if known is None:
            if scheme:
                session = forward_session(session, scheme, address, port)
            session = replace(session, encoded=[], account=account, auth_method=method)
            known = remember(state.sessions, key, session, MAX_SESSIONS)
        return known

    def _learn_server(self, exchange: Exchange, server: object) -> None:
        """Learn the server's version from the first response of a connection."""
        state, session = exchange.state, exchange.session
        if session is None or state.session is None or state.session.server_version or not server:
            return
        version = words(server, 80)
        if "@" in version:
            version = version.partition("(")[0].strip() if "@" not in version.partition("(")[0] else "?"
        state.session = replace(state.session, encoded=[], server_version=version)
        state.sessions.clear()
        exchange.session = self._session_for(state, state.session, exchange)
