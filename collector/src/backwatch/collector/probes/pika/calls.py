"""What goes by on one connection of pika, from its methods and frames."""

import threading
import time
from dataclasses import replace
from typing import Any, Final

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.amqp.calls import Core, server_facts
from backwatch.collector.probes.families.amqp.state import Link, Request, is_call, publication
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, root_error, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import asked_by
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import read_tls_facts

SENT: Final = frozenset(("Connection.StartOk",))


class Watch(Core):
    """The connections of one process."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.thread = threading.local()

    @never_breaks_the_host
    def begins(self) -> None:
        """Somebody wants a connection."""
        self.thread.start_ns = time.time_ns()

    @never_breaks_the_host
    def stream_made(self, connection: Any) -> None:
        """TCP and TLS stand; AMQP begins."""
        if self.active:
            start_ns = getattr(self.thread, "start_ns", 0) or time.time_ns()
            self.thread.start_ns = 0
            self.links[connection] = _link(connection, start_ns)

    @never_breaks_the_host
    def stream_ending(self, connection: Any) -> None:
        """The connection ends; where it never was open, whoever reports why will find its facts."""
        link = self.links.get(connection)
        if link is not None and not link.told:
            self.thread.failing = link

    @never_breaks_the_host
    def stream_ended(self, connection: Any, error: object) -> None:
        """It has ended, and nobody has reported why it never was open."""
        self.thread.failing = None
        link = self.links.pop(connection, None)
        if link is not None and self.active and not link.open and isinstance(error, (BaseException, str)):
            self.failed(link, error)

    @never_breaks_the_host
    def not_made(self, params: Any, error: Any) -> None:
        """No connection could be made: no address, no TCP, no TLS, or no login."""
        if not self.active or "Aborted" in type(error).__name__:
            return
        link: Link | None = getattr(self.thread, "failing", None)
        if link is None:
            start_ns = getattr(self.thread, "start_ns", 0) or time.time_ns()
            link = Link(Session(system="rabbitmq", **_asked_for(params)), None, start_ns)
        self.thread.start_ns, self.thread.failing = 0, None
        self.failed(link, _last(error) if isinstance(error, BaseException) else words(error, 60))

    def link_of(self, connection: Any) -> Link:
        """What is known of a connection, learnt now where it is older than this probe."""
        link = self.links.get(connection)
        if link is None:
            link = self.links[connection] = _link(connection, time.time_ns())
            link.open = link.told = True
        return link

    @never_breaks_the_host
    def sent(self, connection: Any, channel: int, method: Any, start_ns: int, sent: int) -> None:
        """A method was written."""
        if self.active:
            link = self.link_of(connection)
            waits = not getattr(method, "nowait", False)
            self.asked(link, channel, method.NAME, method, start_ns=start_ns, sent=sent, answered=waits)

    @never_breaks_the_host
    def received(self, connection: Any, frame: Any) -> None:
        """A frame was read, and is acted on next."""
        if not self.active:
            return
        link = self.link_of(connection)
        total = getattr(connection, "bytes_received", 0)
        size, link.read = total - link.read, total
        channel = getattr(frame, "channel_number", 0)
        if channel:
            link.lane(channel).received += max(size, 0)
        method = getattr(frame, "method", None)
        if method is not None:
            self.answered(link, channel, method.NAME, method)

    @never_breaks_the_host
    def publishing(self, channel: Any) -> int | None:
        """A message is about to be sent; ``None`` where a wrapper further out tells it."""
        if not self.active:
            return None
        lane = self.link_of(channel.connection).lane(channel.channel_number)
        return None if lane.busy else channel.connection.bytes_sent

    @never_breaks_the_host
    def outer_publishing(self, channel: Any) -> int | None:
        """The same on a blocking channel, which waits for the broker's word where the app wants it."""
        sent = self.publishing(channel)
        if sent is not None:
            self.link_of(channel.connection).lane(channel.channel_number).busy = 1
        return sent

    @never_breaks_the_host
    def has_published(
        self, channel: Any, given: dict[str, Any], before: int, start_ns: int, error: BaseException | None
    ) -> None:
        """A message was sent, or could not be."""
        link = self.link_of(channel.connection)
        link.lane(channel.channel_number).busy = 0
        sent = channel.connection.bytes_sent - before
        one: Request = publication(given.get("exchange"), given.get("routing_key"), start_ns, max(sent, 0))
        self.published(link, one, error)

    @never_breaks_the_host
    def content(self, channel: Any, what: str, method: Any, body: object, header: Any) -> None:
        """A message was read."""
        if not self.active:
            return
        link, number = self.link_of(channel.connection), channel.channel_number
        if what == "deliver":
            self.delivered(link, number, method, body, getattr(header, "properties", None))
        elif what == "get":
            self.got(link, number, method, body, getattr(header, "properties", None))
        else:
            self.returned(link, number, method)


def worth_telling(method: Any) -> bool:
    """Whether a method that is written means anything to us."""
    name = getattr(method, "NAME", "")
    return is_call(name) or name in SENT


def _socket(connection: Any) -> Any:
    transport = getattr(connection, "_transport", None)
    return getattr(transport, "_sock", None)


def _link(connection: Any, start_ns: int) -> Link:
    socket = _socket(connection)
    facts = _asked_for(getattr(connection, "params", None))
    number = descriptor(socket)
    if number >= 0:
        facts.update(read_tls_facts(tls_of(socket)))
        facts.update(peer(socket))
    link = Link(Session(system="rabbitmq", **facts), SocketCounters(number) if number >= 0 else None, start_ns)
    link.read = getattr(connection, "bytes_received", 0)
    properties = getattr(connection, "server_properties", None)
    if properties:
        link.session = replace(link.session, encoded=[], **server_facts(properties))
    return link


def _asked_for(params: Any) -> dict[str, Any]:
    port = getattr(params, "port", 0)
    credentials = getattr(params, "credentials", None)
    account = getattr(credentials, "username", "")
    return {
        "address": words(getattr(params, "host", ""), 255),
        "port": port if isinstance(port, int) else 0,
        "namespace": words(getattr(params, "virtual_host", "")),
        "account": words(account) if isinstance(account, str) else "",
        **_tls_asked_for(params),
    }


def _tls_asked_for(params: Any) -> dict[str, Any]:
    options = getattr(params, "ssl_options", None)
    if options is None:
        return {"requested": "disable", "requested_explicit": False}
    return {"requested": asked_by(getattr(options, "context", None)), "requested_explicit": True}


def _last(error: BaseException) -> BaseException:
    """What went wrong last, below the layers of pika's own connecting."""
    for _ in range(4):
        below: Any = (getattr(error, "exceptions", None) or [getattr(error, "exception", None)])[-1]
        if not isinstance(below, BaseException):
            break
        error = below
    return root_error(error)
