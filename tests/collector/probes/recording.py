"""A recorder for tests: keeps the records of probes, by contract names."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from backwatch.collector import names
from backwatch.collector.pipeline.call_site import find_call_site
from backwatch.collector.pipeline.encoder import session_attributes
from backwatch.collector.probes import Probe
from backwatch.collector.runtime.record import CLIENT, AttributeValue, Caller, Session
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One call as the probe recorded it; bytes read from the wire at that moment."""

    session: Session
    operation: str
    sql: object
    statement: str
    sent: int
    received: int
    estimated: bool
    rows_returned: int
    rows_affected: int
    error: BaseException | str | None
    facts: dict[str, AttributeValue]
    kind: int
    caller: Caller | None = field(repr=False)  # its function's name may be that of a test on secrets

    def attributes(self) -> dict[str, object]:
        """Return all recorded facts, by contract name."""
        recorded: dict[str, object] = {**session_attributes(self.session), **self.facts}
        counts = {
            names.BYTES_SENT: self.sent,
            names.BYTES_RECEIVED: self.received,
            names.ROWS_RETURNED: self.rows_returned,
            names.ROWS_AFFECTED: self.rows_affected,
        }
        if self.estimated:
            recorded[names.BYTES_ESTIMATED] = True
        recorded.update({name: count for name, count in counts.items() if count >= 0})
        if self.sql is not None:
            recorded[names.QUERY_TEXT] = self.sql
        if self.operation or self.sql is not None:
            recorded[names.OPERATION] = self.operation
        if self.statement:
            recorded[names.STATEMENT] = self.statement
        if self.error is not None:
            recorded[names.ERROR_TYPE] = self.error if isinstance(self.error, str) else type(self.error).__name__
        return recorded


@dataclass
class Recording:
    """A recorder that keeps calls in order."""

    calls: list[RecordedCall] = field(default_factory=list[RecordedCall])

    def record_call(
        self, session: Session, operation: str, *, start_ns: int, sql: object = None, statement: str = "",
        wire: SocketCounters | None = None, estimated: tuple[int, int] = UNKNOWN, rows_returned: int = -1,
        rows_affected: int = -1, error: BaseException | str | None = None,
        facts: tuple[tuple[str, AttributeValue], ...] = (), kind: int = CLIENT, caller: Caller | None = None,
    ) -> None:  # fmt: skip
        assert start_ns > 0
        assert wire is None or estimated is UNKNOWN
        sent, received = estimated if wire is None else wire.read_delta()
        recorded = RecordedCall(
            session=session, operation=operation, sql=sql, statement=statement, sent=sent, received=received,
            estimated=estimated is not UNKNOWN, rows_returned=rows_returned, rows_affected=rows_affected,
            error=error, facts=dict(facts), kind=kind, caller=caller,
        )  # fmt: skip
        self.calls.append(recorded)

    def capture_caller(self) -> Caller | None:
        """A stand-in that names the app's frame."""
        return Caller(1, 2, find_call_site(2), "")

    def of(self, operation: str) -> list[RecordedCall]:
        """Return calls with this operation."""
        return [one for one in self.calls if one.operation == operation]

    def find(self, text: str) -> list[RecordedCall]:
        """Return calls whose statement contains ``text``."""
        return [one for one in self.calls if text in _readable(one.sql)]


def _readable(sql: object) -> str:
    return sql.decode() if isinstance(sql, bytes) else str(sql)


class Raising:
    """A recorder with a fault."""

    def capture_caller(self) -> Caller | None:
        raise LookupError("an internal fault")

    def record_call(self, *args: object, **kwargs: object) -> None:
        raise LookupError("an internal fault")


@contextmanager
def watching(kind: type[Probe], recorder: Recording | Raising | None = None) -> Generator[Recording]:
    """Observe the driver inside the block."""
    recording = recorder or Recording()
    probe = kind()
    probe.instrument(recorder=recording, skip_dep_check=True)
    try:
        yield recording if isinstance(recording, Recording) else Recording()
    finally:
        probe.uninstrument()
