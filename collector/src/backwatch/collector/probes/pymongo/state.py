"""What is kept of pymongo's connections, and of what goes by on them, between the moments at which they are seen."""

from __future__ import annotations

import contextvars
import time
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector.probes.pymongo.session import Login

if TYPE_CHECKING:
    from backwatch.collector.payload.formats import Facts
    from backwatch.collector.runtime.record import Session
    from backwatch.collector.session.socket_counters import SocketCounters


class Connecting:
    """A connection that is being made."""

    __slots__ = ("connection", "greeted", "pool", "reset", "start_ns")

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.start_ns = time.time_ns()
        self.connection: Any = None
        self.greeted = False
        self.reset: Any = None


class Exchange:
    """One command and its reply."""

    __slots__ = ("command", "connection", "database", "kind", "operation", "start_ns", "unpacked")

    def __init__(self, connection: Any, database: object, command: Any, kind: str = "") -> None:
        self.connection = connection
        self.database = database
        self.command = command
        self.kind = kind
        self.operation: Any = None
        """A cursor's: it knows its command once it has been sent."""
        self.unpacked: list[tuple[int, int]] = []
        """Sizes of compressed answers, on the wire and unpacked."""
        self.start_ns = time.time_ns()


CONNECTING: Final[contextvars.ContextVar[Connecting | None]] = contextvars.ContextVar("backwatch_mongo", default=None)
UNPACKING: Final[contextvars.ContextVar[list[tuple[int, int]] | None]] = contextvars.ContextVar(
    "backwatch_sizes", default=None
)


class State:
    """What is known of one connection."""

    __slots__ = ("announced", "connecting", "login", "server_id", "sessions", "unmade_ns", "version", "watch", "wire")

    def __init__(self, watch: object) -> None:
        self.watch = watch
        self.connecting: Connecting | None = None
        self.unmade_ns = 0
        """A watcher's connection that stands and has not yet said HELLO: since when."""
        self.login = Login()
        self.sessions: dict[str, Session] = {}
        self.version = ""
        self.server_id = ""
        self.announced: Facts = ()
        self.wire: SocketCounters | None = None
