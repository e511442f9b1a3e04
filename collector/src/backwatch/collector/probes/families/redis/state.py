"""The state of one Redis connection between two hooks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from backwatch.collector.probes.families.redis.session import RedisLogin

if TYPE_CHECKING:
    from backwatch.collector.probes.families.redis.statements import Commands
    from backwatch.collector.runtime.record import Facts, Session
    from backwatch.collector.session.socket_counters import SocketCounters


class InFlightCommands:
    """Commands that were written together and wait for their replies.

    Attributes:
        name: Of a single command; empty for a pipeline.
        missing_replies: Replies that are still to come.
        rows: Members of the reply; -1: not a collection.
    """

    __slots__ = ("commands", "error", "facts", "missing_replies", "name", "rows", "start_ns")

    def __init__(self, commands: Commands, name: str, start_ns: int) -> None:
        self.commands = commands
        self.name = name
        self.start_ns = start_ns
        self.missing_replies = len(commands)
        self.error: BaseException | str | None = None
        self.facts: Facts = ()
        self.rows = -1


class RedisConnectionState:
    """The state of one connection object.

    Attributes:
        carrier_id: Identity of the socket or writer that ``wire`` counts.
        packed: Commands that were encoded and not written yet.
        single: ``send_command`` is running, which encodes its own command.
        connecting_ns: Start of the connect in progress; 0: none.
        failure_id: Identity of the error that the call ``connect`` has reported.
    """

    __slots__ = (
        "carrier_id", "connecting_ns", "failure_id", "login", "observer", "packed", "pending", "session", "single",
        "subscribed", "wire",
    )  # fmt: skip

    def __init__(self, observer: object) -> None:
        self.observer = observer
        self.session: Session | None = None
        self.wire: SocketCounters | None = None
        self.carrier_id = 0
        self.pending: deque[InFlightCommands] = deque()
        self.packed: Commands | None = None
        self.single = False
        self.connecting_ns = 0
        self.login = RedisLogin()
        self.subscribed = False
        self.failure_id = 0
