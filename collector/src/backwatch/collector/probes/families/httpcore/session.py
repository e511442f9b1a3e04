"""The facts of a connection of httpcore's: from its network stream, whichever backend made it."""

from typing import Any

from backwatch.collector.probes.toolkit.sockets import peer, tls_of, words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import read_tls_facts


def socket_of(stream: Any) -> Any:
    """The socket below a network stream; ``None`` for a backend without one (a test's double, an app in memory)."""
    info = getattr(stream, "get_extra_info", None)
    socket = info("socket") if info is not None else None
    return socket if hasattr(socket, "fileno") else None


def _tls_of(stream: Any, socket: Any) -> Any:
    """The object that ``tls.read_tls_facts`` understands."""
    found = stream.get_extra_info("ssl_object")
    # The blocking backend hands out the C object below its socket, which says less than the socket itself.
    # Where eventlet is installed it may not know its own TLS socket, and hand out nothing.
    return tls_of(socket) if found is None or type(found).__module__ == "_ssl" else found


def requested(context: Any) -> str:
    """What a TLS context asks for; httpcore's own default verifies everything."""
    if context is None:
        return "verify-full"
    if context.verify_mode == 0:
        return "require"
    return "verify-full" if context.check_hostname else "verify-ca"


def session_of(origin: Any, stream: Any, context: Any = None) -> Session:
    """What is known of a connection.

    Args:
        origin: httpcore's word for scheme, host and port: the app's own, not the proxy's.
        stream: ``None`` where there is no connection.
        context: What TLS was to be done with, where there is no connection that could say.
    """
    tls = origin.scheme in (b"https", b"wss")
    facts: dict[str, Any] = {"requested": requested(context) if tls else "disable"}
    address, port = words(origin.host, 255).strip("[]"), int(origin.port or 0)
    socket = socket_of(stream)
    if socket is not None:
        found = _tls_of(stream, socket)
        if tls and found is not None:
            facts["requested"] = requested(found.context)
        facts.update(read_tls_facts(found if tls else None))
        facts.update(peer(socket))
        if facts.get("transport") == "unix":
            address, port = facts["peer_address"], 0
    return Session(system="http", address=address, port=port, requested_explicit=True, **facts)
