"""What goes by on one connection of aiormq."""

import time
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

from backwatch.collector.payload.formats import Facts
from backwatch.collector.probes.families.amqp.calls import UNASKED, Core, code_facts, reason, server_facts
from backwatch.collector.probes.families.amqp.state import Link, Request, is_call, publication, request
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, words
from backwatch.collector.probes.toolkit.tls_contexts import asked_by
from backwatch.collector.runtime.context_variables import reset_variable
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER, Session
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters
from backwatch.collector.session.tls import read_tls_facts

FRAME: Final = 8
"""Bytes around what a frame carries."""
_PORTS: Final = {"amqp": 5672, "amqps": 5671}


class Attempt:
    """A connection that is being made; filled by what runs inside."""

    __slots__ = ("mechanism", "start_ns", "writer")

    def __init__(self) -> None:
        self.start_ns = time.time_ns()
        self.writer: Any = None
        self.mechanism = ""


attempt: ContextVar[Attempt | None] = ContextVar("backwatch_aiormq_attempt", default=None)


class Watch(Core):
    """The connections of one process."""

    @never_breaks_the_host
    def connecting(self) -> tuple[Attempt, Any] | None:
        """A connection is about to be made."""
        if not self.active:
            return None
        one = Attempt()
        return one, attempt.set(one)

    @never_breaks_the_host
    def speaking(self, asked: Any, writer: Any) -> None:
        """A method of the connection's start is sent."""
        one = attempt.get()
        if one is not None:
            one.writer = writer
            if getattr(asked, "name", "") == "Connection.StartOk":
                one.mechanism = words(getattr(asked, "mechanism", ""), 30)

    @never_breaks_the_host
    def connected(self, connection: Any, begun: tuple[Attempt, Any], error: BaseException | None) -> None:
        """It is made, or it failed."""
        one, token = begun
        reset_variable(attempt, token)
        link = self.links[connection] = _link(connection, one.writer, one.start_ns, error is None)
        if one.mechanism:
            self.logging_in(link, one.mechanism, None)
        if error is None:
            self.opened(link)
        else:
            self.failed(link, error)

    def link_of(self, connection: Any) -> Link:
        """What is known of a connection, learnt now where it is older than this probe."""
        link = self.links.get(connection)
        if link is None:
            link = self.links[connection] = _link(connection, None, time.time_ns(), True)
            link.open = link.told = True
        return link

    @never_breaks_the_host
    def asking(self, channel: Any, frame: Any) -> Request | None:
        """A request is about to be sent; ``None`` where it is no call, or told by a wrapper further out."""
        method = getattr(frame, "name", "")
        if not self.active or not is_call(method) or method == "Basic.Get":
            return None
        lane = self.link_of(channel.connection).lane(channel.number)
        lane.busy += 1
        one = request(method, frame, time.time_ns(), -1)
        if one.tag:
            self.consuming(lane, one, None)  # now: the first message may be read before the answer is
        return one

    @never_breaks_the_host
    def has_answer(self, channel: Any, one: Request, answer: Any, error: BaseException | None) -> None:
        """Its answer came, or it failed."""
        link, lane = self._done(channel)
        affected = -1
        if one.operation in ("QUEUE.PURGE", "QUEUE.DELETE"):
            count = getattr(answer, "message_count", None)
            affected = count if isinstance(count, int) else -1
        elif one.operation == "CONSUME" and error is None:
            self.consuming(lane, one, answer)
        self.tell(link, one, error=error, affected=affected, facts=_why(lane, error), estimated=UNKNOWN)

    @never_breaks_the_host
    def begin(self, channel: Any) -> int | None:
        """A message is about to be sent or asked for."""
        if not self.active:
            return None
        self.link_of(channel.connection).lane(channel.number).busy += 1
        return time.time_ns()

    @never_breaks_the_host
    def has_published(
        self, channel: Any, body: Any, given: dict[str, Any], start_ns: int, error: BaseException | None
    ) -> None:
        """It was sent, and confirmed where the channel asks for that; or not."""
        link, lane = self._done(channel)
        exchange, key = given.get("exchange", ""), given.get("routing_key", "")
        size = len(body) if isinstance(body, (bytes, bytearray)) else 0
        sent = size + 3 * FRAME + 22 + len(words(exchange, 255)) + len(words(key, 255))
        self.published(link, publication(exchange, key, start_ns, sent), error, _why(lane, error))

    @never_breaks_the_host
    def has_got(self, channel: Any, queue: object, start_ns: int, message: Any, error: BaseException | None) -> None:
        """A message was asked for, and came or not."""
        link, lane = self._done(channel)
        one = request("Basic.Get", _Get(queue), start_ns, -1)
        body = getattr(message, "body", b"")
        found = error is None and getattr(getattr(message, "delivery", None), "name", "") == "Basic.GetOk"
        self.tell(
            link, one, error=error, rows=int(found) if error is None else -1,
            facts=self._facts(message, one.destination) if found else _why(lane, error), kind=CONSUMER,
            estimated=(2 * FRAME, size_of(body)) if found else UNKNOWN,
        )  # fmt: skip

    @never_breaks_the_host
    def content(self, channel: Any, method: Any, message: Any) -> None:
        """A message was read that nobody asked for by a request."""
        if not self.active:
            return
        link, name, body = self.link_of(channel.connection), getattr(method, "name", ""), message.body
        link.lane(channel.number).received = size_of(body)
        if name == "Basic.Deliver":
            self.delivered(link, channel.number, method, body, _properties(message))
        elif name == "Basic.Return":
            self.returned(link, channel.number, method)

    @never_breaks_the_host
    def frame(self, channel: Any, frame: Any) -> None:
        """A channel got a frame."""
        name = getattr(frame, "name", "")
        if not self.active or (name not in UNASKED and name != "Channel.Close"):
            return
        link = self.link_of(channel.connection)
        lane = link.lane(channel.number)
        if name == "Channel.Close":
            lane.closed = (getattr(frame, "reply_code", 0), getattr(frame, "reply_text", ""))
            if not lane.busy:
                self.refused(link, channel.number, frame, whole=False)
        else:
            link.notices += 1

    @never_breaks_the_host
    def notice(self, connection: Any) -> None:
        """The broker blocks its publishers, or lets them go on."""
        if self.active:
            self.link_of(connection).notices += 1

    def _facts(self, message: Any, queue: str) -> Facts:
        return self.content_facts(message.delivery, queue, message.body, _properties(message))

    def _done(self, channel: Any) -> tuple[Link, Any]:
        link = self.link_of(channel.connection)
        lane = link.lane(channel.number)
        lane.busy = max(lane.busy - 1, 0)
        return link, lane


