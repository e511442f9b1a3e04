"""The state of nats-py's clients, and of their calls on the way."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from weakref import ReferenceType

    from backwatch.collector.probes.toolkit.messages import PendingMessages
    from backwatch.collector.runtime.record import Session

STATE_ATTRIBUTE: Final = "_backwatch_nats"
"""Attribute of a client that holds its state."""


class NatsClientState:
    """The state of one client.

    Attributes:
        uri: Of the server that it is connected to, or connects to.
        start_ns: Start of the connect in progress; 0: none.
        nodes: The servers that were recorded last.
        reading: Subscription of the message that is being read: a last message ends it before it is built.
        pending: Messages that wait to be recorded, by subject.
    """

    __slots__ = ("nodes", "pending", "reading", "session", "start_ns", "uri")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.uri: Any = None
        self.start_ns = 0
        self.nodes: tuple[str, ...] = ()
        self.reading: Any = None
        self.pending: dict[str, PendingMessages] = {}


class InFlightMessage(NamedTuple):
    """A publish, a request or a subscribe in progress.

    Attributes:
        start_ns: 0: it is not recorded.
        hides_calls: Calls inside it are not recorded.
    """

    client: Any
    start_ns: int
    subject: Any
    payload: Any = None
    headers: Any = None
    hides_calls: bool = True


current_call: ContextVar[InFlightMessage | None] = ContextVar("backwatch_nats_call", default=None)
current_client: ContextVar[ReferenceType[Any] | None] = ContextVar("backwatch_nats_client", default=None)
"""The client that is making a connection: a transport does not know its client."""
