"""What a connection of mysql-connector-python says of its session, in Python, with its C extension and under asyncio.

In C there is neither a descriptor nor a version of TLS: only the cipher's name, which the driver hands out itself.
"""

import dataclasses
from typing import Any, Final

from backwatch.collector.probes.families.mysql.observer import MAX_TEXT
from backwatch.collector.probes.toolkit.dbapi import Link
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import TlsFacts, read_tls_facts

_PLUGINS: Final = {"mysql_clear_password": "clear-password"}
_CLIENT_SSL: Final = 0x800
"""The bit of the handshake's capabilities by which a server offers TLS."""
_NO_TLS: Final = "SSL is required but the server doesn't support it"


class ConnectorLink(Link):
    """A link that also counts the rows which the driver reads one page, or one row, at a time.

    Attributes:
        known: Whether ``session`` holds the facts of a connection, not merely what was asked for.
        sent: Whether something went out since the app's call began.
        statement: The last statement as the app passed it.
        read: Rows that were read since the last report.
        since_ns: When the first of them was asked for.
        notices: Warnings that came with the last of them.
        plugin: The authentication plugin that the server switched to, where the driver does not keep it.
        file: The local file that the server asked for since the last report; ``None``: it did not.
    """

    __slots__ = ("file", "known", "notices", "plugin", "read", "sent", "since_ns", "statement")

    def __init__(self, session: Session) -> None:
        super().__init__(session, None)
        self.known = False
        self.sent = False
        self.statement: Any = None
        self.read = 0
        self.since_ns = 0
        self.notices = 0
        self.plugin = ""
        self.file: str | None = None

    def forget(self) -> None:
        """The rows have been told."""
        self.read = self.since_ns = self.notices = 0


def socket_of(connection: Any) -> Any:
    """The Python socket below the connection; ``None`` in C, and where there is none any more."""
    held = getattr(connection, "_socket", None)
    socket = getattr(held, "sock", None)
    if socket is None and (writer := getattr(held, "_writer", None)) is not None:
        socket = writer.get_extra_info("socket")  # asyncio
    return socket


def _tls_of(connection: Any) -> Any:
    held = getattr(connection, "_socket", None)
    writer = getattr(held, "_writer", None)
    if writer is not None:
        return writer.get_extra_info("ssl_object")
    socket = getattr(held, "sock", None)
    return socket if hasattr(socket, "getpeercert") else None


def requested(connection: Any) -> tuple[str, bool | None]:
    """What TLS was asked for, and whether the app itself said so."""
    options: Any = getattr(connection, "_ssl", None)
    if not isinstance(options, dict):  # asyncio keeps them one by one
        names = ("ca", "cert", "key", "verify_cert", "verify_identity")
        options = {name: getattr(connection, f"_ssl_{name}", None) for name in names}
    if getattr(connection, "_ssl_disabled", False):
        return "disable", not getattr(connection, "_unix_socket", None)  # over a unix socket the driver does so itself
    if options.get("verify_identity"):
        return "verify-full", True
    if options.get("verify_cert"):
        return "verify-ca", True
    return "prefer", any(options.values())


def asked(connection: Any) -> Session:
    """What is known before the first byte."""
    path = words(getattr(connection, "_unix_socket", None), MAX_TEXT)
    mode, explicit = requested(connection)
    port = getattr(connection, "_port", 0)
    return Session(
        system="mysql",
        address=path or words(getattr(connection, "_host", None), MAX_TEXT),
        port=0 if path or not isinstance(port, int) else port,
        namespace=words(getattr(connection, "_database", None), MAX_TEXT),
        transport="unix" if path else "tcp",
        requested=mode,
        requested_explicit=explicit,
        account=words(getattr(connection, "_user", None), MAX_TEXT),
    )


def method_of(connection: Any, switched: str = "") -> str:
    """The authentication plugin that was used last; ``""`` in C.

    Args:
        switched: What the server switched to, in versions before 8.1, which do not keep it.
    """
    authenticator = getattr(connection, "_authenticator", None)
    if authenticator is not None:
        name = getattr(getattr(authenticator, "_auth_strategy", None), "name", None)
    elif getattr(connection, "_cmysql", None) is not None:
        return ""
    else:
        said: Any = getattr(connection, "_handshake", None) or {}
        name = switched or getattr(connection, "_auth_plugin", None) or said.get("auth_plugin")
    plugin = words(name)
    return _PLUGINS.get(plugin, plugin)


def told(connection: Any, switched: str = "", *, failed: bool = False) -> Session:
    """What is known of the connection that the driver holds at this moment.

    Args:
        switched: See :func:`method_of`.
        failed: The login failed: whether that was before, in or after TLS is then to be found out.
    """
    said: Any = getattr(connection, "_handshake", None) or {}
    below = getattr(connection, "_cmysql", None)
    socket, tls = socket_of(connection), TlsFacts()
    if below is not None:
        if not failed and hasattr(below, "get_ssl_cipher"):
            cipher = words(below.get_ssl_cipher(), 80)
            tls = {"encrypted": bool(cipher), "cipher": cipher}
    elif descriptor(socket) >= 0 and (not failed or _is_settled(connection, said)):
        tls = read_tls_facts(_tls_of(connection))
    return dataclasses.replace(
        asked(connection),
        server_version=words(said.get("server_version_original")),
        auth_method=method_of(connection, switched),
        **peer(socket),
        **tls,
    )


def refused(error: BaseException) -> TlsFacts:
    """Not encrypted, where the driver left because the server has no TLS: that is before it tries to log in."""
    message = getattr(error, "msg", None)
    told = isinstance(message, str) and _NO_TLS in message
    return {"encrypted": False} if told else {}


def _is_settled(connection: Any, said: Any) -> bool:
    """Whether it is clear that TLS stands, or that there is none: not while its handshake may be what failed."""
    if getattr(connection, "_ssl_active", False) or getattr(connection, "_ssl_disabled", False):
        return True
    capabilities = said.get("capabilities")
    return isinstance(capabilities, int) and not capabilities & _CLIENT_SSL
