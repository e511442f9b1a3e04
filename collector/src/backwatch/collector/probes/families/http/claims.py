"""Claims: one request, one record, where a layer above HTTP (botocore, elasticsearch …) reports the request itself.

HTTP's probe then records nothing for it, but hands over what only HTTP knows: the session, the bytes, and when the
body has been read. A claim is good for one request, that of the claiming layer's own pool or session: all else that
the app sends meanwhile (a token, a body that is fetched while it is sent) is reported by HTTP's probe as usual.

    call_hook(observer.on_send, observer.on_response, scope=CURRENT_CLAIM)   # the layer above: its token is the claim
    claim = take_claim(pool, "GET", "/path")                                 # HTTP's probe, where the request goes out
"""

from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final, NamedTuple

from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.runtime.keyed_cache import remember
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters

MAX_SESSIONS: Final = 256

CURRENT_CLAIM: ContextVar["Claim | None"] = ContextVar("backwatch_http_claim", default=None)
"""While it is set, the next request that the claim covers is claimed."""


class FinishedRequest(NamedTuple):
    """A claimed request that has ended, as HTTP's probe knows it.

    Attributes:
        session: As HTTP's probe would have reported it.
        wire: Gives this request's bytes, at any later time too; ``None`` where ``estimated`` does.
        status: 0 where no response came.
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
    """One request that the layer above reports itself."""

    taken = False

    def covers(self, owner: Any, method: str, target: str) -> bool:
        """Return whether a request that goes out now is the claimed one.

        Args:
            owner: The pool (urllib3) or session (aiohttp, httpx) that sends it.
            target: Path and query, or the whole URL.
        """
        raise NotImplementedError

    def on_connect(self, session: Session, start_ns: int, wire: SocketCounters | None, error: Error) -> None:
        """Take the connection made for this request. After an error the request itself never went out."""
        raise NotImplementedError

    def on_request_end(self, request: FinishedRequest) -> None:
        """Take the HTTP request: the body of its response was read or dropped, or never came."""
        raise NotImplementedError


def take_claim(owner: Any, method: str, target: str) -> Claim | None:
    """Take the claim on the request that goes out now, if there is one. It covers no other request afterwards."""
    claim = CURRENT_CLAIM.get()
    if claim is None or claim.taken or not claim.covers(owner, method, target):
        return None
    claim.taken = True
    return claim


def pending_claim() -> Claim | None:
    """Return the claim whose request has not gone out yet: for the connection that a proxy's tunnel makes before it."""
    claim = CURRENT_CLAIM.get()
    return None if claim is None or claim.taken else claim


class ClaimedSessions:
    """HTTP's sessions with the facts of the layer above, made once for each."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[Session, Session]] = {}

    def get(self, session: Session, **changes: Any) -> Session:
        """Return the session with these changes; the same object each time, so that it is encoded once."""
        key = (id(session), *changes.values())
        found = self._known.get(key)
        if found is not None and found[0] is session:
            return found[1]
        changed = replace(session, encoded=[], **changes)
        return remember(self._known, key, (session, changed), MAX_SESSIONS)[1]
