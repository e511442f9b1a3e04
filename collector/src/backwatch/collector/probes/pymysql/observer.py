"""Observation of PyMySQL: connect and login, statements, and servers that request a local file."""

from time import time_ns
from typing import Any, Final

from backwatch.collector.payload import canaries
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes.families.mysql.observer import MySQLCallObserver
from backwatch.collector.probes.pymysql.session import PyMySQLConnectionState, describe_connection, describe_request
from backwatch.collector.probes.toolkit.dbapi import (
    MAX_TEXT_CHARACTERS,
    NO_ROWS,
    RESULT_ATTRIBUTE,
    STATE_ATTRIBUTE,
    UNKNOWN,
    RowCounts,
)
from backwatch.collector.probes.toolkit.hooks import Args, Decorator, Error, Kwargs, call_hook
from backwatch.collector.probes.toolkit.sockets import descriptor, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Facts
from backwatch.collector.session.socket_counters import SocketCounters

_LOCAL_INFILE: Final = b"\xfb"
_READ_PACKET: Final = "_read_packet"


class PyMySQLCallObserver(MySQLCallObserver):
    """Follows PyMySQL's connections and cursors."""

    def is_open(self, connection: Any) -> bool:
        """Return true while the driver holds a socket."""
        return connection._sock is not None

    def adopt_connection(self, connection: Any) -> PyMySQLConnectionState:
        """Keep and return the state of a connection that is older than the probe."""
        state = PyMySQLConnectionState(describe_request(connection))
        state.keep_greeting(connection)
        self._establish(connection, state)
        state.skip_earlier_bytes()
        connection.__dict__[STATE_ATTRIBUTE] = state
        return state

    def is_read(self, cursor: Any) -> bool:
        """Return true once the server has sent the last row."""
        return cursor._result is None or not cursor._result.unbuffered_active

    def count_rows(self, connection: Any) -> RowCounts:
        """Return the counts of the driver's result."""
        result = connection._result
        if result is None or not isinstance(result.affected_rows, int):
            return NO_ROWS
        return (result.affected_rows, UNKNOWN) if result.description else (UNKNOWN, result.affected_rows)

    def end_call(
        self, state: Any, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: RowCounts = NO_ROWS, facts: Facts = (),
    ) -> None:  # fmt: skip
        """Record a call that ends, and look for planted rows."""
        if canaries.has_canaries() and rows[0] > 0 and canaries.contains_canary(connection._result.rows):
            facts = add_indicators(facts, ["canary"])
        super().end_call(state, connection, operation, start_ns, sql, error, rows, facts)

    # --- connect and login ---

    def _establish(self, connection: Any, state: PyMySQLConnectionState) -> None:
        state.wire = SocketCounters(descriptor(connection._sock))
        state.session, state.is_established = describe_connection(connection, state), True

    @never_breaks_the_host
    def on_connect(self, connection: Any, _args: Args, _kwargs: Kwargs) -> Any:
        """Start a connection; what the driver sends to set it up is part of it."""
        if self.recorder is None:
            return None
        state = connection.__dict__[STATE_ATTRIBUTE] = PyMySQLConnectionState(describe_request(connection))
        state.inside = 1
        return state, time_ns()

    @never_breaks_the_host
    def on_connect_end(self, connection: Any, token: Any, _result: Any, error: Error) -> None:
        """Record that the connection is established, or has failed."""
        state, start_ns = token
        if error is None:
            self._establish(connection, state)
        elif not state.is_established:
            state.session = describe_connection(connection, state)  # the socket is closed, the greeting remains
        self.end_call(state, connection, "connect", start_ns, None, error)

    @never_breaks_the_host
    def on_greeting_read(self, connection: Any, _token: Any, _result: Any, error: Error) -> None:
        """Keep the server's greeting."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is not None and error is None:
            state.keep_greeting(connection)

    @never_breaks_the_host
    def on_auth_switch(self, connection: Any, args: Args, _kwargs: Kwargs) -> None:
        """Keep the authentication plugin that the server switches to."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is not None and args:
            state.auth_plugin = words(args[0])

    @never_breaks_the_host
    def on_force_close(self, connection: Any, _args: Args, _kwargs: Kwargs) -> None:
        """Read the socket of a failed login while it is still open."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is not None and not state.is_established and state.inside and connection._sock is not None:
            state.session, state.is_established = describe_connection(connection, state), True

    # --- servers that request a local file ---

    @never_breaks_the_host
    def inspect_packet(self, connection: Any, packet: Any) -> None:
        """Keep the name of a local file that this packet requests."""
        data = packet.get_all_data()
        state = connection.__dict__.get(STATE_ATTRIBUTE) if connection is not None else None
        if state is not None and data[:1] == _LOCAL_INFILE:
            state.local_file = words(data[1:], MAX_TEXT_CHARACTERS)

    def on_load_local(self, result: Any, args: Args, _kwargs: Kwargs) -> None:
        """Inspect a packet that the driver takes for the request of a file."""
        self.inspect_packet(result.connection, *args[:1])

    @never_breaks_the_host
    def on_ok_packet_end(self, connection: Any, _token: Any, _result: Any, error: Error) -> None:
        """Inspect a packet that the driver has refused; it is still in the frame that did so."""
        trace = error.__traceback__ if isinstance(error, Exception) else None
        while trace is not None:
            packet = trace.tb_frame.f_locals.get("pkt") if trace.tb_frame.f_code.co_name == "_read_ok_packet" else None
            if packet is not None:
                self.inspect_packet(connection, packet)
            trace = trace.tb_next

    @never_breaks_the_host
    def on_set_character_set(self, connection: Any, _args: Args, _kwargs: Kwargs) -> bool:
        """Inspect the responses to ``SET NAMES``, which the driver reads and ignores."""
        read_packet = connection._read_packet

        def read_and_inspect(*args: Any, **kwargs: Any) -> Any:
            packet = read_packet(*args, **kwargs)
            self.inspect_packet(connection, packet)
            return packet

        if self.recorder is not None:
            connection.__dict__.setdefault(_READ_PACKET, read_and_inspect)
        return True

    @never_breaks_the_host
    def on_set_character_set_end(self, connection: Any, _token: Any, _result: Any, _error: Error) -> None:
        """Stop the inspection."""
        if getattr(connection.__dict__.get(_READ_PACKET), "__module__", "") == __name__:
            del connection.__dict__[_READ_PACKET]

    # --- unbuffered cursors ---

    def fetch_hook(self, *, ends: bool) -> Decorator:
        """Wrap a method that reads, or ends, the rows of an unbuffered cursor."""

        def on_fetch_end(cursor: Any, token: tuple[Any], _: Any, __: Error) -> None:
            self.record_fetch(cursor, token[0], ends=ends)

        return call_hook(self._on_fetch, on_fetch_end)

    @never_breaks_the_host
    def _on_fetch(self, cursor: Any, _args: Args, _kwargs: Kwargs) -> tuple[Any] | None:
        return (cursor.connection,) if RESULT_ATTRIBUTE in cursor.__dict__ else None  # closing takes it away
