"""What every HTTP client's probe does with a request once it is known: name it, learn from its answer, tell it once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import Carried, Claim, claim_of
from backwatch.collector.probes.families.http.session import endpoint_of, forwarded, redirect_target, scheme_of
from backwatch.collector.probes.families.http.state import Exchange, Link
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.redaction import http as redact
from backwatch.collector.runtime.record import AttributeValue, Session
from backwatch.collector.session.socket_counters import SocketCounters

MAX_PATH: Final = 8_192
MAX_SESSIONS: Final = 16
"""Sessions kept per connection: targets behind one proxy, and accounts."""


class Teller:
    """Tells requests and connections, each to who wants to know.

    Args:
        recorder: Where requests are told that nobody claims; ``None``: nowhere.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self.recorder = recorder
        self.active = True

    def exchange(self, link: Link, method: object, path: object, login: tuple[str, str], owner: Any) -> Exchange:
        """A request that is about to be made, by whoever is on the stack.

        Args:
            owner: The pool or session that sends it, for the layer above that may have claimed it.
        """
        verb, target = words(method, 20).upper(), words(path, MAX_PATH)
        made = Exchange(link, verb, target, login, claim_of(owner, verb, target))
        if made.claim is None and self.recorder is not None:
            made.caller = self.recorder.capture_caller()
        return made

    def tell_connect(
        self,
        claim: Claim | None,
        session: Session,
        start_ns: int,
        wire: SocketCounters | None,
        error: BaseException | None,
    ) -> None:
        """A connection was made, or could not be."""
        if claim is not None:
            claim.connected(session, start_ns, wire, error)
        elif self.recorder is not None:
            self.recorder.record_call(session, "connect", start_ns=start_ns, wire=wire, error=error)

    def tell(self, exchange: Exchange) -> None:
        """The request is done with; only the first time counts."""
        link = exchange.link
        if link.pending is exchange:
            link.pending = None
        if exchange.told or exchange.session is None:
            return
        exchange.told = True
        if not exchange.ended:  # what the connection carries by now is another's
            exchange.counted.add_if_open(link)
        if exchange.claim is not None:
            self._carried(exchange, exchange.session)
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
            exchange.judge()
            if exchange.signs:
                facts = add_indicators(facts, exchange.signs)
            self.recorder.record_call(
                exchange.session, exchange.method, statement=exchange.statement, start_ns=exchange.start_ns,
                error=exchange.error, facts=facts, caller=exchange.caller, **volume,
            )  # fmt: skip

    @staticmethod
    def _carried(exchange: Exchange, session: Session) -> None:
        claim, known = exchange.claim, Carried(
            session, exchange.start_ns, wire=exchange.counted, status=exchange.status, target=exchange.target,
            error=exchange.error,
        )  # fmt: skip
        if exchange.estimate is not None:
            known = known._replace(wire=None, estimated=(exchange.estimate[0], exchange.estimate[1]))
        if claim is not None:
            claim.carried(known)

    def place(self, exchange: Exchange, session: Session, *, tls: bool) -> None:
        """URL, statement and session, now that the connection is known."""
        exchange.url = exchange.path
        if not scheme_of(exchange.path):
            host = f"[{session.address}]" if ":" in session.address else session.address
            exchange.url = f"{'https' if tls else 'http'}://{host}:{session.port}{exchange.path}"
        if exchange.claim is None:
            exchange.statement = redact.statement(exchange.method, exchange.url)
        exchange.session = self._session(exchange.link, session, exchange)

    def heed(self, exchange: Exchange, status: int, header: Callable[[str], object]) -> bool:
        """Learns from the head of the answer; true where it is to be told at once: its body may never be read."""
        exchange.status = status
        facts: list[tuple[str, AttributeValue]] = [(names.HTTP_METHOD, exchange.method), (names.HTTP_STATUS, status)]
        if status >= 400:
            exchange.error = str(status)
        # A redirect is told at once: where it leads matters, and the app may never read its body.
        target = redirect_target(exchange.url, header("Location")) if 300 <= status < 400 else ""
        if target:
            exchange.target = target
            facts.append((names.REDIRECT_TARGET, target))
        exchange.facts = tuple(facts)
        self._server(exchange, header("Server"))
        return bool(target) or status == 101 or "event-stream" in words(header("Content-Type"))

    def _session(self, link: Link, session: Session, exchange: Exchange) -> Session:
        """The session as this request uses it: its account, and behind a forwarding proxy its target."""
        address, port, scheme = session.address, session.port, ""
        if exchange.url is exchange.path:
            address, port = endpoint_of(exchange.url)
            scheme = scheme_of(exchange.url)
        account, method = exchange.login
        key = (scheme, address, port, account, method)
        if key == ("", session.address, session.port, "", ""):
            return session
        known = link.sessions.get(key)
        if known is None:
            if len(link.sessions) >= MAX_SESSIONS:
                link.sessions.clear()
            if scheme:
                session = forwarded(session, scheme, address, port)
            known = link.sessions[key] = replace(session, encoded=[], account=account, auth_method=method)
        return known

    def _server(self, exchange: Exchange, server: object) -> None:
        """What the server calls itself, learnt from a connection's first response."""
        link, session = exchange.link, exchange.session
        if session is None or link.session is None or link.session.server_version or not server:
            return
        version = words(server, 80)
        if "@" in version:
            version = version.partition("(")[0].strip() if "@" not in version.partition("(")[0] else "?"
        link.session = replace(link.session, encoded=[], server_version=version)
        link.sessions.clear()
        exchange.session = self._session(link, link.session, exchange)
