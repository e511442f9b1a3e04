"""One attempt of a layer above HTTP, reported once both are done: the layer with its response, HTTP with the bytes."""

from collections.abc import Callable
from time import time_ns
from typing import Any, Final

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import Claim, ClaimedSessions, FinishedRequest
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.runtime.record import CLIENT, Caller, Facts, Session
from backwatch.collector.session.socket_counters import SocketCounters

Covers = Callable[[Any, str, str], bool]

_SESSIONS: Final = ClaimedSessions()


class Attempt(Claim):
    """A claimed request, and what its layer knows of it.

    The layer fills in the attributes and calls :meth:`finish`; HTTP's probe calls :meth:`on_connect` and
    :meth:`on_request_end`.

    Args:
        covers: Return whether the pool, the method and the path are those of this request.
        session_facts: The layer's changes to HTTP's session: keyword arguments of ``Session``, always in one order.
    """

    __slots__ = (
        "_caller", "_covers", "_finished", "_held", "_recorder", "_request", "_session_facts", "error", "facts",
        "fallback_session", "head", "kind", "operation", "reported", "rows_affected", "rows_returned", "sent", "sql",
        "start_ns", "statement", "taken",
    )  # fmt: skip

    def __init__(self, recorder: Recorder, covers: Covers, operation: str, session_facts: dict[str, Any]) -> None:
        self._recorder = recorder
        self._covers = covers
        self._session_facts = session_facts
        self._caller: Caller | None = None
        self._request: FinishedRequest | None = None
        self._finished = False
        self._held = 0
        self.taken = self.reported = self.sent = False
        self.start_ns = time_ns()
        self.operation = operation
        self.statement = ""
        self.head = b""
        self.sql: object = None
        self.kind = CLIENT
        self.rows_returned = self.rows_affected = -1
        self.error: BaseException | str | None = None
        self.facts: Facts = ()
        self.fallback_session = _UNKNOWN_SESSION
        """The session, where HTTP's probe did not see it."""

    @property
    def request(self) -> FinishedRequest | None:
        """The finished HTTP request; ``None`` where the request has not ended, or no probe sees it."""
        return self._request

    @property
    def session_facts(self) -> dict[str, Any]:
        """The layer's changes to HTTP's session."""
        return self._session_facts

    def update_session(self, **changes: Any) -> None:
        """Add facts that the response brought."""
        self._session_facts = {**self._session_facts, **changes}

    def covers(self, owner: Any, method: str, target: str) -> bool:
        """Return whether a request on this connection belongs to the attempt."""
        return self._covers(owner, method, target)

    def on_connect(self, session: Session, start_ns: int, wire: SocketCounters | None, error: Error) -> None:
        """Record the connection that the attempt makes."""
        self._recorder.record_call(
            _SESSIONS.get(session, **self._session_facts), "connect", start_ns=start_ns, wire=wire, error=error
        )
        self.reported = error is not None  # the request never went out: the failed connection is all there is to report

    def on_request_end(self, request: FinishedRequest) -> None:
        """Take the HTTP request that has ended."""
        self._request = request
        if self._finished:
            self._record()

    def hold(self) -> None:
        """Put the record off until :meth:`release`: more facts are about to come."""
        self._held += 1

    def release(self) -> None:
        """Undo one :meth:`hold`."""
        self._held -= 1
        if self._finished and self._request is not None:
            self._record()

    def finish(self, *, body_follows: bool = False) -> None:
        """End the layer's part.

        Args:
            body_follows: The app reads the body later; the call is recorded when it has.
        """
        self._finished = True
        if self._request is not None or not body_follows or not self.taken:
            self._record()
        else:
            self._caller = self._recorder.capture_caller()

    def _record(self) -> None:
        if self.reported or self._held > 0:
            return
        self.reported = True
        request = self._request or FinishedRequest(self.fallback_session, self.start_ns)
        self._recorder.record_call(
            _SESSIONS.get(request.session, **self._session_facts), self.operation, start_ns=self.start_ns,
            sql=self.sql, statement=self.statement, wire=request.wire, estimated=request.estimated,
            rows_returned=self.rows_returned, rows_affected=self.rows_affected,
            error=self.error if self.error is not None else request.error, facts=self.facts, kind=self.kind,
            caller=self._caller,
        )  # fmt: skip


_UNKNOWN_SESSION: Final = Session(system="http", transport="")
