"""The facts of a Redis session, from redis-py's connection object, sync or asyncio."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backwatch.collector.probes.families.redis.statements import name_of
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.sockets import descriptor, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import mode_of
from backwatch.collector.runtime.record import Session

_INFO: Final = re.compile(r"^(redis_version|valkey_version|run_id):([\w.\-]{1,64})", re.MULTILINE)
_CERTIFICATE_REQUIRED: Final = ("CERT_REQUIRED", "2", "REQUIRED")
"""Spellings of redis-py's option ``ssl_cert_reqs``."""


class RedisLogin:
    """The login of a connection: account and method, never the secret."""

    __slots__ = ("account", "method", "version")

    def __init__(self) -> None:
        self.account = ""
        self.method = "none"
        self.version = ""

    def add_command(self, command: Sequence[object]) -> None:
        """Read a command of the connection's start, or one by which the app logs in."""
        name = name_of(command)
        if name == "AUTH":
            self.account = words(command[1]) if len(command) > 2 else "default"
            self.method = "clear-password"
        elif name == "HELLO":
            upper = [name_of((part,)) for part in command[2:]]
            if "AUTH" in upper:
                self.account = words(command[2 + upper.index("AUTH") + 1])
                self.method = "clear-password"

    def add_reply(self, reply: object) -> None:
        """Read a reply of the connection's start: that of HELLO has the server's version."""
        if isinstance(reply, Mapping):
            self.version = words(reply.get(b"version") or reply.get("version"), 40)


def login_facts(login: RedisLogin) -> dict[str, Any]:
    """Return the login as keyword arguments of ``Session``."""
    return {"account": login.account, "auth_method": login.method}


def carrier_of(connection: Any) -> Any:
    """Return the writer or socket of a connection; the driver drops it on close."""
    return getattr(connection, "_writer", None) or getattr(connection, "_sock", None)


def socket_of(connection: Any) -> tuple[Any, int]:
    """Return the socket (asyncio: the transport's view of it) and its descriptor; ``None`` and -1 if closed."""
    writer = getattr(connection, "_writer", None)
    socket = writer.get_extra_info("socket") if writer is not None else getattr(connection, "_sock", None)
    return socket, descriptor(socket)


def session_of(connection: Any, tls_classes: tuple[type, ...], login: RedisLogin, system: str) -> Session:
    """Return the session with everything that the connection knows now. Takes a few microseconds."""
    socket, _ = socket_of(connection)
    facts: dict[str, Any] = dict(_requested_facts(connection, tls_classes))
    if socket is not None:
        writer = getattr(connection, "_writer", None)
        tls = writer.get_extra_info("ssl_object") if writer is not None else tls_of(socket)
        facts.update(connection_facts(socket, tls))
        facts.update(login_facts(login))
    if not login.version:  # a connection older than this probe; redis-py's asyncio keeps no such attribute
        login.add_reply(getattr(connection, "handshake_metadata", None))
    namespace = str(getattr(connection, "db", None) or 0)[:20]
    return Session(system=system, namespace=namespace, server_version=login.version, **facts)


def _requested_facts(connection: Any, tls_classes: tuple[type, ...]) -> dict[str, Any]:
    path = getattr(connection, "path", None)
    if path is not None:
        return {"address": str(path)[:200], "transport": "unix", "requested": "disable", "requested_explicit": False}
    facts: dict[str, Any] = {
        "address": str(getattr(connection, "host", ""))[:255],
        "port": int(getattr(connection, "port", 0) or 0),
        "requested": "disable",
        "requested_explicit": False,
    }
    if isinstance(connection, tls_classes):
        required = str(getattr(connection, "cert_reqs", "")).rpartition(".")[2].upper() in _CERTIFICATE_REQUIRED
        facts["requested"] = mode_of(verifies=required, checks_name=getattr(connection, "check_hostname", False))
        facts["requested_explicit"] = True
    return facts


def info_facts(reply: object) -> dict[str, Any]:
    """Return what a reply to the app's own INFO reveals, as keyword arguments of ``Session``."""
    if not isinstance(reply, (bytes, str)):
        return {}
    head = reply[:4096]
    found = dict(_INFO.findall(head.decode("utf-8", "replace") if isinstance(head, bytes) else head))
    # Valkey gives, beside its own version, the Redis version that it is compatible with.
    version = found.get("valkey_version") or found.get("redis_version")
    facts = {"server_version": version, "server_id": found.get("run_id")}
    return {key: value for key, value in facts.items() if value}
