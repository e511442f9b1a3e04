"""The reports of PyMySQL's calls: connect and login, statements, streams, and servers that ask for a local file."""

from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.payload import canaries
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes.families.mysql.observer import MAX_TEXT, NONE, Error, MySQLWatch
from backwatch.collector.probes.pymysql.session import MySQLLink, asked, told
from backwatch.collector.probes.toolkit.dbapi import KEY, UNKNOWN, Facts, Link
from backwatch.collector.probes.toolkit.sockets import descriptor, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import SocketCounters

_LOCAL_INFILE: Final = b"\xfb"
_READ: Final = "_read_packet"


class PyMySQLWatch(MySQLWatch):
    """Follows PyMySQL's connections and cursors."""

    def is_open(self, connection: Any) -> bool:
        """Whether the driver holds a socket."""
        return connection._sock is not None

    def adopted(self, connection: Any) -> MySQLLink:
        """The link of a connection that was opened before we were there."""
        link = MySQLLink(asked(connection))
        link.greeted, link.plugin = True, words(connection._auth_plugin_name)
        link.session, link.known = told(connection, link), True
        link.wire = SocketCounters(descriptor(connection._sock))
        link.wire.read_delta()
        connection.__dict__[KEY] = link
        return link

    def is_read(self, cursor: Any) -> bool:
        """Whether the server has sent the last row."""
        return cursor._result is None or not cursor._result.unbuffered_active

    def rows_of(self, connection: Any) -> tuple[int, int]:
        """What the driver's result says."""
        result = connection._result
        if result is None or not isinstance(result.affected_rows, int):
            return NONE
        return (result.affected_rows, UNKNOWN) if result.description else (UNKNOWN, result.affected_rows)

    def facts_of(self, link: Link) -> Facts:
        """The local file that the server asked for."""
        if not isinstance(link, MySQLLink) or link.file is None:
            return ()
        file, link.file = link.file, None
        return ((names.LOCAL_INFILE, True), (names.LOCAL_INFILE_FILE, file))

    def _left(
        self, link: Link, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: tuple[int, int] = NONE, facts: Facts = (),
    ) -> None:  # fmt: skip
        if canaries.has_canaries() and rows[0] > 0 and canaries.contains_canary(connection._result.rows):
            facts = add_indicators(facts, ["canary"])
        super()._left(link, connection, operation, start_ns, sql, error, rows, facts)

    # --- connect and login ---

    @never_breaks_the_host
    def connecting(self, connection: Any) -> MySQLLink | None:
        """A connection begins; what the driver sends to set it up is part of it."""
        if self.recorder is None:
            return None
        link = connection.__dict__[KEY] = MySQLLink(asked(connection))
        link.inside = 1
        return link

    @never_breaks_the_host
    def connected(self, connection: Any, link: MySQLLink | None, start_ns: int, error: Error) -> None:
        """It stands, or it failed."""
        if link is None:
            return
        if error is None:
            link.wire = SocketCounters(descriptor(connection._sock))
            link.session, link.known = told(connection, link), True
        elif not link.known:
            link.session = told(connection, link)  # the socket is closed, what the server said of itself remains
        self._left(link, connection, "connect", start_ns, None, error)

    @never_breaks_the_host
    def greeted(self, connection: Any) -> None:
        """The server's greeting has been read."""
        link = connection.__dict__.get(KEY)
        if link is not None:
            link.greeted, link.plugin = True, words(connection._auth_plugin_name)

    @never_breaks_the_host
    def switched(self, connection: Any, plugin: Any) -> None:
        """The server chose another authentication plugin."""
        link = connection.__dict__.get(KEY)
        if link is not None:
            link.plugin = words(plugin)

    @never_breaks_the_host
    def closing(self, connection: Any) -> None:
        """The socket of a login that failed is about to be closed: the last moment to ask it."""
        link = connection.__dict__.get(KEY)
        if link is not None and not link.known and link.inside and connection._sock is not None:
            link.session, link.known = told(connection, link), True

    # --- a server that asks for a file ---

    @never_breaks_the_host
    def answered(self, connection: Any, packet: Any) -> None:
        """Looks at an answer: does it ask for a local file?"""
        data = packet.get_all_data()
        link = connection.__dict__.get(KEY) if connection is not None else None
        if link is not None and data[:1] == _LOCAL_INFILE:
            link.file = words(data[1:], MAX_TEXT)

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
