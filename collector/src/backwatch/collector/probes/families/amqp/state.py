"""The state of one AMQP connection: its facts, and per channel the requests that wait for a response."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backwatch.collector import names
from backwatch.collector.runtime.record import Facts, Session

if TYPE_CHECKING:
    from collections import deque

    from backwatch.collector.probes.families.amqp.requests import AmqpRequest
    from backwatch.collector.session.socket_counters import SocketCounters

MAX_PENDING_REQUESTS: Final = 1_000
MAX_CONSUMERS: Final = 1_000


class AmqpChannelState:
    """The state of one channel.

    Attributes:
        pending: Requests by the method that answers them.
        consumers: Queue by consumer tag.
        received_bytes: Bytes of frames that no recorded call includes.
        active_calls: Hooks further out that record what happens now.
        close_reason: Code and text with which the broker closed it.
    """

    __slots__ = ("active_calls", "close_reason", "consumers", "pending", "received_bytes")

    def __init__(self) -> None:
        self.pending: dict[str, deque[AmqpRequest]] = {}
        self.consumers: dict[str, str] = {}
        self.received_bytes = 0
        self.active_calls = 0
        self.close_reason: tuple[Any, Any] | None = None

    def add_consumer(self, request: AmqpRequest, tag: object = None) -> None:
        """Keep the queue of a consumer: a delivery bears the consumer's tag, not the queue."""
        tag = request.tag or tag
        if isinstance(tag, str) and len(self.consumers) < MAX_CONSUMERS:
            self.consumers[tag] = request.destination

    def queue_of(self, tag: object) -> str:
        """Return the queue of a consumer; ``""`` if unknown."""
        return self.consumers.get(tag, "") if isinstance(tag, str) else ""


class AmqpConnectionState:
    """The state of one connection.

    Attributes:
        notices: Unrequested methods of the broker since the last record.
        is_reported: The connect has been recorded, or began before the probe.
        read_bytes: Bytes read so far, as the driver counts them.
    """

    __slots__ = (
        "__weakref__", "channels", "is_open", "is_reported", "notices", "read_bytes", "session", "start_ns", "wire",
    )  # fmt: skip

    def __init__(self, facts: dict[str, Any], wire: SocketCounters | None, start_ns: int) -> None:
        self.session = Session(system="rabbitmq", **facts)
        self.wire = wire
        self.start_ns = start_ns
        self.channels: dict[int, AmqpChannelState] = {}
        self.notices = 0
        self.is_open = False
        self.is_reported = False
        self.read_bytes = 0

    def channel(self, number: int) -> AmqpChannelState:
        """Return the state of one of its channels."""
        channel = self.channels.get(number)
        if channel is None:
            channel = self.channels[number] = AmqpChannelState()
        return channel

    def update_session(self, facts: dict[str, Any]) -> None:
        """Replace facts of the session."""
        self.session = replace(self.session, encoded=[], **facts)

    def facts(self, destination: str, more: Facts = ()) -> Facts:
        """Return the facts of a call, and the number of notices since the last one."""
        facts = (*more, (names.MESSAGING_DESTINATION, destination)) if destination else more
        if self.notices:
            facts, self.notices = (*facts, (names.NOTICES, self.notices)), 0
        return facts


class InFlightAmqpCall(NamedTuple):
    """A call on a channel that has not ended."""

    connection: AmqpConnectionState
    channel: AmqpChannelState
    start_ns: int


class InFlightPublication(NamedTuple):
    """A message that is being published.

    Attributes:
        fields: Exchange and routing key, under AMQP's names.
        sent_bytes: Bytes that the connection had sent before, if the driver counts them.
    """

    call: InFlightAmqpCall
    fields: dict[str, Any]
    message: Any = None
    sent_bytes: int = 0
