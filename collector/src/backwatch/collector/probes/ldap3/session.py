"""What ldap3 says of a connection: where it was asked to go, its TLS, its peer, and who is bound."""

import threading
import time
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, tls_of, words
from backwatch.collector.runtime.record import Caller, Session
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import read_tls_facts

MAX_WAITING: Final = 1_024
"""Requests of one connection whose answers are awaited; then the oldest is forgotten."""


class Request:
    """A request that was sent, and waits for its answer."""

    __slots__ = ("caller", "operation", "start_ns", "statement")

    def __init__(self, operation: str, statement: str, caller: Caller | None) -> None:
        self.operation = operation
        self.statement = statement
        self.caller = caller
        self.start_ns = time.time_ns()


class Step:
    """Something that takes several requests: to connect, to start TLS, to bind; what the library asks then is its own.

    Attributes:
        failed: How many calls of this connection had failed when it began.
        cause: What went wrong below, where the library makes a new error of it.
        result: The server's answer to what it is about.
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


class Link:
    """What is known of one connection."""

    __slots__ = ("failed", "info", "number", "offered", "sent", "session", "steps", "waiting", "wire")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.number = -1
        self.wire: SocketCounters | None = None
        self.steps: list[Step] = []
        self.sent = 0
        self.failed = 0
        """Requests that were sent, apart from those of a step; calls that were told as failed."""
        self.waiting: dict[int, Request | Step] = {}
        self.offered: bool | None = None
        self.info = 0
        """The identity of what the server has said of itself, as it was looked at last."""

    def count(self, connection: Any) -> None:
        """Bytes are counted on the socket that it has now."""
        self.number = descriptor(getattr(connection, "socket", None))
        self.wire = SocketCounters(self.number) if self.number >= 0 else None

    def mine(self) -> Step | None:
        """The step in progress on this thread, the innermost."""
        if not self.steps:
            return None
        thread = threading.get_ident()
        return next((step for step in reversed(self.steps) if step.thread == thread), None)

    def begin(self, operation: str) -> Step:
        """A step begins."""
        step = Step(operation, self.failed)
        self.steps.append(step)
        return step

    def end(self, step: Step) -> None:
        """It has ended; others may be going on, on other threads too."""
        if step in self.steps:
            self.steps.remove(step)

    def wait(self, number: int, request: Request | Step) -> None:
        """A request was sent under this number."""
        if len(self.waiting) >= MAX_WAITING:
            self.waiting.pop(next(iter(self.waiting)), None)
        self.waiting[number] = request

    def change(self, **facts: Any) -> None:
        """Facts of the session from now on."""
        if any(getattr(self.session, key) != value for key, value in facts.items()):
            self.session = replace(self.session, encoded=[], **facts)


def asked(connection: Any) -> Session:
    """Where it was asked to go, and with which TLS."""
    server = connection.server
    at_once = bool(getattr(server, "ssl", False))
    local = bool(getattr(server, "ipc", False))
    port = getattr(server, "port", None)
    address = words(getattr(server, "host", ""), 255)
    if local:
        address = "/" + address.lstrip("/")  # the path begins with the slash that ends ``ldapi://``
    return Session(
        system="ldap", address=address, port=port if isinstance(port, int) else 0,
        transport="unix" if local else "tcp", requested=tls_asked(server) if at_once else "disable",
        requested_explicit=at_once,
    )  # fmt: skip


def tls_asked(server: Any) -> str:
    """What its ``Tls`` object asks for; ldap3's own verifies nothing."""
    tls = getattr(server, "tls", None)
    if not getattr(tls, "validate", 0):
        return "require"
    return "verify-ca" if _any_name(getattr(tls, "valid_names", None)) else "verify-full"


def _any_name(valid: Any) -> bool:
    return "*" in (valid if isinstance(valid, (list, tuple, set)) else (valid,))


class Checked:
    """The TLS sockets whose certificate's name ldap3 has compared with the host: it does so by itself."""

    def __init__(self) -> None:
        self._sockets: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def passed(self, socket: Any, valid: Any) -> None:
        """A name was found right; ``*`` among those that the app allows says nothing."""
        self._sockets[socket] = "chain" if _any_name(valid) else "full"

    def of(self, socket: Any) -> str:
        """What was verified on this socket."""
        if not getattr(getattr(socket, "context", None), "verify_mode", 0):
            return "none"
        return self._sockets.get(socket, "chain")


def now(connection: Any, checked: Checked) -> dict[str, Any]:
    """What is true of the connection at this moment; nothing where it is closed."""
    socket = getattr(connection, "socket", None)
    if descriptor(socket) < 0:
        return {}
    secured = tls_of(socket)
    return {**read_tls_facts(secured, verified=None if secured is None else checked.of(socket)), **peer(socket)}


def who(connection: Any) -> dict[str, str]:
    """Who is about to bind, and how."""
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


def said(connection: Any, link: Link) -> dict[str, str]:
    """What the server says of itself, where the app has let the library read it."""
    info = getattr(connection.server, "_dsa_info", None)
    # Else it is a description of such servers that comes with the library.
    if info is None or id(info) == link.info or connection.server.get_info not in ("DSA", "ALL"):
        return {}
    link.info = id(info)
    parts = (getattr(info, "vendor_name", None), getattr(info, "vendor_version", None))
    told = " ".join(words(one[0] if isinstance(one, (list, tuple)) else one) for one in parts if one)
    return {"server_version": told[:120]} if told else {}


def offered(link: Link) -> dict[str, Any]:
    """Whether the server can start TLS, as it answered when it was asked to."""
    return {} if link.offered is None else {"extra": ((names.STARTTLS_OFFERED, link.offered),)}
