"""What an asyncpg connection says of its session, also of one that fails to log in."""

from collections.abc import Mapping
from typing import Any, Final

from backwatch.collector.probes.asyncpg.login import NOT_ASKED, LoginReader
from backwatch.collector.probes.families.postgresql.libpq import superuser
from backwatch.collector.probes.toolkit.dbapi import Link
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import read_tls_facts

MAX_TEXT: Final = 200
_MODES: Final = {"verify_ca": "verify-ca", "verify_full": "verify-full"}


class Attempt:
    """A connection that the app asked for, until it stands.

    Attributes:
        explicit: Whether the app itself said which TLS it wants; ``None`` where that is not known.
        context: The TLS context that the app made; ``None`` where it named a mode instead.
        facts: What is known of the transport, once there is one.
        login: Reads how the server lets the app in; ``None`` where it was let in before we came.
    """

    __slots__ = ("__weakref__", "context", "explicit", "facts", "login")

    def __init__(self, dsn: Any, ssl: Any, environment: Mapping[str, str] | None) -> None:
        self.context = ssl if hasattr(ssl, "verify_mode") else None
        self.explicit: bool | None = None
        if environment is not None:
            said = ssl is not None or bool(environment.get("PGSSLMODE")) or "sslmode=" in str(dsn or "")
            elsewhere = "service=" in str(dsn or "") or bool(environment.get("PGSERVICE"))
            self.explicit = True if said else None if elsewhere else False
        self.facts: dict[str, Any] = {}
        self.login: LoginReader | None = None

    def auth_method(self, params: Any, *, local: bool) -> str:
        """How the app logged in; empty where that is not known.

        That no password was asked for says something only where one was there to be given, and not of a unix socket,
        whose peer the server knows without asking. Whether a certificate was shown Python's ``ssl`` does not say.
        """
        method = "" if self.login is None else self.login.method
        return "" if method == NOT_ASKED and (local or not getattr(params, "password", None)) else method

    def requested(self, params: Any, *, local: bool) -> tuple[str, bool | None]:
        """The mode asked for, and whether the app itself asked."""
        if self.context is not None:
            if self.context.verify_mode == 0:
                return "require", True
            return ("verify-full" if self.context.check_hostname else "verify-ca"), True
        mode = getattr(params, "sslmode", None)
        name = getattr(mode, "name", "")
        if name != "prefer" and not local:
            return _MODES.get(name, name), True  # nobody gets anything else without asking
        return _MODES.get(name, name), self.explicit


def learnt(transport: Any) -> dict[str, Any]:
    """Peer and encryption of a transport that stands, as keyword arguments of ``Session``."""
    return {**peer(transport.get_extra_info("socket")), **read_tls_facts(transport.get_extra_info("ssl_object"))}


def session_of(address: Any, params: Any, attempt: Attempt, facts: Mapping[str, Any], settings: Any = None) -> Session:
    """The session of an attempt to reach ``address``: ``(host, port)``, or the path of a unix socket.

    Args:
        settings: What the server said of itself and of the account, once it has taken the login.
    """
    local = isinstance(address, str)
    host, port = (address, 0) if local else address[:2]
    mode, explicit = attempt.requested(params, local=local)
    told: dict[str, Any] = {"transport": "unix" if local else "tcp", **facts}
    if local and not told.get("peer_address"):
        told["peer_address"] = host[:MAX_TEXT]
    return Session(
        system="postgresql",
        address=words(host, MAX_TEXT),
        port=int(port),
        namespace=words(params.database, MAX_TEXT),
        requested=mode,
        requested_explicit=explicit,
        account=words(params.user, MAX_TEXT),
        auth_method=attempt.auth_method(params, local=local),
        server_version=words(getattr(settings, "server_version", None)),
        extra=superuser(getattr(settings, "is_superuser", None)),
        **told,
    )


class PostgresLink(Link):
    """A link that also counts what comes unasked.

    Attributes:
        notices: Notices since the last report.
        prepared: The statement that was prepared last and not executed since, and when its preparation began.
    """

    __slots__ = ("notices", "prepared")

    def __init__(self, session: Session, wire: SocketCounters | None) -> None:
        super().__init__(session, wire)
        self.notices = 0
        self.prepared: tuple[Any, int] | None = None

    @classmethod
    def of(cls, connection: Any, attempt: Attempt) -> "PostgresLink":
        """The link of a connection that stands."""
        transport = connection._transport
        settings = connection._protocol.get_settings()
        session = session_of(connection._addr, connection._params, attempt, learnt(transport), settings)
        return cls(session, SocketCounters(descriptor(transport.get_extra_info("socket"))))
