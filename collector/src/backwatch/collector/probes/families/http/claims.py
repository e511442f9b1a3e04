"""One request, one record: a layer above HTTP (botocore, elasticsearch …) claims the request that it is about to send.

HTTP's probe then records nothing for it, but hands over what only it can know: the session, the bytes, and when the
body has been read. A claim is good for one request, that of the claiming layer's own pool or session: whatever else
the app sends while it stands (a token, a body that is fetched while it is sent) is told by HTTP's probe as ever.

    with claiming(claim):                     # the layer above, around the one call that sends
        response = original(...)
    claim = claim_of(pool, "GET", "/path")    # HTTP's probe, where the request goes out
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final, NamedTuple

from backwatch.collector.runtime.context_variables import reset_variable
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters

MAX_NAMED: Final = 256

_claim: ContextVar["Claim | None"] = ContextVar("backwatch_http_claim", default=None)


class Carried(NamedTuple):
    """What HTTP's probe knows of a claimed request when it is done with it.

    Attributes:
        session: As HTTP's probe would have told it.
        wire: What gives this request's bytes, at any later time too; ``None`` where ``estimated`` does.
        status: 0 where no answer came.
        target: Where a redirect leads, without secrets.
        error: What went wrong on the wire, or the status from 400 on.
    """

    session: Session
    start_ns: int
    wire: SocketCounters | None = None
    estimated: tuple[int, int] = UNKNOWN
    status: int = 0
    target: str = ""
    error: BaseException | str | None = None


class Claim:
    """One request that the layer above tells itself."""

    taken = False

    def covers(self, owner: Any, method: str, target: str) -> bool:
        """Whether a request that goes out now is the claimed one.

        Args:
            owner: The pool (urllib3) or session (aiohttp, httpx) that sends it.
            target: Path and query, or the whole URL.
        """
        raise NotImplementedError

    def connected(
        self, session: Session, start_ns: int, wire: SocketCounters | None, error: BaseException | None
    ) -> None:
        """A connection was made for this request, or could not be: then the request itself never went out."""
        raise NotImplementedError

    def carried(self, carried: Carried) -> None:
        """HTTP's probe is done with the request: its answer's body was read, let go, or never came."""
        raise NotImplementedError


@contextmanager
def claiming(claim: Claim | None) -> Generator[None]:
    """Inside the block the next request that ``claim`` covers is claimed. ``None`` claims nothing."""
    token = _claim.set(claim)
    try:
        yield
    finally:
        reset_variable(_claim, token)


def claim_of(owner: Any, method: str, target: str) -> Claim | None:
    """Takes the claim on the request that goes out now, if there is one: it is then good for no other."""
    claim = _claim.get()
    if claim is None or claim.taken or not claim.covers(owner, method, target):
        return None
    claim.taken = True
    return claim


def awaited() -> Claim | None:
    """The claim whose request has not gone out yet: for the connection that a proxy's tunnel makes before it."""
    claim = _claim.get()
    return None if claim is None or claim.taken else claim


class Named:
    """HTTP's sessions under the names that the layer above gives them, made once for each."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[Session, Session]] = {}

    def of(self, session: Session, **changes: Any) -> Session:
        """That session with these changes; the same object for the same ones, so that it is encoded once."""
        key = (id(session), *changes.values())
        found = self._known.get(key)
        if found is not None and found[0] is session:
            return found[1]
        if len(self._known) >= MAX_NAMED:
            self._known.clear()
        named = replace(session, encoded=[], **changes)
        self._known[key] = session, named
        return named
