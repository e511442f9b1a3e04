"""A client's call, its transport's call, and the claims on the latter's HTTP requests."""

from base64 import b64decode
from binascii import Error as NoBase64
from typing import Any, Final
from urllib.parse import urlsplit

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.attempt import Attempt
from backwatch.collector.probes.families.http.claims import Claim, FinishedRequest
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters

MAX_TEXT_CHARS: Final = 200


class ClientCall:
    """One call of a client's method.

    Attributes:
        reads: The driver parses the rows of the result.
        parsed: It has begun to.
        version: The server's, once the client knows it.
    """

    __slots__ = ("parsed", "reads", "sql", "transport_call", "version")

    def __init__(self, client: Any, sql: object, *, reads: bool = False) -> None:
        self.version = words(getattr(client, "server_version", ""))
        self.sql = sql
        self.reads = reads
        self.parsed = False
        self.transport_call: TransportCall | None = None


class _HttpAttempt(Attempt):
    """An attempt with the caller of its request. Its rows may be read later, on any thread."""

    __slots__ = ()

    def finish(self, *, body_follows: bool = False) -> None:
        self._caller = self._recorder.capture_caller()
        super().finish(body_follows=body_follows)


class TransportCall(Claim):
    """One call of the transport: a claim for each request that it sends, one after the other."""

    def __init__(
        self, recorder: Recorder, owner: Any, client_call: "ClientCall | None", method: str, path: str
    ) -> None:
        self.recorder = recorder
        self.client_call = client_call
        self.method = method
        self.session_facts: dict[str, Any] = {"system": "clickhouse"}
        self.operation = ""
        self.sql: object = None
        self.waits = False
        self.attempt: _HttpAttempt | None = None
        parts = urlsplit(words(getattr(owner, "url", None) or getattr(owner, "_base_url", ""), 2_000))
        self._host, self._path = (parts.hostname or "").lower(), path or parts.path or "/"

    @property
    def taken(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One of its requests is sent and has not ended."""
        attempt = self.attempt
        return attempt is not None and attempt.request is None and not attempt.reported

    @taken.setter
    def taken(self, value: bool) -> None:
        del value
        self._finish_last()
        attempt = self.attempt = _HttpAttempt(self.recorder, self.covers, self.operation, self.session_facts)
        attempt.sql = self.sql
        attempt.taken = True

    def _finish_last(self) -> None:
        """End the request before the next one: its response was an error, a redirect, or never came."""
        before = self.attempt
        if before is not None and not before.reported:
            before.facts = facts_of(before.request)
            before.finish()

    def covers(self, owner: Any, method: str, target: str) -> bool:
        """Return whether a request on this connection belongs to the call."""
        before = self.attempt.request if self.attempt is not None else None
        if before is not None and before.target:
            return True  # the target of a redirect
        if method != self.method:
            return False
        host = getattr(owner, "host", None)
        if "://" in target[:12]:  # through a proxy that forwards
            parts = urlsplit(target)
            host, target = parts.hostname, parts.path
        if isinstance(host, str) and host.strip("[]").lower() != self._host:
            return False
        return (target.partition("?")[0].rstrip("/") or "/") == (self._path.rstrip("/") or "/")

    def on_connect(self, session: Session, start_ns: int, wire: SocketCounters | None, error: Error) -> None:
        """Record the connection that the call makes."""
        if self.attempt is None or self.attempt.reported:  # made before its request
            _HttpAttempt(self.recorder, self.covers, "", self.session_facts).on_connect(session, start_ns, wire, error)
        else:
            self.attempt.on_connect(session, start_ns, wire, error)

    def on_request_end(self, request: FinishedRequest) -> None:
        """Take the HTTP request that has ended."""
        if self.attempt is not None:
            self.attempt.on_request_end(request)


def facts_of(request: FinishedRequest | None, code: str = "") -> tuple[tuple[str, Any], ...]:
    """Return the facts of a call by the HTTP response that ended it."""
    facts: list[tuple[str, Any]] = []
    if request is not None and request.status:
        facts.append((names.HTTP_STATUS, request.status))
    if code:
        facts.append((names.STATUS_CODE, code))
    if request is not None and request.target:
        facts.append((names.REDIRECT_TARGET, request.target))
    return tuple(facts)


def login_of(headers: Any) -> dict[str, Any]:
    """Return the facts of logins that HTTP does not see: by a certificate, or without a password."""
    if headers.get("X-ClickHouse-SSL-Certificate-Auth"):
        return {"account": words(headers.get("X-ClickHouse-User"), MAX_TEXT_CHARS), "auth_method": "certificate"}
    scheme, _, rest = words(headers.get("Authorization"), 2_000).partition(" ")
    if scheme.lower() == "basic":
        try:
            if b64decode(rest, validate=True).endswith(b":"):
                return {"auth_method": "none"}
        except (NoBase64, ValueError):
            pass
    return {}
