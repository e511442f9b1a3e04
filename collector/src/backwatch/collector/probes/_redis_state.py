"""What is kept of one Redis connection between the moments at which it is seen."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from backwatch.collector.probes._redis_session import Login

if TYPE_CHECKING:
    from backwatch.collector.payload import Facts
    from backwatch.collector.probes._redis_text import Commands
    from backwatch.collector.record import Session
    from backwatch.collector.wire import Wire


class Exchange:
    """Commands that were written together, and how many replies are still to come."""

    __slots__ = ("commands", "error", "facts", "left", "rows", "start_ns")

    def __init__(self, commands: Commands, start_ns: int) -> None:
        self.commands = commands
        self.start_ns = start_ns
        self.left = len(commands)
        self.error: BaseException | str | None = None
        self.facts: Facts = ()
        self.rows = -1


class State:
    """What is known of one connection."""

    __slots__ = (
        "connecting_ns",
        "failure",
        "login",
        "number",
        "packed",
        "pending",
        "session",
        "single",
        "subscribed",
        "wire",
    )

    def __init__(self) -> None:
        self.session: Session | None = None
        self.wire: Wire | None = None
        self.number = -1
        self.pending: deque[Exchange] = deque()
        self.packed: Commands | None = None
        self.single = False
        self.connecting_ns = 0
        self.login = Login()
        self.subscribed = False
        self.failure: BaseException | None = None
