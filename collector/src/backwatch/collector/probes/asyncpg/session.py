"""Sessions of asyncpg connections, including those that fail to log in."""

import os
from collections.abc import Mapping
from typing import Any, Final

from backwatch.collector.probes.families.postgresql.login import NOT_REQUESTED, LoginReader
from backwatch.collector.probes.families.postgresql.session import superuser_facts
from backwatch.collector.probes.families.postgresql.state import PostgresConnectionState
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.dbapi import MAX_TEXT_CHARACTERS
from backwatch.collector.probes.toolkit.sockets import descriptor, words
from backwatch.collector.probes.toolkit.tls_contexts import requested_mode
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters

_MODES: Final = {"verify_ca": "verify-ca", "verify_full": "verify-full"}


class AsyncpgConnectAttempt:
    """A connection that the app requested, until it is established.

    Attributes:
        context: The TLS context that the app made; ``None`` where it named a mode instead.
        is_explicit: Whether the app itself requested a TLS mode; ``None``: unknown.
        facts: Facts of the transport, once there is one.
        login: Reads the login method; ``None`` where the login is older than the probe.
    """

    __slots__ = ("__weakref__", "context", "facts", "is_explicit", "login")

    def __init__(self, dsn: Any = None, ssl: Any = None, *, is_observed: bool = False) -> None:
        self.context = ssl if hasattr(ssl, "verify_mode") else None
        self.is_explicit: bool | None = None
        if is_observed:
            is_explicit = ssl is not None or bool(os.environ.get("PGSSLMODE")) or "sslmode=" in str(dsn or "")
            has_service = "service=" in str(dsn or "") or bool(os.environ.get("PGSERVICE"))
            self.is_explicit = True if is_explicit else None if has_service else False
        self.facts: dict[str, Any] = {}
        self.login: LoginReader | None = None

    def auth_method(self, params: Any, *, is_local: bool) -> str:
        """Return the login method; empty where it is unknown.

        A login without a request for a password means something only where the app had one, and not on a unix socket,
        whose peer the server may know without a request. Whether a certificate was shown Python's ``ssl`` does not
        reveal.
        """
        method = "" if self.login is None else self.login.method
        has_password = bool(getattr(params, "password", None))
        return "" if method == NOT_REQUESTED and (is_local or not has_password) else method

    def requested_tls(self, params: Any, *, is_local: bool) -> tuple[str, bool | None]:
        """Return the requested mode, and whether the app itself requested it."""
        if self.context is not None:
            return requested_mode(self.context), True
        name = getattr(getattr(params, "sslmode", None), "name", "")
        # "prefer" is the only mode that needs no request.
        return _MODES.get(name, name), True if name != "prefer" and not is_local else self.is_explicit


class AsyncpgConnectionState(PostgresConnectionState):
    """A connection state that also keeps a statement's preparation.

    Attributes:
        prepared: The statement that was prepared last and not executed since, and the start of its preparation.
    """

    __slots__ = ("prepared",)

    def __init__(self, session: Session, wire: SocketCounters | None = None) -> None:
        super().__init__(session, wire)
        self.prepared: tuple[Any, int] | None = None


def read_transport(transport: Any) -> dict[str, Any]:
    """Return peer and encryption of an open transport, as keyword arguments of ``Session``."""
    return connection_facts(transport.get_extra_info("socket"), transport.get_extra_info("ssl_object"))


def describe_attempt(
    address: Any, params: Any, attempt: AsyncpgConnectAttempt, facts: Mapping[str, Any], settings: Any = None
) -> Session:
    """Describe an attempt to reach ``address``: ``(host, port)``, or the path of a unix socket.

    Args:
        settings: The server's parameters, once it has accepted the login.
    """
    is_local = isinstance(address, str)
    host, port = (address, 0) if is_local else address[:2]
    mode, is_explicit = attempt.requested_tls(params, is_local=is_local)
    transport: dict[str, Any] = {"transport": "unix" if is_local else "tcp", **facts}
    if is_local and not transport.get("peer_address"):
        transport["peer_address"] = host[:MAX_TEXT_CHARACTERS]
    return Session(
        system="postgresql",
        address=words(host, MAX_TEXT_CHARACTERS),
        port=int(port),
        namespace=words(params.database, MAX_TEXT_CHARACTERS),
        requested=mode,
        requested_explicit=is_explicit,
        account=words(params.user, MAX_TEXT_CHARACTERS),
        auth_method=attempt.auth_method(params, is_local=is_local),
        server_version=words(getattr(settings, "server_version", None)),
        extra=superuser_facts(getattr(settings, "is_superuser", None)),
        **transport,
    )


def build_state(connection: Any, attempt: AsyncpgConnectAttempt) -> AsyncpgConnectionState:
    """Build the state of an established connection."""
    transport, settings = connection._transport, connection._protocol.get_settings()
    session = describe_attempt(connection._addr, connection._params, attempt, read_transport(transport), settings)
    return AsyncpgConnectionState(session, SocketCounters(descriptor(transport.get_extra_info("socket"))))
