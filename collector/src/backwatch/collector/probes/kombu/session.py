"""The facts of py-amqp's sessions, kombu's transport to RabbitMQ."""

import time
from typing import Any, Final

from backwatch.collector.probes.families.amqp.session import server_facts
from backwatch.collector.probes.families.amqp.state import AmqpConnectionState
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.sockets import descriptor, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import mode_of
from backwatch.collector.session.socket_counters import SocketCounters

PORT: Final = 5672
TLS_PORT: Final = 5671


def new_connection(connection: Any) -> AmqpConnectionState:
    """Return the state of a connection that is about to be made."""
    return AmqpConnectionState(_requested_facts(connection), None, time.time_ns())


def read_connection(connection: Any) -> AmqpConnectionState:
    """Return the state of an open connection."""
    state = new_connection(connection)
    read_transport(state, connection)
    return state


def read_transport(state: AmqpConnectionState, connection: Any) -> None:
    """Update the state with what is true of the connection now."""
    socket = getattr(getattr(connection, "_transport", None), "sock", None)
    number = descriptor(socket)
    facts: dict[str, Any] = server_facts(getattr(connection, "server_properties", None))
    if number >= 0:
        facts.update(connection_facts(socket, tls_of(socket)))
        if state.wire is None:
            state.wire = SocketCounters(number)
    state.update_session(facts)


def _requested_facts(connection: Any) -> dict[str, Any]:
    host, _, port = words(getattr(connection, "host", ""), 255).rpartition(":")
    if not host or not port.isdigit():
        host, port = words(getattr(connection, "host", ""), 255), ""
    tls = getattr(connection, "ssl", False)
    return {
        "address": host.strip("[]"),
        "port": int(port) if port else TLS_PORT if tls else PORT,
        "namespace": words(getattr(connection, "virtual_host", "")),
        "requested": _requested_tls(tls),
        "requested_explicit": bool(tls),
    }


def account_of(connection: Any, mechanism: object) -> str:
    """Return the account that logs in by this mechanism; the secret beside it is not read."""
    for login in getattr(connection, "authentication", ()):
        if getattr(login, "mechanism", None) == mechanism:
            return words(getattr(login, "username", ""))
    return ""


def _requested_tls(tls: Any) -> str:
    """Return the requested verification. py-amqp has no context yet, so it is read from the options."""
    if not tls:
        return "disable"
    options: dict[str, Any] = tls if isinstance(tls, dict) else {}
    inner = options.get("context")
    if isinstance(inner, dict):
        return mode_of(verifies=True, checks_name=inner.get("check_hostname"))
    skips = options.get("cert_reqs") is not None and not options["cert_reqs"]
    return mode_of(verifies=not skips, checks_name=options.get("server_hostname"))
