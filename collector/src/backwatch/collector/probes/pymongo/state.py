"""The state of pymongo's connections, of a connect in progress, and of a command on its way."""

from __future__ import annotations

import time
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector.probes.pymongo.session import MongoLogin

if TYPE_CHECKING:
    from backwatch.collector.runtime.record import Facts, Session
    from backwatch.collector.session.socket_counters import SocketCounters


class MongoConnectAttempt:
    """A connect in progress.

    Attributes:
        has_hello: The reply to a HELLO has been read.
    """

    __slots__ = ("connection", "has_hello", "pool", "start_ns")

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.start_ns = time.time_ns()
        self.connection: Any = None
        self.has_hello = False


class Purpose(Enum):
    """The purpose of a command: the app's own, part of a connect, or a monitor's heartbeat."""

    CALL = "call"
    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"


class InFlightMongoCommand:
    """One command on its way.

    Attributes:
        operation: Of a cursor, which knows its command once it has been sent; else ``None``.
        unpacked: Sizes of compressed replies, as received and unpacked.
    """

    __slots__ = ("command", "connection", "database", "operation", "purpose", "start_ns", "unpacked")

    def __init__(self, connection: Any, database: object, command: Any, purpose: Purpose = Purpose.CALL) -> None:
        self.connection = connection
        self.database = database
        self.command = command
        self.purpose = purpose
        self.operation: Any = None
        self.unpacked: list[tuple[int, int]] = []
        self.start_ns = time.time_ns()


current_attempt: Final[ContextVar[MongoConnectAttempt | None]] = ContextVar("backwatch_mongo", default=None)
unpacked_sizes: Final[ContextVar[list[tuple[int, int]] | None]] = ContextVar("backwatch_sizes", default=None)
"""Sizes of the compressed replies to the latest command."""


class MongoConnectionState:
    """The state of one connection.

    Attributes:
        monitor_start_ns: Start of a monitor's connect that has had no reply to its HELLO; 0: none.
        sessions: By database.
        announced: Nodes of the latest HELLO.
    """

    __slots__ = (
        "announced", "attempt", "login", "monitor_start_ns", "observer", "server_id", "sessions", "version", "wire",
    )  # fmt: skip

    def __init__(self, observer: object) -> None:
        self.observer = observer
        self.attempt: MongoConnectAttempt | None = None
        self.monitor_start_ns = 0
        self.login = MongoLogin()
        self.sessions: dict[str, Session] = {}
        self.version = ""
        self.server_id = ""
        self.announced: Facts = ()
        self.wire: SocketCounters | None = None
