"""The facts of a memcached session, from pymemcache's client object, and what is kept of a client and of a call."""

from __future__ import annotations

import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes.families.redis.replies import joined
from backwatch.collector.probes.toolkit.sockets import peer, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import asked_by
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import read_tls_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from backwatch.collector.payload.formats import Facts
    from backwatch.collector.session.socket_counters import SocketCounters

MAX_VALUES: Final = 16
"""Values of one reply that are looked into, and as many more that bear a pickle's mark."""


class State:
    """What is known of one client's connection.

    Attributes:
        socket: The connection's socket, weakly: once it is another one, its number names another connection.
    """

    __slots__ = ("session", "socket", "watch", "wire")

    def __init__(self, watch: object, session: Session, socket: Callable[[], Any], wire: SocketCounters) -> None:
        self.watch = watch
        self.session = session
        self.socket = socket
        self.wire = wire


class Exchange:
    """One command on its way, and what is seen of its reply before the driver makes values of it.

    Attributes:
        before: The app's own error that was being handled when the call began.
        unreached: The connection could not be made, which the call ``connect`` tells.
        packed, unpacked: Bytes of what was decompressed, before and after.
        received: Bytes of the reply.
    """

    __slots__ = (
        "before", "error", "facts", "last", "packed", "received", "seen", "sent", "start_ns", "told", "unpacked",
        "unreached",
    )  # fmt: skip

    def __init__(self, operation: str, statement: str, sent: int) -> None:
        self.told = (operation, statement)
        self.sent = sent
        self.received = 0
        self.start_ns = time.time_ns()
        self.before = sys.exc_info()[1]
        self.error: BaseException | None = None
        self.unreached = False
        self.facts: Facts = ()
        self.last = b""
        self.seen = 0
        self.packed = 0
        self.unpacked = 0

    def saw(self, value: bytes) -> None:
        """One value of the reply, as it came over the wire."""
        self.last = value
        if self.seen < MAX_VALUES or (value[:1] == b"\x80" and self.seen < 2 * MAX_VALUES):
            self.seen += 1
            found = detect_formats(value)
            if found:
                self.facts = joined(self.facts, found)

    def let_go(self) -> None:
        """Nothing of the app's stays alive through this: its errors' frames lead here."""
        self.error = self.before = None
        self.last = b""


current: ContextVar[Exchange | None] = ContextVar("backwatch_memcached_exchange", default=None)
"""The command whose reply is being read: where values are read, only a socket is known."""


def session_of(client: Any) -> Session:
    """Everything that the client knows at present. A few microseconds, once per connection."""
    server, context = client.server, getattr(client, "tls_context", None)
    facts: dict[str, Any]
    if isinstance(server, tuple):
        facts = {"address": words(server[0], 255), "port": server[1] if isinstance(server[1], int) else 0}
        facts["requested"] = asked_by(context) if context else "disable"
        facts["requested_explicit"] = bool(context)
    else:
        facts = {"address": words(server, 200), "transport": "unix", "requested": "disable"}
        facts["requested_explicit"] = False
    socket = client.sock
    if socket is not None:
        facts.update(read_tls_facts(tls_of(socket)))
        facts.update(peer(socket))
    return Session(system="memcached", **facts)
