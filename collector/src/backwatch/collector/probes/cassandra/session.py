"""Sessions of connections to Cassandra nodes, including those that fail to log in."""

from dataclasses import replace
from typing import Any, Final

from backwatch.collector.probes.toolkit.dbapi import ConnectionState
from backwatch.collector.probes.toolkit.sockets import peer, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import requested_mode
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import read_tls_facts

MAX_TEXT_CHARACTERS: Final = 255
_METHODS: Final = {"PLAIN": "clear-password"}


class NodeConnectionState(ConnectionState):
    """The state of one connection to a node.

    Attributes:
        received: Bytes of the message that is being processed.
    """

    __slots__ = ("received",)

    def __init__(self, session: Session, wire: SocketCounters | None = None) -> None:
        super().__init__(session, wire)
        self.received = 0

    def refresh_session(self, host: Any, keyspace: object) -> Session:
        """Return the session, with the facts that are known by now of the node and of the connection's keyspace."""
        session = self.session
        version, namespace = words(getattr(host, "release_version", None), 40), words(keyspace, MAX_TEXT_CHARACTERS)
        if version != session.server_version or namespace != session.namespace:
            server_id = words(getattr(host, "host_id", None), 40)
            self.change_session(server_version=version, server_id=server_id, namespace=namespace)
        return self.session


def _requested_tls(connection: Any) -> tuple[str, bool]:
    context = connection.ssl_context
    if context is None and not connection.ssl_options:
        return "disable", False
    context = context or getattr(tls_of(getattr(connection, "_socket", None)), "context", None)
    # Requested by options, and without a socket: what is verified is unknown.
    mode = "require" if context is None else requested_mode(context)
    return ("verify-full" if mode == "verify-ca" and connection._check_hostname else mode), True


def _read_tls(connection: Any, socket: Any, requested: str) -> dict[str, Any]:
    tls = tls_of(socket)
    if tls is None:
        # Under Twisted, and eventlet's pyOpenSSL, the session is out of reach: unknown, where TLS was asked for.
        return {"encrypted": False} if requested == "disable" else {}
    if tls.version() is None:
        return {}  # closed by now
    # The driver compared the host's name itself before 3.28.
    full = connection._check_hostname and tls.context.verify_mode
    return dict(read_tls_facts(tls, verified="full" if full else None))


def _read_login(connection: Any, *, ready: bool) -> dict[str, Any]:
    """Return account and method; nothing where the server has not requested a login yet."""
    authenticator = connection.authenticator
    if not getattr(authenticator, "server_authenticator_class", None):
        # No name was sent: the node accepts every client.
        return {"auth_method": "none"} if ready and not isinstance(authenticator, dict) else {}
    known = type(authenticator).__module__ == "cassandra.auth"
    mechanism = authenticator.get_mechanism() if known and hasattr(authenticator, "get_mechanism") else None
    mechanism = words(mechanism or getattr(getattr(authenticator, "sasl", None), "mechanism", None), 40)
    return {
        "account": words(getattr(authenticator, "username", None), MAX_TEXT_CHARACTERS),
        "auth_method": _METHODS.get(mechanism, mechanism.lower()),
    }


def describe_connection(connection: Any, *, ready: bool) -> Session:
    """Describe a connection at this moment.

    Args:
        ready: It has logged in.
    """
    endpoint, socket = connection.endpoint, getattr(connection, "_socket", None)
    requested, explicit = _requested_tls(connection)
    port = endpoint.port
    facts: dict[str, Any] = {"transport": "tcp" if port else "unix"}
    if socket is not None:
        facts.update(peer(socket))
        facts.update(_read_tls(connection, socket, requested))
    return Session(
        system="cassandra",
        address=words(endpoint.address, MAX_TEXT_CHARACTERS),
        port=port if isinstance(port, int) else 0,
        requested=requested,
        requested_explicit=explicit,
        **_read_login(connection, ready=ready),
        **facts,
    )


def add_login(connection: Any, session: Session) -> Session:
    """Add the login to the session of a connection that was open, has failed, and is closed by now."""
    return replace(session, encoded=[], **_read_login(connection, ready=False))


def describe_cluster(cluster: Any, keyspace: object) -> Session:
    """Describe a call that reached no node, by the first contact point that the app named."""
    first = next(iter(getattr(cluster, "contact_points", None) or ()), "")
    address = first[0] if isinstance(first, tuple) else getattr(first, "address", first)
    port = first[1] if isinstance(first, tuple) else getattr(cluster, "port", 0)
    return Session(
        system="cassandra",
        address=words(address, MAX_TEXT_CHARACTERS),
        port=port if isinstance(port, int) else 0,
        namespace=words(keyspace, MAX_TEXT_CHARACTERS),
        transport="",
    )
