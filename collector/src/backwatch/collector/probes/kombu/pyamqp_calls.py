"""What goes by on one connection of py-amqp, kombu's transport to RabbitMQ."""

import time
from dataclasses import replace
from typing import Any, Final, NamedTuple

from backwatch.collector.probes.families.amqp.calls import Core, code_facts, reason, server_facts
from backwatch.collector.probes.families.amqp.state import Lane, Link, Request, publication, request
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, root_error, tls_of, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import UNKNOWN, SocketCounters
from backwatch.collector.session.tls import read_tls_facts

FRAME: Final = 8
"""Bytes around what a frame carries."""
PORT: Final = 5672
TLS_PORT: Final = 5671
START_OK: Final = (10, 11)
METHODS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "queue_declare": ("Queue.Declare", ("queue",)),
    "queue_bind": ("Queue.Bind", ("queue", "exchange", "routing_key")),
    "queue_unbind": ("Queue.Unbind", ("queue", "exchange", "routing_key")),
    "queue_purge": ("Queue.Purge", ("queue",)),
    "queue_delete": ("Queue.Delete", ("queue",)),
    "exchange_declare": ("Exchange.Declare", ("exchange", "type")),
    "exchange_delete": ("Exchange.Delete", ("exchange",)),
    "exchange_bind": ("Exchange.Bind", ("destination", "source", "routing_key")),
    "exchange_unbind": ("Exchange.Unbind", ("destination", "source", "routing_key")),
    "basic_consume": ("Basic.Consume", ("queue", "consumer_tag")),
    "basic_get": ("Basic.Get", ("queue",)),
    "tx_commit": ("Tx.Commit", ()),
    "tx_rollback": ("Tx.Rollback", ()),
}
"""Methods of py-amqp's channel that are calls, AMQP's name for them, and their first arguments."""


class Begun(NamedTuple):
    """A call that waits for its end."""

    link: Link
    lane: Lane
    start_ns: int


class _Fields:
    """Arguments under AMQP's names."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.__dict__.update(given)


class PyamqpWatch(Core):
    """Where py-amqp's channels report."""

    def is_amqp(self, connection: Any) -> bool:
        """Whether it is a connection of py-amqp's."""
        return connection is not None and hasattr(connection, "server_properties")

    @never_breaks_the_host
    def connecting(self, connection: Any) -> Link | None:
        """A connection is about to be made; ``None`` where it stands already."""
        if not self.active or getattr(connection, "connected", False):
            return None
        link = self.links[connection] = Link(Session(system="rabbitmq", **_asked_for(connection)), None, time.time_ns())
        return link

    @never_breaks_the_host
    def speaking(self, connection: Any, signature: Any, arguments: Any) -> None:
        """The connection itself sends a method: by the login it stands, and TLS with it."""
        if self.active and signature == START_OK and isinstance(arguments, (tuple, list)) and len(arguments) > 1:
            link = self.links.get(connection)
            if link is not None:
                _look(link, connection)
                account = _account(connection, arguments[1])
                link.session = replace(link.session, encoded=[], account=account)
                self.logging_in(link, arguments[1], None)

    @never_breaks_the_host
    def connected(self, connection: Any, link: Link, error: BaseException | None) -> None:
        """It is made, or it failed."""
        if error is None:
            _look(link, connection)
            self.opened(link)
        else:
            link.wire = None  # py-amqp has closed it by now
            self.failed(link, root_error(error))

    def link_of(self, connection: Any) -> Link:
        """What is known of a connection, learnt now where it is older than this probe."""
        link = self.links.get(connection)
        if link is None:
            link = Link(Session(system="rabbitmq", **_asked_for(connection)), None, time.time_ns())
            self.links[connection] = link
            _look(link, connection)
            link.open = link.told = True
        return link

    @never_breaks_the_host
    def begin(self, channel: Any) -> Begun | None:
        """A call is about to be made; ``None`` where it is part of another one."""
        connection = getattr(channel, "connection", None)
        if not self.active or connection is None:
            return None
        link = self.link_of(connection)
        lane = link.lane(channel.channel_id)
        if lane.busy:
            return None
        lane.busy = 1
        return Begun(link, lane, time.time_ns())

    @never_breaks_the_host
    def ended(self, begun: Begun, name: str, given: dict[str, Any], answer: Any, error: BaseException | None) -> None:
        """It has ended."""
        link, lane = begun.link, begun.lane
        lane.busy = 0
        method = METHODS[name][0]
        one = request(method, _Fields(given), begun.start_ns, -1)
        rows = affected = -1
        if method in ("Queue.Purge", "Queue.Delete") and type(answer) is int:
            affected = answer
        elif method == "Basic.Get" and error is None:
            rows = int(answer is not None)
        elif method == "Basic.Consume" and error is None:
            self.consuming(lane, one._replace(tag=answer if isinstance(answer, str) else one.tag), None)
        self.tell(link, one, error=error, affected=affected, rows=rows, facts=code_facts(error), estimated=UNKNOWN)

    @never_breaks_the_host
    def published_by(
        self, begun: Begun, message: Any, given: dict[str, Any], statement: str, error: BaseException | None
    ) -> None:
        """A message was sent, or could not be."""
        begun.lane.busy = 0
        exchange, key = given.get("exchange", ""), given.get("routing_key", "")
        sent = size_of(getattr(message, "body", None), getattr(message, "properties", None))
        one = publication(exchange, key, begun.start_ns, sent)
        self.published(begun.link, one._replace(statement=statement or one.statement), error, code_facts(error))

    @never_breaks_the_host
    def closed(self, channel: Any, code: Any, text: Any) -> None:
        """The broker closes a channel: told where no call of it waits that will tell."""
        connection = getattr(channel, "connection", None)
        if not self.active or connection is None:
            return
        link = self.link_of(connection)
        if not link.lane(channel.channel_id).busy and code not in (0, 200):
            error, facts = reason(code, text)
            self.tell(link, Request("CHANNEL.CLOSE", "CHANNEL.CLOSE", "", time.time_ns(), 0), error=error, facts=facts)

    @never_breaks_the_host
    def came_back(self, channel: Any, code: Any, text: Any, exchange: Any, routing_key: Any) -> None:
        """A message could not be routed."""
        connection = getattr(channel, "connection", None)
        if self.active and connection is not None:
            fields = {"reply_code": code, "reply_text": text, "exchange": exchange, "routing_key": routing_key}
            self.returned(self.link_of(connection), channel.channel_id, _Fields(fields))

    @never_breaks_the_host
    def notice(self, connection: Any) -> None:
        """The broker said something unasked."""
        if self.active and connection is not None:
            self.link_of(connection).notices += 1


