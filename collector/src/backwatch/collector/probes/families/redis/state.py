"""What is kept of one Redis connection between the moments at which it is seen."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from backwatch.collector.probes.families.redis.session import Login

if TYPE_CHECKING:
    from backwatch.collector.payload.formats import Facts
    from backwatch.collector.probes.families.redis.text import Commands
    from backwatch.collector.runtime.record import Session
    from backwatch.collector.session.socket_counters import SocketCounters


class Exchange:
    """Commands that were written together, and how many replies are still to come."""

    __slots__ = ("commands", "error", "facts", "left", "name", "rows", "start_ns")

    def __init__(self, commands: Commands, name: str, start_ns: int) -> None:
        self.commands = commands
        self.name = name
        """Of a single command; empty for a pipeline."""
        self.start_ns = start_ns
        self.left = len(commands)
        self.error: BaseException | str | None = None
        self.facts: Facts = ()
        self.rows = -1


class State:
    """What is known of one connection."""

    __slots__ = (
        "carrier",
        "connecting_ns",
        "failure",
        "login",
        "packed",
        "pending",
        "session",
        "single",
        "subscribed",
        "watch",
        "wire",
    )

    def __init__(self, watch: object) -> None:
        self.watch = watch
        self.session: Session | None = None
        self.wire: SocketCounters | None = None
        self.carrier = 0
        self.pending: deque[Exchange] = deque()
        self.packed: Commands | None = None
        self.single = False
        self.connecting_ns = 0
        self.login = Login()
        self.subscribed = False
        self.failure = 0
        """Which error the call ``connect`` has told already, by its identity."""
