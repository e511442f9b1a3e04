"""A connection of mysql-connector-python as it comes into being: connect, login, what a hostile server asks it for."""

import dataclasses
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.families.mysql.observer import MAX_TEXT, Error, MySQLWatch
from backwatch.collector.probes.mysql.session import ConnectorLink, asked, method_of, refused, socket_of, told
from backwatch.collector.probes.toolkit.dbapi import KEY, Facts, Link, argument
from backwatch.collector.probes.toolkit.sockets import descriptor, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import SocketCounters

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

_LOCAL_INFILE: Final = 0xFB


class ConnectorConnections(MySQLWatch):
    """Follows the driver's connections."""

    # --- what the driver says for itself ---

    def is_open(self, connection: Any) -> bool:
        """Whether the driver holds a connection."""
        return getattr(connection, "_cmysql", None) is not None or descriptor(socket_of(connection)) >= 0

    def adopted(self, connection: Any) -> Link:
        """The link of a connection that was opened before we were there."""
        link = self._linked(connection, "")
        if link.wire is not None:
            link.wire.read_delta()
        connection.__dict__[KEY] = link
        return link

    def facts_of(self, link: Link) -> Facts:
        """The local file that the server asked for."""
        if not isinstance(link, ConnectorLink) or link.file is None:
            return ()
        file, link.file = link.file, None
        return ((names.LOCAL_INFILE, True), (names.LOCAL_INFILE_FILE, file))

    def _linked(self, connection: Any, switched: str) -> ConnectorLink:
        link = ConnectorLink(told(connection, switched))
        number = descriptor(socket_of(connection))
        link.wire, link.known = SocketCounters(number) if number >= 0 else None, True
        return link

    # --- connect and login ---

    @never_breaks_the_host
    def connecting(self, connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """A connection begins; what the driver sends to set it up is part of it."""
        del args, kwargs
        if self.recorder is None:
            return None
        link = connection.__dict__[KEY] = ConnectorLink(asked(connection))
        link.inside = 1
        return link

    @never_breaks_the_host
    def connected(
        self, link: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """It stands, or it failed."""
        del args, kwargs, result
        if link is None:
            return
        if error is None:
            before = link
            link = connection.__dict__[KEY] = self._linked(connection, before.plugin)
            link.file = before.file
        elif not link.known:
            link.session = dataclasses.replace(asked(connection), **refused(error))
        self._left(link, connection, "connect", start_ns, None, error)

    @never_breaks_the_host
    def authenticated(
        self, link: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """The login failed: the last moment to ask the connection, which is about to be closed."""
        del args, kwargs, start_ns, result
        if link is not None and error is not None:
            link.session, link.known = told(connection, link.plugin, failed=True), True

    @never_breaks_the_host
    def changed(
        self, link: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """``cmd_change_user``: another login on the same connection."""
        del result
        if link is None:
            return
        account, namespace = argument(args, kwargs, 0, "username"), argument(args, kwargs, 2, "database")
        link.session = dataclasses.replace(
            link.session,
            account=words(account, MAX_TEXT),
            namespace=words(namespace, MAX_TEXT),
            auth_method=method_of(connection, link.plugin),
            encoded=[],
        )
        self._left(link, connection, "login", start_ns, None, error)

    @never_breaks_the_host
    def switched(self, connection: Any, *given: Any) -> None:
        """The server chose another authentication plugin."""
        link = connection.__dict__.get(KEY)
        if isinstance(link, ConnectorLink) and len(given) > 1:
            link.plugin = words(given[1])

    # --- a server that asks for a file ---

    @never_breaks_the_host
    def answered(self, connection: Any, packet: Any, *_: Any) -> None:
        """Looks at an answer: does it ask for a local file?"""
        if len(packet) > 4 and packet[4] == _LOCAL_INFILE:
            link = connection.__dict__.get(KEY)
            if isinstance(link, ConnectorLink):
                link.file = words(bytes(packet[5 : 5 + 4 * MAX_TEXT]), MAX_TEXT)
