"""The session facts of an httpcore connection, from its network stream, for all backends."""

from typing import Any

from backwatch.collector.probes.toolkit import tls_contexts
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.sockets import tls_of, words
from backwatch.collector.runtime.record import Session


def socket_of(stream: Any) -> Any:
    """Return the socket below a network stream; ``None`` for a backend without one (a test double)."""
    info = getattr(stream, "get_extra_info", None)
    socket = info("socket") if info is not None else None
    return socket if hasattr(socket, "fileno") else None


def _tls_of(stream: Any, socket: Any) -> Any:
    """Return the object that ``tls.read_tls_facts`` accepts."""
    found = stream.get_extra_info("ssl_object")
    # The blocking backend returns the C object below its socket, which has fewer facts than the socket itself.
    # With eventlet it may not recognize its own TLS socket, and return nothing.
    return tls_of(socket) if found is None or type(found).__module__ == "_ssl" else found


def requested_mode(context: Any) -> str:
    """Return the TLS mode that a context requests; httpcore's own default verifies everything."""
    return "verify-full" if context is None else tls_contexts.requested_mode(context)


def session_of(origin: Any, stream: Any, context: Any = None) -> Session:
    """Return the session of a connection.

    Args:
        origin: httpcore's object with scheme, host and port: those of the app's URL, not of the proxy.
        stream: ``None`` where there is no connection.
        context: The TLS context, where there is no connection to ask.
    """
    tls = origin.scheme in (b"https", b"wss")
    facts: dict[str, Any] = {"requested": requested_mode(context) if tls else "disable"}
    address, port = words(origin.host, 255).strip("[]"), int(origin.port or 0)
    socket = socket_of(stream)
    if socket is not None:
        found = _tls_of(stream, socket)
        if tls and found is not None:
            facts["requested"] = requested_mode(found.context)
        facts.update(connection_facts(socket, found if tls else None))
        if facts.get("transport") == "unix":
            address, port = facts["peer_address"], 0
    return Session(system="http", address=address, port=port, requested_explicit=True, **facts)