def _properties(message: Any) -> Any:
    return getattr(getattr(message, "header", None), "properties", None)


class _Get:
    """The one field of Basic.Get that is told."""

    def __init__(self, queue: object) -> None:
        self.queue = queue


def size_of(body: Any) -> int:
    """About what a message takes on the wire, by its body."""
    return len(body) + 3 * FRAME + 60 if isinstance(body, (bytes, bytearray)) else -1


def _why(lane: Any, error: BaseException | None) -> Facts:
    if error is None or lane.closed is None:
        return code_facts(error)
    return reason(*lane.closed)[1]


def _link(connection: Any, writer: Any, start_ns: int, alive: bool) -> Link:
    facts = _asked_for(connection)
    number = -1
    if writer is None:
        writer = getattr(connection, "writer", None)
    if writer is not None:
        socket = writer.get_extra_info("socket")
        number = descriptor(socket)
        facts.update(read_tls_facts(writer.get_extra_info("ssl_object")))
        facts.update(peer(socket))
    link = Link(Session(system="rabbitmq", **facts), SocketCounters(number) if number >= 0 else None, start_ns)
    if alive:
        told = server_facts(getattr(connection, "server_properties", None))
        link.session = replace(link.session, encoded=[], **told)
    return link


def _asked_for(connection: Any) -> dict[str, Any]:
    url = getattr(connection, "url", None)
    facts: dict[str, Any] = {
        "address": words(getattr(url, "host", ""), 255),
        "port": getattr(url, "port", 0) or _PORTS.get(getattr(url, "scheme", ""), 0),
        "namespace": words(getattr(connection, "vhost", "")),
        "account": words(getattr(url, "user", "")),
        "requested": "disable",
        "requested_explicit": False,
    }
    if getattr(url, "scheme", "") == "amqps":
        context = getattr(connection, "ssl_context", None)
        certificates = getattr(connection, "ssl_certs", None)
        asked = asked_by(context) if context else "verify-full" if getattr(certificates, "verify", True) else "require"
        facts.update(requested=asked, requested_explicit=True)
    return facts
