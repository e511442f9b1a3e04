"""The facts of a MongoDB session, from pymongo's connection object and the commands of its connect."""

from collections.abc import Mapping
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.toolkit.connections import connection_facts
from backwatch.collector.probes.toolkit.nodes import topology_facts
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, words
from backwatch.collector.probes.toolkit.tls_contexts import VERIFICATIONS, mode_of
from backwatch.collector.runtime.record import Facts, Session
from backwatch.collector.session.tls import read_pyopenssl_facts

HELLO: Final = frozenset(("hello", "ismaster", "isMaster"))
DEFAULT_PORT: Final = 27017
_AUTH_METHODS: Final = {"PLAIN": "clear-password", "MONGODB-X509": "x509"}
_NODE_LISTS: Final = ("hosts", "passives", "arbiters")
_NODE_FIELDS: Final = ("primary", "me")


class MongoLogin:
    """The login of a connection: account and mechanism, never the secret.

    Attributes:
        offered: Mechanism and account that HELLO contains, for a server that accepts them at once.
    """

    __slots__ = ("account", "method", "offered")

    def __init__(self) -> None:
        self.account = ""
        self.method = ""
        self.offered: tuple[str, str] = ("", "")

    def add_command(self, command: Any) -> None:
        """Read a command of the connect."""
        name = _name_of(command)
        if name in HELLO:
            offered = command.get("speculativeAuthenticate")
            if isinstance(offered, Mapping):
                self.offered = _credentials(offered)
        elif name in ("saslStart", "authenticate"):
            self.method, self.account = _credentials(command)

    def add_reply(self, command: Any, reply: Any) -> None:
        """Read the reply to a command of the connect."""
        if _name_of(command) in HELLO and isinstance(reply, Mapping) and reply.get("speculativeAuthenticate"):
            self.method, self.account = self.offered

    def facts(self, options: Any) -> dict[str, Any]:
        """Return the login as keyword arguments of ``Session``; the driver's options take precedence."""
        credentials = getattr(options, "_credentials", None)
        account = words(getattr(credentials, "username", None)) or self.account
        method = self.method or ("" if credentials is not None else "none")
        return {"account": account if method != "none" else "", "auth_method": method}


def _name_of(command: Any) -> str:
    name = next(iter(command), "") if isinstance(command, Mapping) else ""
    return name if isinstance(name, str) else ""


def _credentials(command: Mapping[str, Any]) -> tuple[str, str]:
    """Return mechanism and account of a ``saslStart`` or ``authenticate``."""
    mechanism = words(command.get("mechanism"), 40)
    account = words(command.get("user"))
    payload = command.get("payload")
    if isinstance(payload, bytes) and len(payload) < 10_000:
        if mechanism.startswith("SCRAM-"):
            found = next((part for part in payload.split(b",") if part.startswith(b"n=")), b"")
            account = words(found[2:].replace(b"=2C", b",").replace(b"=3D", b"="))
        elif mechanism == "PLAIN":
            account = words([*payload.split(b"\0"), b""][1])
    return _AUTH_METHODS.get(mechanism, mechanism.lower()), account


def transport_of(connection: Any) -> tuple[Any, Any]:
    """Return the socket and the TLS object (``None``: no TLS); both ``None`` if the connection is closed."""
    carrier = getattr(connection, "conn", None) or getattr(connection, "sock", None)
    carrier = getattr(carrier, "get_conn", carrier)
    transport = getattr(carrier, "transport", None)
    if transport is not None and hasattr(transport, "get_extra_info"):
        return transport.get_extra_info("socket"), transport.get_extra_info("ssl_object")
    return carrier, carrier if hasattr(carrier, "get_cipher_name") or hasattr(carrier, "cipher") else None


def requested_facts(address: Any, options: Any) -> dict[str, Any]:
    """Return what is known before the first byte, as keyword arguments of ``Session``."""
    host, port = (address[0], address[1]) if isinstance(address, tuple) else (address, None)
    context = getattr(options, "_ssl_context", None)
    lax = getattr(options, "tls_allow_invalid_hostnames", False)
    facts: dict[str, Any] = {
        "address": words(host, 255), "port": port if isinstance(port, int) else 0, "requested": "disable",
        "requested_explicit": context is not None,
    }  # fmt: skip
    if context is not None:
        checks_name = getattr(context, "check_hostname", False) and not lax
        facts["requested"] = mode_of(verifies=context.verify_mode, checks_name=checks_name)
    if not facts["port"] and facts["address"].startswith("/"):
        facts["transport"] = "unix"
    return facts


def established_facts(connection: Any) -> dict[str, Any]:
    """Return what is true of the connection now."""
    socket, tls = transport_of(connection)
    if descriptor(socket) < 0:
        return {}
    if not hasattr(tls, "get_cipher_name"):
        return connection_facts(socket, tls)
    # pymongo prefers pyOpenSSL, and then checks host names itself.
    options = connection.opts
    context, lax = getattr(options, "_ssl_context", None), getattr(options, "tls_allow_invalid_hostnames", False)
    mode = "" if context is None else mode_of(verifies=context.verify_mode, checks_name=not lax)
    return {**read_pyopenssl_facts(tls, VERIFICATIONS.get(mode, "")), **peer(socket)}


def session_of(connection: Any, login: MongoLogin, namespace: str, version: str, server_id: str) -> Session:
    """Return the session with everything that the connection knows now."""
    options = getattr(connection, "opts", None)
    facts = {**requested_facts(connection.address, options), **established_facts(connection), **login.facts(options)}
    return Session(system="mongodb", namespace=namespace, server_version=version, server_id=server_id, **facts)


def server_id_of(hello: Mapping[str, Any]) -> str:
    """Return the identifier of the server's process, which changes with each start."""
    version = hello.get("topologyVersion")
    return words(version.get("processId"), 40) if isinstance(version, Mapping) else ""


def hello_facts(hello: Mapping[str, Any], address: Any) -> Facts:
    """Return the nodes that the server announces, and the primary to which it refers the client, if another."""
    nodes: list[str] = []
    for key in _NODE_LISTS:
        listed = hello.get(key)
        if isinstance(listed, (list, tuple)):
            nodes += [node for node in listed[:512] if isinstance(node, str)]
    nodes += [node for node in map(hello.get, _NODE_FIELDS) if isinstance(node, str)]
    facts = topology_facts(map(_with_port, nodes))
    primary = hello.get("primary")
    if isinstance(primary, str) and primary and not (hello.get("isWritablePrimary") or hello.get("ismaster")):
        host, port = (address[0], address[1]) if isinstance(address, tuple) else (address, None)
        target = _with_port(primary)
        if target != f"{host}:{port}".lower():
            facts = (*facts, (names.REDIRECT_TARGET, words(target, 262)))
    return facts


def _with_port(host: str) -> str:
    host = host[:300].lower()
    bare = host.rpartition("]")[2]
    return host if ":" in bare or host.startswith("/") else f"{host}:{DEFAULT_PORT}"
