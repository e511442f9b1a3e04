"""The facts of aiormq's sessions."""

import time
from typing import Any, Final

from backwatch.collector.probes.families.amqp.session import server_facts
from backwatch.collector.probes.families.amqp.state import AmqpConnectionState
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.sockets import descriptor, words
from backwatch.collector.probes.toolkit.tls_contexts import requested_mode
from backwatch.collector.session.socket_counters import SocketCounters

_PORTS: Final = {"amqp": 5672, "amqps": 5671}


def read_connection(
    connection: Any, writer: Any = None, start_ns: int = 0, *, is_open: bool = True
) -> AmqpConnectionState:
    """Return the state of a connection.

    Args:
        writer: The stream that it writes to, while the connection does not know it yet.
        start_ns: Start of the connect; 0: now.
        is_open: The broker has announced its properties.
    """
    facts = _requested_facts(connection)
    number = -1
    if writer is None:
        writer = getattr(connection, "writer", None)
    if writer is not None:
        socket = writer.get_extra_info("socket")
        number = descriptor(socket)
        facts.update(connection_facts(socket, writer.get_extra_info("ssl_object")))
    state = AmqpConnectionState(facts, SocketCounters(number) if number >= 0 else None, start_ns or time.time_ns())
    if is_open:
        state.update_session(server_facts(getattr(connection, "server_properties", None)))
    return state


def _requested_facts(connection: Any) -> dict[str, Any]:
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
        by_options = "verify-full" if getattr(certificates, "verify", True) else "require"
        facts.update(requested=requested_mode(context) if context else by_options, requested_explicit=True)
    return facts
