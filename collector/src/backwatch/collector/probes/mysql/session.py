"""Sessions of mysql-connector-python: in Python, with its C extension, and under asyncio.

The C extension offers neither a descriptor nor the version of TLS, but only the cipher's name.
"""

import dataclasses
from typing import Any, Final

from backwatch.collector.probes.families.mysql.state import MySQLConnectionState, auth_method
from backwatch.collector.probes.toolkit.dbapi import OpenResult, build_session
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import TlsFacts, read_tls_facts

_CLIENT_SSL: Final = 0x800
"""The bit of the handshake's capabilities by which a server offers TLS."""
_NO_TLS: Final = "SSL is required but the server doesn't support it"


class ConnectorConnectionState(MySQLConnectionState):
    """A connection state that also counts rows, which the driver reads a page or a row at a time.

    Attributes:
        has_sent: The driver has sent something since the app's call began.
        notices: Warnings that came with the last rows.
        result: The last statement, and its rows that are not recorded yet.
    """

    __slots__ = ("has_sent", "notices", "result")

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.has_sent = False
        self.notices = 0
        self.result = OpenResult(None)

    def forget_rows(self) -> None:
        """Reset the counts: the rows have been recorded."""
        self.result.rows = self.result.since_ns = self.notices = 0


def socket_of(connection: Any) -> Any:
    """Return the Python socket of the connection; ``None`` in C, and where it is gone."""
    driver_socket = getattr(connection, "_socket", None)
    socket = getattr(driver_socket, "sock", None)
    if socket is None and (writer := getattr(driver_socket, "_writer", None)) is not None:
        socket = writer.get_extra_info("socket")  # asyncio
    return socket


def _tls_of(connection: Any) -> Any:
    driver_socket = getattr(connection, "_socket", None)
    writer = getattr(driver_socket, "_writer", None)
    if writer is not None:
        return writer.get_extra_info("ssl_object")
    socket = getattr(driver_socket, "sock", None)
    return socket if hasattr(socket, "getpeercert") else None


def _requested_tls(connection: Any) -> tuple[str, bool | None]:
    options: Any = getattr(connection, "_ssl", None)
    if not isinstance(options, dict):  # asyncio keeps them one by one
        names = ("ca", "cert", "key", "verify_cert", "verify_identity")
        options = {name: getattr(connection, f"_ssl_{name}", None) for name in names}
    if getattr(connection, "_ssl_disabled", False):
        return "disable", not getattr(connection, "_unix_socket", None)  # on a unix socket the driver itself does so
    if options.get("verify_identity"):
        return "verify-full", True
    if options.get("verify_cert"):
        return "verify-ca", True
    return "prefer", any(options.values())


def describe_request(connection: Any) -> Session:
    """Describe a connection before its first byte."""
    return build_session(
        "mysql", getattr(connection, "_host", None), getattr(connection, "_port", 0),
        path=getattr(connection, "_unix_socket", None), tls=_requested_tls(connection),
        database=getattr(connection, "_database", None), account=getattr(connection, "_user", None),
    )  # fmt: skip


def read_auth_method(connection: Any, switched: str = "") -> str:
    """Return the authentication plugin that was used last; ``""`` in C.

    Args:
        switched: The plugin that the server switched to, in versions before 8.1, which do not keep it.
    """
    authenticator = getattr(connection, "_authenticator", None)
    if authenticator is not None:
        return auth_method(getattr(getattr(authenticator, "_auth_strategy", None), "name", None))
    if getattr(connection, "_cmysql", None) is not None:
        return ""
    return auth_method(
        switched or getattr(connection, "_auth_plugin", None) or _handshake(connection).get("auth_plugin")
    )


def _handshake(connection: Any) -> Any:
    return getattr(connection, "_handshake", None) or {}


def describe_connection(connection: Any, switched: str = "", *, failed: bool = False) -> Session:
    """Describe the connection that the driver holds at this moment.

    Args:
        switched: See :func:`read_auth_method`.
        failed: The login failed, before, in or after the handshake of TLS.
    """
    below = getattr(connection, "_cmysql", None)
    socket, tls = socket_of(connection), TlsFacts()
    if below is not None:
        if not failed and hasattr(below, "get_ssl_cipher"):
            cipher = words(below.get_ssl_cipher(), 80)
            tls = {"encrypted": bool(cipher), "cipher": cipher}
    elif descriptor(socket) >= 0 and (not failed or _is_tls_decided(connection)):
        tls = read_tls_facts(_tls_of(connection))
    return dataclasses.replace(
        describe_request(connection),
        server_version=words(_handshake(connection).get("server_version_original")),
        auth_method=read_auth_method(connection, switched),
        **peer(socket),
        **tls,
    )


def _is_tls_decided(connection: Any) -> bool:
    """Return true if TLS is established or absent for certain: not while its handshake may be what failed."""
    if getattr(connection, "_ssl_active", False) or getattr(connection, "_ssl_disabled", False):
        return True
    capabilities = _handshake(connection).get("capabilities")
    return isinstance(capabilities, int) and not capabilities & _CLIENT_SSL


def refused_tls(error: BaseException) -> TlsFacts:
    """Return "not encrypted" where the driver left because the server has no TLS, before it tried to log in."""
    message = getattr(error, "msg", None)
    return {"encrypted": False} if isinstance(message, str) and _NO_TLS in message else {}
