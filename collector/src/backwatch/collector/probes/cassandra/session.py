"""What a connection to one Cassandra node says of its session, also one that fails to log in."""

from dataclasses import replace
from typing import Any, Final

from backwatch.collector.probes.toolkit.dbapi import Link
from backwatch.collector.probes.toolkit.sockets import peer, tls_of, words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import read_tls_facts

MAX_TEXT: Final = 255
_METHODS: Final = {"PLAIN": "clear-password"}


class NodeLink(Link):
    """What hangs on one connection.

    Attributes:
        received: Bytes of the message that is being taken in.
    """

    __slots__ = ("received",)

    def __init__(self, session: Session, wire: SocketCounters | None) -> None:
        super().__init__(session, wire)
        self.received = 0

    def session_on(self, host: Any, keyspace: object) -> Session:
        """The session, with what is known by now of the node, and of the keyspace that the connection uses."""
        session = self.session
        version, namespace = words(getattr(host, "release_version", None), 40), words(keyspace, MAX_TEXT)
        if version != session.server_version or namespace != session.namespace:
            host_id = words(getattr(host, "host_id", None), 40)
            self.session = session = replace(
                session, server_version=version, server_id=host_id, namespace=namespace, encoded=[]
            )
        return session


def _requested(connection: Any) -> tuple[str, bool]:
    context = connection.ssl_context
    if context is None and not connection.ssl_options:
        return "disable", False
    socket = getattr(connection, "_socket", None)
    context = context or getattr(tls_of(socket), "context", None)
    if context is None:
        return "require", True  # asked for by options, and not reached: what is verified is not known
    if not context.verify_mode:
        return "require", True
    named = getattr(context, "check_hostname", False) or connection._check_hostname
    return ("verify-full" if named else "verify-ca"), True


def _tls(connection: Any, socket: Any, requested: str) -> dict[str, Any]:
    tls = tls_of(socket)
    if tls is None:
        # Under Twisted, and eventlet's pyOpenSSL, the session is out of reach: unknown, where TLS was asked for.
        return {"encrypted": False} if requested == "disable" else {}
    if tls.version() is None:
        return {}  # closed by now
    # The driver compared the host's name itself before 3.28.
    full = connection._check_hostname and tls.context.verify_mode
    return dict(read_tls_facts(tls, verified="full" if full else None))


def _login(connection: Any, *, ready: bool) -> dict[str, Any]:
    """Who logged in and how; nothing where the server has not asked yet."""
    authenticator = connection.authenticator
    asked = getattr(authenticator, "server_authenticator_class", None)
    if not asked:
        # No name was sent: the node lets in everybody.
        return {"auth_method": "none"} if ready and not isinstance(authenticator, dict) else {}
    known = type(authenticator).__module__ == "cassandra.auth"
    mechanism = authenticator.get_mechanism() if known and hasattr(authenticator, "get_mechanism") else None
    mechanism = words(mechanism or getattr(getattr(authenticator, "sasl", None), "mechanism", None), 40)
    return {
        "account": words(getattr(authenticator, "username", None), MAX_TEXT),
        "auth_method": _METHODS.get(mechanism, mechanism.lower()),
    }


def session_of(connection: Any, *, ready: bool) -> Session:
    """Everything that the connection knows at present.

    Args:
        ready: It has logged in.
    """
    endpoint, socket = connection.endpoint, getattr(connection, "_socket", None)
    requested, explicit = _requested(connection)
    port = endpoint.port
    facts: dict[str, Any] = {"transport": "tcp" if port else "unix"}
    if socket is not None:
        facts.update(peer(socket))
        facts.update(_tls(connection, socket, requested))
    return Session(
        system="cassandra",
        address=words(endpoint.address, MAX_TEXT),
        port=port if isinstance(port, int) else 0,
        requested=requested,
        requested_explicit=explicit,
        **_login(connection, ready=ready),
        **facts,
    )


def with_login(connection: Any, session: Session) -> Session:
    """The session of a connection that failed after it stood, which is closed by now."""
    return replace(session, encoded=[], **_login(connection, ready=False))


def asked_of(cluster: Any, keyspace: object) -> Session:
    """Of a call that reached no node: the first place that the app named."""
    first = next(iter(getattr(cluster, "contact_points", None) or ()), "")
    address = first[0] if isinstance(first, tuple) else getattr(first, "address", first)
    port = first[1] if isinstance(first, tuple) else getattr(cluster, "port", 0)
    return Session(
        system="cassandra",
        address=words(address, MAX_TEXT),
        port=port if isinstance(port, int) else 0,
        namespace=words(keyspace, MAX_TEXT),
        transport="",
    )