def size_of(body: Any, properties: Any) -> int:
    """About what a message takes on the wire."""
    if not isinstance(body, (bytes, bytearray, str, memoryview)):
        return -1
    headers = properties.get("application_headers") if isinstance(properties, dict) else None
    about = (
        sum(len(str(key)) + min(len(str(value)), 200) + 6 for key, value in list(headers.items())[:40])
        if headers
        else 0
    )
    return len(body) + about + 3 * FRAME + 60


def _look(link: Link, connection: Any) -> None:
    """What is true of the connection at this moment."""
    transport = getattr(connection, "_transport", None)
    socket = getattr(transport, "sock", None)
    number = descriptor(socket)
    facts: dict[str, Any] = server_facts(getattr(connection, "server_properties", None))
    if number >= 0:
        facts.update(read_tls_facts(tls_of(socket)))
        facts.update(peer(socket))
        if link.wire is None:
            link.wire = SocketCounters(number)
    link.session = replace(link.session, encoded=[], **facts)


def _asked_for(connection: Any) -> dict[str, Any]:
    host, _, port = words(getattr(connection, "host", ""), 255).rpartition(":")
    if not host or not port.isdigit():
        host, port = words(getattr(connection, "host", ""), 255), ""
    secure = getattr(connection, "ssl", False)
    return {
        "address": host.strip("[]"),
        "port": int(port) if port else TLS_PORT if secure else PORT,
        "namespace": words(getattr(connection, "virtual_host", "")),
        "requested": _requested(secure),
        "requested_explicit": bool(secure),
    }


def _account(connection: Any, mechanism: object) -> str:
    """Who logs in by this mechanism; the secret beside the name is not looked at."""
    for one in getattr(connection, "authentication", ()):
        if getattr(one, "mechanism", None) == mechanism:
            return words(getattr(one, "username", ""))
    return ""


def _requested(secure: Any) -> str:
    """py-amqp has no context that could be asked: options say what it will check."""
    if not secure:
        return "disable"
    options: dict[str, Any] = secure if isinstance(secure, dict) else {}
    inner = options.get("context")
    if isinstance(inner, dict):
        return "verify-full" if inner.get("check_hostname") else "verify-ca"
    if options.get("cert_reqs") is not None and not options["cert_reqs"]:
        return "require"
    return "verify-full" if options.get("server_hostname") else "verify-ca"
