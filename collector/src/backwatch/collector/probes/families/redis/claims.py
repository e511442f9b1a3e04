"""Claims on Redis commands: a layer above Redis (kombu) records the command that carries its message.

The Redis probe then records nothing for that command. It passes on what only it can know: session, bytes, times and
errors. It records every other command as usual, so each command has exactly one record.
"""

from contextvars import ContextVar
from typing import NamedTuple

from backwatch.collector.runtime.record import Facts, Session
from backwatch.collector.session.socket_counters import SocketCounters


class ClaimedCommand(NamedTuple):
    """The record that the Redis probe would have made.

    Attributes:
        wire: Its next reading gives this command's bytes.
        rows: Members of the reply; -1: not a collection.
    """

    session: Session
    operation: str
    statement: str
    start_ns: int
    wire: SocketCounters | None
    rows: int
    error: BaseException | str | None
    facts: Facts


class RedisClaim:
    """A claim on the first of some commands.

    Attributes:
        command: The claimed command, once its reply has been read.
    """

    def __init__(self, *operations: str) -> None:
        self._operations = operations
        self.command: ClaimedCommand | None = None

    def matches(self, operation: str) -> bool:
        """Return whether the claim covers this command; the caller must then set :attr:`command`."""
        return self.command is None and operation in self._operations


claim_scope: ContextVar[RedisClaim | None] = ContextVar("backwatch_redis_claim", default=None)
"""The claim in force, while a call runs inside the layer above."""
current_claim = claim_scope.get
