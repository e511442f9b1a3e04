"""The session facts of an ldap3 connection: the requested server, its TLS, its peer, and the bound account."""

import threading
import time
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.sockets import descriptor, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import mode_of
from backwatch.collector.runtime.record import Caller, Session
from backwatch.collector.session.socket_counters import SocketCounters

MAX_PENDING_REQUESTS: Final = 1_024
"""Requests of one connection that wait for a response; the oldest is dropped for a new one."""


class PendingRequest:
    """A request that was sent, and waits for its response."""

    __slots__ = ("caller", "operation", "start_ns", "statement")

    def __init__(self, operation: str, statement: str, caller: Caller | None) -> None:
        self.operation = operation
        self.statement = statement
        self.caller = caller
        self.start_ns = time.time_ns()


class CompoundCall:
    """A call of several requests: connect, starttls, bind; further requests of the library inside it belong to it.

    Attributes:
        failed: Calls of this connection that had failed when it began.
        cause: The error below, where the library raises a new one for it.
        result: The server's final response.
    """

    __slots__ = ("cause", "failed", "operation", "result", "sent", "start_ns", "thread")

    def __init__(self, operation: str, failed: int) -> None:
        self.operation = operation
        self.start_ns = time.time_ns()
        self.thread = threading.get_ident()
        self.failed = failed
        self.sent = False
        self.cause: BaseException | None = None
        self.result: dict[str, Any] | None = None


class LdapConnectionState:
    """The state of one connection."""

    __slots__ = ("calls", "failed", "info", "number", "pending", "sent", "session", "starttls_offered", "wire")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.number = -1
        self.wire: SocketCounters | None = None
        self.calls: list[CompoundCall] = []
        self.sent = 0
        self.failed = 0
        """``sent``: requests, apart from those of a compound call. ``failed``: calls that were recorded as failed."""
        self.pending: dict[int, PendingRequest | CompoundCall] = {}
        self.starttls_offered: bool | None = None
        self.info = 0
        """``id`` of the server's description of itself that was read last."""

    def count_bytes(self, connection: Any) -> None:
        """Count bytes on the present socket of the connection."""
        self.number = descriptor(getattr(connection, "socket", None))
        self.wire = SocketCounters(self.number) if self.number >= 0 else None

    def current_call(self) -> CompoundCall | None:
        """Return the innermost compound call in progress on this thread."""
        if not self.calls:
            return None
        thread = threading.get_ident()
        return next((call for call in reversed(self.calls) if call.thread == thread), None)

    def begin(self, operation: str) -> CompoundCall:
        """Begin a compound call."""
        call = CompoundCall(operation, self.failed)
        self.calls.append(call)
        return call

    def end(self, call: CompoundCall) -> None:
        """End a compound call; others may be in progress, also on other threads."""
        if call in self.calls:
            self.calls.remove(call)

    def add_pending(self, number: int, request: PendingRequest | CompoundCall) -> None:
        """Keep a request that was sent under this number."""
        if len(self.pending) >= MAX_PENDING_REQUESTS:
            self.pending.pop(next(iter(self.pending)), None)
        self.pending[number] = request

    def update(self, **facts: Any) -> None:
        """Set facts of the session from now on."""
        if any(getattr(self.session, key) != value for key, value in facts.items()):
            self.session = replace(self.session, encoded=[], **facts)


def requested_session(connection: Any) -> Session:
    """Return the requested server and TLS mode."""
    server = connection.server
    at_once = bool(getattr(server, "ssl", False))
    local = bool(getattr(server, "ipc", False))
    port = getattr(server, "port", None)
    address = words(getattr(server, "host", ""), 255)
    if local:
        address = "/" + address.lstrip("/")  # the path begins with the slash that ends ``ldapi://``
    return Session(
        system="ldap", address=address, port=port if isinstance(port, int) else 0,
        transport="unix" if local else "tcp", requested=tls_mode(server) if at_once else "disable",
        requested_explicit=at_once,
    )  # fmt: skip


def tls_mode(server: Any) -> str:
    """Return the mode that the ``Tls`` object requests; ldap3's default verifies nothing."""
    tls = getattr(server, "tls", None)
    checks_name = not _allows_any_name(getattr(tls, "valid_names", None))
    return mode_of(verifies=getattr(tls, "validate", 0), checks_name=checks_name)


def _allows_any_name(valid: Any) -> bool:
    return "*" in (valid if isinstance(valid, (list, tuple, set)) else (valid,))


class CheckedSockets:
    """The TLS sockets whose certificate ldap3 itself has compared with the host name."""

    def __init__(self) -> None:
        self._sockets: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def add(self, socket: Any, valid: Any) -> None:
        """Add a socket that passed; ``*`` among the allowed names checks nothing."""
        self._sockets[socket] = "chain" if _allows_any_name(valid) else "full"

    def verification_of(self, socket: Any) -> str:
        """Return what was verified on a socket."""
        if not getattr(getattr(socket, "context", None), "verify_mode", 0):
            return "none"
        return self._sockets.get(socket, "chain")


def current_facts(connection: Any, checked: CheckedSockets) -> dict[str, Any]:
    """Return the present facts of the connection; none where it is closed."""
    socket = getattr(connection, "socket", None)
    if descriptor(socket) < 0:
        return {}
    secured = tls_of(socket)
    verified = None if secured is None else checked.verification_of(socket)
    return connection_facts(socket, secured, verified=verified)


def account_facts(connection: Any) -> dict[str, str]:
    """Return the account that is about to bind, and the method."""
    method = str(getattr(connection, "authentication", "")).upper()
    user = words(getattr(connection, "user", None), 255)
    if method == "ANONYMOUS":
        return {"account": "", "auth_method": "none"}
    if method == "SIMPLE":
        return {"account": user, "auth_method": "clear-password"}
    if method != "SASL":
        return {"account": user, "auth_method": method.lower()[:40]}
    mechanism = words(getattr(connection, "sasl_mechanism", None), 40).upper()
    given = getattr(connection, "sasl_credentials", None)
    account = ""
    if mechanism in ("PLAIN", "DIGEST-MD5") and isinstance(given, (tuple, list)) and len(given) > 2:
        account = words(given[1], 255)  # authorization or realm, name, password
    return {"account": account, "auth_method": "clear-password" if mechanism == "PLAIN" else mechanism.lower()}


def version_facts(connection: Any, state: LdapConnectionState) -> dict[str, str]:
    """Return the server's description of itself, where the app lets the library read it."""
    info = getattr(connection.server, "_dsa_info", None)
    # With other settings it is a description of such servers that comes with the library.
    if info is None or id(info) == state.info or connection.server.get_info not in ("DSA", "ALL"):
        return {}
    state.info = id(info)
    parts = (getattr(info, "vendor_name", None), getattr(info, "vendor_version", None))
    version = " ".join(words(part[0] if isinstance(part, (list, tuple)) else part) for part in parts if part)
    return {"server_version": version[:120]} if version else {}


def starttls_facts(state: LdapConnectionState) -> dict[str, Any]:
    """Return whether the server can start TLS, by its response to the request."""
    return {} if state.starttls_offered is None else {"extra": ((names.STARTTLS_OFFERED, state.starttls_offered),)}
