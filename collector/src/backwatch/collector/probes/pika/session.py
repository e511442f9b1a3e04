"""The facts of pika's sessions."""

import time
from typing import Any

from backwatch.collector.probes.families.amqp.session import server_facts
from backwatch.collector.probes.families.amqp.state import AmqpConnectionState
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.sockets import descriptor, root_error, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import requested_mode
from backwatch.collector.session.socket_counters import SocketCounters


def read_connection(connection: Any, start_ns: int = 0) -> AmqpConnectionState:
    """Return the state of a connection.

    Args:
        start_ns: Start of the connect; 0: now.
    """
    socket = getattr(getattr(connection, "_transport", None), "_sock", None)
    facts = requested_facts(getattr(connection, "params", None))
    number = descriptor(socket)
    if number >= 0:
        facts.update(connection_facts(socket, tls_of(socket)))
    state = AmqpConnectionState(facts, SocketCounters(number) if number >= 0 else None, start_ns or time.time_ns())
    state.read_bytes = getattr(connection, "bytes_received", 0)
    properties = getattr(connection, "server_properties", None)
    if properties:
        state.update_session(server_facts(properties))
    return state


def requested_facts(parameters: Any) -> dict[str, Any]:
    """Return what the app asked for, as keyword arguments of ``Session``."""
    port = getattr(parameters, "port", 0)
    account = getattr(getattr(parameters, "credentials", None), "username", "")
    tls = getattr(parameters, "ssl_options", None)
    return {
        "address": words(getattr(parameters, "host", ""), 255),
        "port": port if isinstance(port, int) else 0,
        "namespace": words(getattr(parameters, "virtual_host", "")),
        "account": words(account) if isinstance(account, str) else "",
        "requested": "disable" if tls is None else requested_mode(getattr(tls, "context", None)),
        "requested_explicit": tls is not None,
    }


def last_error(error: BaseException) -> BaseException:
    """Return the last cause below the errors of pika's own connect workflow."""
    for _ in range(4):
        below: Any = (getattr(error, "exceptions", None) or [getattr(error, "exception", None)])[-1]
        if not isinstance(below, BaseException):
            break
        error = below
    return root_error(error)
