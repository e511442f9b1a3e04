"""One call of clickhouse-connect's: what was asked, and the HTTP requests that it takes, claimed one by one."""

from base64 import b64decode
from binascii import Error as NoBase64
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.attempt import Attempt
from backwatch.collector.probes.families.http.claims import Carried, Claim
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters

if TYPE_CHECKING:
    from contextvars import Token

MAX_TEXT: Final = 200


class Question:
    """One call of a client's method.

    Attributes:
        reads: Rows come back that the driver takes apart.
        parsed: It has begun to.
        version: The server's, once the client knows it.
    """

    __slots__ = ("parsed", "reads", "request", "sql", "token", "version")

    def __init__(self, client: Any, sql: object, *, reads: bool = False) -> None:
        self.version = words(getattr(client, "server_version", ""))
        self.sql = sql
        self.reads = reads
        self.parsed = False
        self.request: Request | None = None
        self.token: Token[Question | None] | None = None


class _Asked(Attempt):
    """An attempt that is told by whoever asked, however late and on whatever thread its rows are read."""

    __slots__ = ()

    def finish(self, *, body_follows: bool = False) -> None:
        self._caller = self._recorder.capture_caller()
        super().finish(body_follows=body_follows)


class Request(Claim):
    """One call of the transport: a claim that holds for each request that it sends, one after the other."""

    def __init__(self, recorder: Recorder, owner: Any, question: "Question | None", method: str, path: str) -> None:
        self.recorder = recorder
        self.question = question
        self.method = method
        self.names: dict[str, Any] = {"system": "clickhouse"}
        self.operation = ""
        self.sql: object = None
        self.waits = False
        self.attempt: _Asked | None = None
        parts = urlsplit(words(getattr(owner, "url", None) or getattr(owner, "_base_url", ""), 2_000))
        self._host, self._path = (parts.hostname or "").lower(), path or parts.path or "/"

    @property
    def taken(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether one of its requests is out and not done."""
        attempt = self.attempt
        return attempt is not None and attempt.carried_by is None and not attempt.told

    @taken.setter
    def taken(self, value: bool) -> None:
        del value
        self._give_up()
        made = self.attempt = _Asked(self.recorder, self.covers, self.operation, self.names)
        made.sql = self.sql
        made.taken = True

    def _give_up(self) -> None:
        """Another request follows: the one before it was answered by an error, by a redirect, or not at all."""
        before = self.attempt
        if before is not None and not before.told:
            before.facts = facts_of(before.carried_by)
            before.finish()

    def covers(self, owner: Any, method: str, target: str) -> bool:
        """Return whether a request on this connection belongs to the call."""
        before = self.attempt.carried_by if self.attempt is not None else None
        if before is not None and before.target:
            return True  # where a redirect led
        if method != self.method:
            return False
        host = getattr(owner, "host", None)
        if "://" in target[:12]:  # through a proxy that forwards
            parts = urlsplit(target)
            host, target = parts.hostname, parts.path
        if isinstance(host, str) and host.strip("[]").lower() != self._host:
            return False
        return (target.partition("?")[0].rstrip("/") or "/") == (self._path.rstrip("/") or "/")

    def connected(
        self, session: Session, start_ns: int, wire: SocketCounters | None, error: BaseException | None
    ) -> None:
        """Record the connection that the call makes."""
        if self.attempt is None or self.attempt.told:  # made before its request
            _Asked(self.recorder, self.covers, "", self.names).connected(session, start_ns, wire, error)
        else:
            self.attempt.connected(session, start_ns, wire, error)

    def carried(self, carried: Carried) -> None:
        """Take the HTTP request that has ended."""
        if self.attempt is not None:
            self.attempt.carried(carried)


def facts_of(carried: Carried | None, code: str = "") -> tuple[tuple[str, Any], ...]:
    """Return the facts of a call by the HTTP response that ended it."""
    facts: list[tuple[str, Any]] = []
    if carried is not None and carried.status:
        facts.append((names.HTTP_STATUS, carried.status))
    if code:
        facts.append((names.STATUS_CODE, code))
    if carried is not None and carried.target:
        facts.append((names.REDIRECT_TARGET, carried.target))
    return tuple(facts)


def login_of(headers: Any) -> dict[str, Any]:
    """What HTTP does not know of a login: that of a certificate, and one without a password."""
    if headers.get("X-ClickHouse-SSL-Certificate-Auth"):
        return {"account": words(headers.get("X-ClickHouse-User"), MAX_TEXT), "auth_method": "certificate"}
    scheme, _, rest = words(headers.get("Authorization"), 2_000).partition(" ")
    if scheme.lower() == "basic":
        try:
            if b64decode(rest, validate=True).endswith(b":"):
                return {"auth_method": "none"}
        except (NoBase64, ValueError):
            pass
    return {}
