"""Sessions of PyMySQL connections, including those that fail to log in."""

import dataclasses
from typing import Any

from backwatch.collector.probes.families.mysql.state import MySQLConnectionState, auth_method
from backwatch.collector.probes.toolkit.dbapi import build_session
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, tls_of, words
from backwatch.collector.probes.toolkit.tls_contexts import requested_mode
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import TlsFacts, read_tls_facts


class PyMySQLConnectionState(MySQLConnectionState):
    """A connection state that follows PyMySQL's login.

    Attributes:
        has_greeting: The server's greeting has been read: what it contains is this connection's, not an earlier one's.
    """

    __slots__ = ("has_greeting",)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.has_greeting = False

    def keep_greeting(self, connection: Any) -> None:
        """Keep what the server's greeting contains."""
        self.has_greeting, self.auth_plugin = True, words(connection._auth_plugin_name)


def _requested_tls(connection: Any) -> tuple[str, bool | None]:
    required = getattr(connection, "_ssl_required", None)  # absent before 1.2: there, no TLS without a request
    if not getattr(connection, "ssl", False):
        return "disable", None if required is None else True
    return ("prefer", False) if required is False else (requested_mode(connection.ctx), True)


def describe_request(connection: Any) -> Session:
    """Describe a connection before its first byte."""
    return build_session(
        "mysql", connection.host, connection.port, path=connection.unix_socket, tls=_requested_tls(connection),
        database=connection.db, account=connection.user,
    )  # fmt: skip


def describe_connection(connection: Any, state: PyMySQLConnectionState) -> Session:
    """Describe the connection that the driver holds at this moment."""
    socket = connection._sock
    tls = TlsFacts()
    if state.has_greeting and descriptor(socket) >= 0:
        # A socket whose handshake failed is closed by now and shows nothing; before the greeting TLS is still to come.
        tls = read_tls_facts(tls_of(socket))
    return dataclasses.replace(
        describe_request(connection),
        server_version=words(connection.server_version) if state.has_greeting else "",
        auth_method=auth_method(state.auth_plugin),
        **peer(socket),
        **tls,
    )
