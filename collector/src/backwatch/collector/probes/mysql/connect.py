"""A connection of mysql-connector-python as it comes into being: connect, login, what a hostile server asks it for."""

import dataclasses
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes.families.mysql.observer import MAX_TEXT, Error, MySQLCallObserver
from backwatch.collector.probes.mysql.session import (
    ConnectorConnectionState,
    asked,
    method_of,
    refused,
    socket_of,
    told,
)
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, ConnectionState, Facts, argument
from backwatch.collector.probes.toolkit.sockets import descriptor, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import Wire

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

_LOCAL_INFILE: Final = 0xFB


class ConnectorConnections(MySQLCallObserver):
    """Follows the driver's connections."""

    # --- what the driver says for itself ---

    def is_open(self, connection: Any) -> bool:
        """Whether the driver holds a connection."""
        return getattr(connection, "_cmysql", None) is not None or descriptor(socket_of(connection)) >= 0

    def adopt_connection(self, connection: Any) -> ConnectionState:
        """The link of a connection that was opened before we were there."""
        state = self._open_state(connection, "")
        if state.wire is not None:
            state.wire.since_last()
        connection.__dict__[STATE_ATTRIBUTE] = state
        return state

    def facts_of(self, state: ConnectionState) -> Facts:
        """The local file that the server asked for."""
        if not isinstance(state, ConnectorConnectionState) or state.file is None:
            return ()
        file, state.file = state.file, None
        return ((names.LOCAL_INFILE, True), (names.LOCAL_INFILE_FILE, file))

    def _open_state(self, connection: Any, switched: str) -> ConnectorConnectionState:
        state = ConnectorConnectionState(told(connection, switched))
        number = descriptor(socket_of(connection))
        state.wire, state.known = Wire(number) if number >= 0 else None, True
        return state

    # --- connect and login ---

    @never_breaks_the_host
    def connecting(self, connection: Any, args: Args, kwargs: Kwargs) -> Any:
        """A connection begins; what the driver sends to set it up is part of it."""
        del args, kwargs
        if self.recorder is None:
            return None
        state = connection.__dict__[STATE_ATTRIBUTE] = ConnectorConnectionState(asked(connection))
        state.inside = 1
        return state

    @never_breaks_the_host
    def connected(
        self, state: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """It stands, or it failed."""
        del args, kwargs, result
        if state is None:
            return
        if error is None:
            before = state
            state = connection.__dict__[STATE_ATTRIBUTE] = self._open_state(connection, before.plugin)
            state.file = before.file
        elif not state.known:
            state.session = dataclasses.replace(asked(connection), **refused(error))
        self._left(state, connection, "connect", start_ns, None, error)

    @never_breaks_the_host
    def authenticated(
        self, state: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """The login failed: the last moment to ask the connection, which is about to be closed."""
        del args, kwargs, start_ns, result
        if state is not None and error is not None:
            state.session, state.known = told(connection, state.plugin, failed=True), True

    @never_breaks_the_host
    def changed(
        self, state: Any, connection: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """``cmd_change_user``: another login on the same connection."""
        del result
        if state is None:
            return
        account, namespace = argument(args, kwargs, 0, "username"), argument(args, kwargs, 2, "database")
        state.session = dataclasses.replace(
            state.session,
            account=words(account, MAX_TEXT),
            namespace=words(namespace, MAX_TEXT),
            auth_method=method_of(connection, state.plugin),
            encoded=[],
        )
        self._left(state, connection, "login", start_ns, None, error)

    @never_breaks_the_host
    def switched(self, connection: Any, *given: Any) -> None:
        """The server chose another authentication plugin."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if isinstance(state, ConnectorConnectionState) and len(given) > 1:
            state.plugin = words(given[1])

    # --- a server that asks for a file ---

    @never_breaks_the_host
    def answered(self, connection: Any, packet: Any, *_: Any) -> None:
        """Looks at an answer: does it ask for a local file?"""
        if len(packet) > 4 and packet[4] == _LOCAL_INFILE:
            state = connection.__dict__.get(STATE_ATTRIBUTE)
            if isinstance(state, ConnectorConnectionState):
                state.file = words(bytes(packet[5 : 5 + 4 * MAX_TEXT]), MAX_TEXT)
