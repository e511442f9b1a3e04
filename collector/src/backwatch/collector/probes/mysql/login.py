"""Observation of a connection of mysql-connector-python while it logs in, and of local files that a server requests."""

import dataclasses
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from backwatch.collector.probes.families.mysql.observer import Call
from backwatch.collector.probes.mysql.session import (
    ConnectorConnectionState,
    describe_connection,
    describe_request,
    read_auth_method,
    refused_tls,
    socket_of,
)
from backwatch.collector.probes.toolkit.dbapi import MAX_TEXT_CHARACTERS, STATE_ATTRIBUTE, argument
from backwatch.collector.probes.toolkit.hooks import Args, Error, Kwargs
from backwatch.collector.probes.toolkit.sockets import descriptor, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import SocketCounters

if TYPE_CHECKING:
    from backwatch.collector.probes.mysql.observer import ConnectorCallObserver

_LOCAL_INFILE: Final = 0xFB
_HEADER_BYTES: Final = 4


def open_state(connection: Any, switched: str = "") -> ConnectorConnectionState:
    """Build and keep the state of an established connection.

    Args:
        switched: See :func:`.read_auth_method`.
    """
    state = ConnectorConnectionState(describe_connection(connection, switched))
    number = descriptor(socket_of(connection))
    state.wire, state.is_established = SocketCounters(number) if number >= 0 else None, True
    connection.__dict__[STATE_ATTRIBUTE] = state
    return state


class LoginObserver:
    """Follows the driver's connections until they are established.

    Args:
        calls: Records them.
    """

    def __init__(self, calls: "ConnectorCallObserver") -> None:
        self._calls = calls

    @never_breaks_the_host
    def on_connect(self, connection: Any, _args: Args, _kwargs: Kwargs) -> Any:
        """Start a connection; what the driver sends to set it up is part of it."""
        if self._calls.recorder is None:
            return None
        state = connection.__dict__[STATE_ATTRIBUTE] = ConnectorConnectionState(describe_request(connection))
        state.inside = 1
        return state, time_ns()

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, token: Any, _result: Any, error: Error) -> None:
        """Record that the connection is established, or has failed."""
        state, start_ns = token
        if error is None:
            local_file = state.local_file
            state = open_state(connection, state.auth_plugin)
            state.local_file = local_file
        elif not state.is_established:
            state.session = dataclasses.replace(describe_request(connection), **refused_tls(error))
        self._calls.end_call(state, connection, "connect", start_ns, None, error)

    @never_breaks_the_host
    def on_auth_end(self, connection: Any, token: Any, _result: Any, error: Error) -> None:
        """Read a connection whose login has failed while it is still open."""
        if error is not None:
            state = token[0]
            state.session = describe_connection(connection, state.auth_plugin, failed=True)
            state.is_established = True

    @never_breaks_the_host
    def on_change_user_end(self, connection: Any, call: Call, _result: Any, error: Error) -> None:
        """Record another login on the same connection."""
        state, start_ns, args, kwargs = call
        state.change_session(
            account=words(argument(args, kwargs, 0, "username"), MAX_TEXT_CHARACTERS),
            namespace=words(argument(args, kwargs, 2, "database"), MAX_TEXT_CHARACTERS),
            auth_method=read_auth_method(connection, state.auth_plugin),
        )
        self._calls.end_call(state, connection, "login", start_ns, None, error)

    @never_breaks_the_host
    def on_auth_switch(self, connection: Any, args: Args, _kwargs: Kwargs) -> None:
        """Keep the authentication plugin that the server switches to."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if isinstance(state, ConnectorConnectionState) and len(args) > 1:
            state.auth_plugin = words(args[1])

    @never_breaks_the_host
    def on_response(self, connection: Any, args: Args, _kwargs: Kwargs) -> None:
        """Keep the name of a local file that a response requests."""
        packet = args[0]
        if len(packet) > _HEADER_BYTES and packet[_HEADER_BYTES] == _LOCAL_INFILE:
            state = connection.__dict__.get(STATE_ATTRIBUTE)
            if isinstance(state, ConnectorConnectionState):
                name = packet[_HEADER_BYTES + 1 : _HEADER_BYTES + 1 + 4 * MAX_TEXT_CHARACTERS]
                state.local_file = words(bytes(name), MAX_TEXT_CHARACTERS)
