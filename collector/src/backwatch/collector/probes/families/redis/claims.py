"""One command, one record: a layer above Redis (kombu) claims the command that carries its message.

Redis' probe then tells nothing of it, but hands over what only it can know: session, bytes, times and errors. Whatever
else goes to Redis meanwhile is told by Redis' probe as ever.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from backwatch.collector.payload.formats import Facts
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters


class Carried(NamedTuple):
    """What Redis' probe would have told.

    Attributes:
        wire: Its next reading gives this command's bytes.
        rows: Members of the reply; -1 where it is no collection.
    """

    session: Session
    operation: str
    statement: str
    start_ns: int
    wire: SocketCounters | None
    rows: int
    error: BaseException | str | None
    facts: Facts


class Claim:
    """Commands of which the first one is told by the layer above.

    Attributes:
        carried: That command, once it has been answered.
    """

    def __init__(self, *commands: str) -> None:
        self._commands = commands
        self.carried: Carried | None = None

    def takes(self, operation: str) -> bool:
        """Whether this command is the claimed one: then :attr:`carried` must be set."""
        return self.carried is None and operation in self._commands


_claim: ContextVar[Claim | None] = ContextVar("backwatch_redis_claim", default=None)
current = _claim.get


@contextmanager
def claiming(claim: Claim) -> Generator[None]:
    """Inside the block the claim stands."""
    token = _claim.set(claim)
    try:
        yield
    finally:
        _claim.reset(token)
