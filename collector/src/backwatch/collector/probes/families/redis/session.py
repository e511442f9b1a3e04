"""The facts of a Redis session, from redis-py's connection object, sync or asyncio."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from backwatch.collector.probes.families.redis.text import name_of
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, tls_of, words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import read_tls_facts

_INFO: Final = re.compile(r"^(redis_version|valkey_version|run_id):([\w.\-]{1,64})", re.MULTILINE)


class Login:
    """What was sent as a login: the name and that there was one, never the secret."""

    __slots__ = ("account", "method", "version")

    def __init__(self) -> None:
        self.account = ""
        self.method = "none"
        self.version = ""

    def sent(self, command: Sequence[object]) -> None:
        """A command of the connection's start, or one by which the app logs in."""
        name = name_of(command)
        if name == "AUTH":
            self.account = words(command[1]) if len(command) > 2 else "default"
            self.method = "clear-password"
        elif name == "HELLO":
            upper = [name_of((part,)) for part in command[2:]]
            if "AUTH" in upper:
                self.account = words(command[2 + upper.index("AUTH") + 1])
                self.method = "clear-password"

    def answered(self, reply: object) -> None:
        """A reply of the connection's start: HELLO's tells the server's version."""
        if isinstance(reply, Mapping):
            self.version = words(reply.get(b"version") or reply.get("version"), 40)


def login_of(login: Login) -> dict[str, Any]:
    """As keyword arguments of ``Session``."""
    return {"account": login.account, "auth_method": login.method}


def carrier_of(connection: Any) -> Any:
    """What the connection speaks through; the driver lets go of it when it closes."""
    return getattr(connection, "_writer", None) or getattr(connection, "_sock", None)


def socket_of(connection: Any) -> tuple[Any, int]:
    """The socket (asyncio: its transport's view of it) and its descriptor; ``None`` and -1 where there is none."""
    writer = getattr(connection, "_writer", None)
    socket = writer.get_extra_info("socket") if writer is not None else getattr(connection, "_sock", None)
    return socket, descriptor(socket)


def session_of(connection: Any, tls_classes: tuple[type, ...], login: Login, system: str) -> Session:
    """Everything that the connection knows at present. A few microseconds, once per connection."""
    socket, _ = socket_of(connection)
    facts: dict[str, Any] = dict(_asked_for(connection, tls_classes))
    if socket is not None:
        writer = getattr(connection, "_writer", None)
        tls = writer.get_extra_info("ssl_object") if writer is not None else tls_of(socket)
        facts.update(read_tls_facts(tls))
        facts.update(peer(socket))
        facts.update(login_of(login))
    if not login.version:  # a connection older than this probe; redis-py's asyncio keeps no such thing
        login.answered(getattr(connection, "handshake_metadata", None))
    namespace = str(getattr(connection, "db", None) or 0)[:20]
    return Session(system=system, namespace=namespace, server_version=login.version, **facts)


def _asked_for(connection: Any, tls_classes: tuple[type, ...]) -> dict[str, Any]:
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
        required = str(getattr(connection, "cert_reqs", "")).rpartition(".")[2].upper() in (
            "CERT_REQUIRED",
            "2",
            "REQUIRED",
        )
        hostname = bool(getattr(connection, "check_hostname", False))
        facts["requested"] = "require" if not required else "verify-full" if hostname else "verify-ca"
        facts["requested_explicit"] = True
    return facts


def told_by_info(reply: object) -> dict[str, Any]:
    """What the app's own INFO shows of the server, as keyword arguments of ``Session``."""
    if not isinstance(reply, (bytes, str)):
        return {}
    head = reply[:4096]
    found = dict(_INFO.findall(head.decode("utf-8", "replace") if isinstance(head, bytes) else head))
    # Valkey says beside its own version which one of Redis it is compatible with.
    version = found.get("valkey_version") or found.get("redis_version")
    facts = {"server_version": version, "server_id": found.get("run_id")}
    return {key: value for key, value in facts.items() if value}
