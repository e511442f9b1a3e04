"""What a PyMySQL connection says of its session, also of one that fails to log in."""

import dataclasses
from typing import Any, Final

from backwatch.collector.probes.families.mysql.observer import MAX_TEXT
from backwatch.collector.probes.toolkit.dbapi import Link
from backwatch.collector.probes.toolkit.sockets import descriptor, peer, tls_of, words
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.tls import TlsFacts, read_tls_facts

_PLUGINS: Final = {"mysql_clear_password": "clear-password"}


class MySQLLink(Link):
    """A link that also follows the login.

    Attributes:
        known: Whether ``session`` holds the facts of a connection, not merely what was asked for.
        greeted: The server's greeting has been read: what it says is this connection's, not an earlier one's.
        plugin: The authentication plugin in use: the greeting's, or what the server switched to.
        file: The local file that the server asked for since the last report; ``None``: it did not.
    """

    __slots__ = ("file", "greeted", "known", "plugin")

    def __init__(self, session: Session) -> None:
        super().__init__(session, None)
        self.known = False
        self.greeted = False
        self.plugin = ""
        self.file: str | None = None


def requested(connection: Any) -> tuple[str, bool | None]:
    """What TLS was asked for, and whether the app itself said so."""
    required = getattr(connection, "_ssl_required", None)  # absent before 1.2: there, no TLS unless asked for
    if not getattr(connection, "ssl", False):
        return "disable", None if required is None else True
    if required is False:
        return "prefer", False
    context = connection.ctx
    if context.verify_mode == 0:
        return "require", True
    return ("verify-full" if context.check_hostname else "verify-ca"), True


def asked(connection: Any) -> Session:
    """What is known before the first byte."""
    path = connection.unix_socket
    mode, explicit = requested(connection)
    return Session(
        system="mysql",
        address=words(path or connection.host, MAX_TEXT),
        port=0 if path else int(connection.port),
        namespace=words(connection.db, MAX_TEXT),
        transport="unix" if path else "tcp",
        requested=mode,
        requested_explicit=explicit,
        account=words(connection.user, MAX_TEXT),
    )


def told(connection: Any, link: MySQLLink) -> Session:
    """What is known of the connection that the driver holds at this moment."""
    socket = connection._sock
    tls = TlsFacts()
    if link.greeted and descriptor(socket) >= 0:
        # A socket whose handshake failed is closed by now, and tells nothing; before the greeting TLS is still to come.
        tls = read_tls_facts(tls_of(socket))
    return dataclasses.replace(
        asked(connection),
        server_version=words(connection.server_version) if link.greeted else "",
        auth_method=_PLUGINS.get(link.plugin, link.plugin),
        **peer(socket),
        **tls,
    )
