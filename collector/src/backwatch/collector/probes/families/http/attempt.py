"""One attempt of a layer above HTTP, told once when both are done: that layer with its answer, HTTP with the bytes."""

from collections.abc import Callable
from time import time_ns
from typing import Any, Final

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.claims import Carried, Claim, Named
from backwatch.collector.runtime.record import CLIENT, AttributeValue, Caller, Session
from backwatch.collector.session.socket_counters import SocketCounters

Owns = Callable[[Any, str, str], bool]

_NAMED: Final = Named()


class Attempt(Claim):
    """A claimed request, and what its layer knows of it.

    The layer fills in the attributes and calls :meth:`finish`, HTTP's probe :meth:`connected` and :meth:`carried`.

    Args:
        owns: Whether the pool, the method and the path are those of this request.
        names: What this layer calls HTTP's session: keyword arguments of ``Session``, always in the same order.
    """

    __slots__ = (
        "_caller", "_carried", "_finished", "_held", "_names", "_owns", "_recorder", "error", "facts", "head", "kind",
        "operation", "rows_affected", "rows_returned", "sent", "sql", "start_ns", "statement", "taken", "told",
        "unseen",
    )  # fmt: skip

    def __init__(self, recorder: Recorder, owns: Owns, operation: str, names: dict[str, Any]) -> None:
        self._recorder = recorder
        self._owns = owns
        self._names = names
        self._caller: Caller | None = None
        self._carried: Carried | None = None
        self._finished = False
        self._held = 0
        self.taken = self.told = self.sent = False
        self.start_ns = time_ns()
        self.operation = operation
        self.statement = ""
        self.head = b""
        self.sql: object = None
        self.kind = CLIENT
        self.rows_returned = self.rows_affected = -1
        self.error: BaseException | str | None = None
        self.facts: tuple[tuple[str, AttributeValue], ...] = ()
        self.unseen = _UNSEEN
        """The session, where HTTP's probe was not there to see it."""

    @property
    def carried_by(self) -> Carried | None:
        """What HTTP's probe knows; ``None`` where it is not done yet, or is not there."""
        return self._carried

    @property
    def names(self) -> dict[str, Any]:
        """What this layer calls HTTP's session."""
        return self._names

    def name(self, **changes: Any) -> None:
        """Learns more of the session, from the answer."""
        self._names = {**self._names, **changes}

    def covers(self, owner: Any, method: str, target: str) -> bool:
        """Return whether a request on this connection belongs to the attempt."""
        return self._owns(owner, method, target)

    def connected(
        self, session: Session, start_ns: int, wire: SocketCounters | None, error: BaseException | None
    ) -> None:
        """Record the connection that the attempt makes."""
        self._recorder.record_call(
            _NAMED.of(session, **self._names), "connect", start_ns=start_ns, wire=wire, error=error
        )  # fmt: skip
        self.told = error is not None  # the request never went out: its failed connection is all there is to tell

    def carried(self, carried: Carried) -> None:
        """Take the HTTP request that has ended."""
        self._carried = carried
        if self._finished:
            self._tell()

    def hold(self) -> None:
        """Something more is about to be learnt: told no earlier than :meth:`release`."""
        self._held += 1

    def release(self) -> None:
        """It was learnt."""
        self._held -= 1
        if self._finished and self._carried is not None:
            self._tell()

    def finish(self, *, body_follows: bool = False) -> None:
        """The layer is done.

        Args:
            body_follows: The app reads the body later; the call is told when it has.
        """
        self._finished = True
        if self._carried is not None or not body_follows or not self.taken:
            self._tell()
        else:
            self._caller = self._recorder.capture_caller()

    def _tell(self) -> None:
        if self.told or self._held > 0:
            return
        self.told = True
        carried = self._carried or Carried(self.unseen, self.start_ns)
        self._recorder.record_call(
            _NAMED.of(carried.session, **self._names), self.operation, start_ns=self.start_ns, sql=self.sql,
            statement=self.statement, wire=carried.wire, estimated=carried.estimated, rows_returned=self.rows_returned,
            rows_affected=self.rows_affected, error=self.error if self.error is not None else carried.error,
            facts=self.facts, kind=self.kind, caller=self._caller,
        )  # fmt: skip


_UNSEEN: Final = Session(system="http", transport="")
