"""The state of pymemcache's connections, and of the command on its way."""

from __future__ import annotations

import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes.families.redis.responses import merge_facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from backwatch.collector.runtime.record import Facts, Session
    from backwatch.collector.session.socket_counters import SocketCounters

MAX_INSPECTED_VALUES: Final = 16
"""Values of one reply that are inspected, and as many more that begin like a pickle."""


class MemcachedConnectionState:
    """The state of one client's connection.

    Attributes:
        socket: Returns the connection's socket, held weakly: the descriptor of a later one is another connection.
    """

    __slots__ = ("observer", "session", "socket", "wire")

    def __init__(self, observer: object, session: Session, socket: Callable[[], Any], wire: SocketCounters) -> None:
        self.observer = observer
        self.session = session
        self.socket = socket
        self.wire = wire


class InFlightMemcachedCommand:
    """One command on its way, and what is seen of its reply before the driver makes values of it.

    Attributes:
        sent_bytes: Bytes of the command; -1: not estimated.
        received_bytes: Bytes of the reply.
        app_error: The app's own error that was being handled when the call began.
        is_unreached: The connection could not be made, which the call ``connect`` reports.
        packed_bytes, unpacked_bytes: Size of the decompressed values, before and after.
        last_value: The value that was read last.
    """

    __slots__ = (
        "app_error", "error", "facts", "inspected", "is_unreached", "last_value", "operation", "packed_bytes",
        "received_bytes", "sent_bytes", "start_ns", "statement", "unpacked_bytes",
    )  # fmt: skip

    def __init__(self, operation: str, statement: str, sent_bytes: int) -> None:
        self.operation = operation
        self.statement = statement
        self.sent_bytes = sent_bytes
        self.received_bytes = 0
        self.start_ns = time.time_ns()
        self.app_error = sys.exc_info()[1]
        self.error: BaseException | None = None
        self.is_unreached = False
        self.facts: Facts = ()
        self.last_value = b""
        self.inspected = 0
        self.packed_bytes = 0
        self.unpacked_bytes = 0

    def add_value(self, value: bytes) -> None:
        """Inspect one value of the reply, as received."""
        self.last_value = value
        is_pickle = value[:1] == b"\x80"
        if self.inspected < MAX_INSPECTED_VALUES or (is_pickle and self.inspected < 2 * MAX_INSPECTED_VALUES):
            self.inspected += 1
            found = detect_formats(value)
            if found:
                self.facts = merge_facts(self.facts, found)

    def release(self) -> None:
        """Drop the app's objects: the frames of its errors lead here."""
        self.error = self.app_error = None
        self.last_value = b""


current_command: ContextVar[InFlightMemcachedCommand | None] = ContextVar("backwatch_memcached_command", default=None)
"""The command whose reply is being read: where values are read, only a socket is known."""
