"""The reports of PyMySQL's calls: connect and login, statements, streams, and servers that ask for a local file."""

from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload import canaries
from backwatch.collector.payload.response_indicators import with_signs
from backwatch.collector.probes.families.mysql.observer import MAX_TEXT, NONE, Error, MySQLCallObserver
from backwatch.collector.probes.pymysql.session import MySQLConnectionState, asked, told
from backwatch.collector.probes.toolkit.dbapi import STATE_ATTRIBUTE, UNKNOWN, ConnectionState, Facts
from backwatch.collector.probes.toolkit.sockets import descriptor, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import Wire

_LOCAL_INFILE: Final = b"\xfb"
_READ: Final = "_read_packet"


class PyMySQLCallObserver(MySQLCallObserver):
    """Follows PyMySQL's connections and cursors."""

    def is_open(self, connection: Any) -> bool:
        """Whether the driver holds a socket."""
        return connection._sock is not None

    def adopt_connection(self, connection: Any) -> MySQLConnectionState:
        """The link of a connection that was opened before we were there."""
        state = MySQLConnectionState(asked(connection))
        state.greeted, state.plugin = True, words(connection._auth_plugin_name)
        state.session, state.known = told(connection, state), True
        state.wire = Wire(descriptor(connection._sock))
        state.wire.since_last()
        connection.__dict__[STATE_ATTRIBUTE] = state
        return state

    def is_read(self, cursor: Any) -> bool:
        """Whether the server has sent the last row."""
        return cursor._result is None or not cursor._result.unbuffered_active

    def rows_of(self, connection: Any) -> tuple[int, int]:
        """What the driver's result says."""
        result = connection._result
        if result is None or not isinstance(result.affected_rows, int):
            return NONE
        return (result.affected_rows, UNKNOWN) if result.description else (UNKNOWN, result.affected_rows)

    def facts_of(self, state: ConnectionState) -> Facts:
        """The local file that the server asked for."""
        if not isinstance(state, MySQLConnectionState) or state.file is None:
            return ()
        file, state.file = state.file, None
        return ((names.LOCAL_INFILE, True), (names.LOCAL_INFILE_FILE, file))

    def _left(
        self, state: ConnectionState, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: tuple[int, int] = NONE, facts: Facts = (),
    ) -> None:  # fmt: skip
        if canaries.planted() and rows[0] > 0 and canaries.among(connection._result.rows):
            facts = with_signs(facts, ["canary"])
        super()._left(state, connection, operation, start_ns, sql, error, rows, facts)

    # --- connect and login ---

    @never_breaks_the_host
    def connecting(self, connection: Any) -> MySQLConnectionState | None:
        """A connection begins; what the driver sends to set it up is part of it."""
        if self.recorder is None:
            return None
        state = connection.__dict__[STATE_ATTRIBUTE] = MySQLConnectionState(asked(connection))
        state.inside = 1
        return state

    @never_breaks_the_host
    def connected(self, connection: Any, state: MySQLConnectionState | None, start_ns: int, error: Error) -> None:
        """It stands, or it failed."""
        if state is None:
            return
        if error is None:
            state.wire = Wire(descriptor(connection._sock))
            state.session, state.known = told(connection, state), True
        elif not state.known:
            state.session = told(connection, state)  # the socket is closed, what the server said of itself remains
        self._left(state, connection, "connect", start_ns, None, error)

    @never_breaks_the_host
    def greeted(self, connection: Any) -> None:
        """The server's greeting has been read."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is not None:
            state.greeted, state.plugin = True, words(connection._auth_plugin_name)

    @never_breaks_the_host
    def switched(self, connection: Any, plugin: Any) -> None:
        """The server chose another authentication plugin."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is not None:
            state.plugin = words(plugin)

    @never_breaks_the_host
    def closing(self, connection: Any) -> None:
        """The socket of a login that failed is about to be closed: the last moment to ask it."""
        state = connection.__dict__.get(STATE_ATTRIBUTE)
        if state is not None and not state.known and state.inside and connection._sock is not None:
            state.session, state.known = told(connection, state), True

    # --- a server that asks for a file ---

    @never_breaks_the_host
    def answered(self, connection: Any, packet: Any) -> None:
        """Looks at an answer: does it ask for a local file?"""
        data = packet.get_all_data()
        state = connection.__dict__.get(STATE_ATTRIBUTE) if connection is not None else None
        if state is not None and data[:1] == _LOCAL_INFILE:
            state.file = words(data[1:], MAX_TEXT)

    @never_breaks_the_host
    def refused(self, connection: Any, error: BaseException) -> None:
        """The driver refused an answer; the answer itself is still in the frame that did so."""
        trace = error.__traceback__
        while trace is not None:
            packet = trace.tb_frame.f_locals.get("pkt") if trace.tb_frame.f_code.co_name == "_read_ok_packet" else None
            if packet is not None:
                self.answered(connection, packet)
            trace = trace.tb_next

    @never_breaks_the_host
    def listen(self, connection: Any) -> None:
        """Looks at the answers to SET NAMES, which the driver reads and ignores."""
        read = connection._read_packet

        def looking(*args: Any, **kwargs: Any) -> Any:
            packet = read(*args, **kwargs)
            self.answered(connection, packet)
            return packet

        if self.recorder is not None:
            connection.__dict__.setdefault(_READ, looking)

    @never_breaks_the_host
    def unlisten(self, connection: Any) -> None:
        """No longer."""
        if getattr(connection.__dict__.get(_READ), "__module__", "") == __name__:
            del connection.__dict__[_READ]
