"""The reports of PyMySQL's calls: connect and login, statements, streams, and servers that ask for a local file."""

import re
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.guard import never_breaks_the_host
from backwatch.collector.probes._dbapi import KEY, MAX_ROWS, UNKNOWN, Facts, Watch
from backwatch.collector.probes._mysql_session import MAX_TEXT, MySQLLink, asked, renamed, told
from backwatch.collector.probes._sockets import descriptor, words
from backwatch.collector.wire import Wire

Error = BaseException | None

_STREAM: Final = "_backwatch_stream"
"""Where an unbuffered cursor keeps its statement, how many of its rows have been told, and since when it reads."""
_PAGE_ROWS: Final = 1000
_LOCAL_INFILE: Final = b"\xfb"
_READ: Final = "_read_packet"
_NONE: Final = (UNKNOWN, UNKNOWN)
_MAY_BE_USE: Final = frozenset("uU \t\n")
_USE: Final = re.compile(r"\s*use\s+`?([^`;\s]{1,64})`?\s*;?\s*", re.IGNORECASE)


class PyMySQLWatch(Watch):
    """Follows PyMySQL's connections and cursors."""

    @never_breaks_the_host
    def entered(self, connection: Any) -> MySQLLink | None:
        """The link of the app's call that begins; ``None`` where it lies inside another, or nothing is to be told."""
        return self._entered(connection)

    def _entered(self, connection: Any) -> MySQLLink | None:
        if self.recorder is None or connection is None:
            return None
        link = connection.__dict__.get(KEY)
        if link is None:
            if connection._sock is None:
                return None
            link = _adopted(connection)
        if link.inside:
            return None
        link.inside = 1
        return link

    @never_breaks_the_host
    def left(
        self, link: MySQLLink | None, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: tuple[int, int] = _NONE,
    ) -> None:  # fmt: skip
        """Tells the call of the app's that ends."""
        if link is not None:
            self._left(link, connection, operation, start_ns, sql, error, rows)

    def _left(
        self, link: MySQLLink, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: tuple[int, int] = _NONE,
    ) -> None:  # fmt: skip
        link.inside = 0
        facts: Facts = ()
        if link.file is not None:
            facts = ((names.LOCAL_INFILE, True), (names.LOCAL_INFILE_FILE, link.file))
            link.file = None
        if error is not None and error.args and type(error.args[0]) is int:
            facts += ((names.STATUS_CODE, str(error.args[0])),)
        lost = connection is None or connection._sock is None
        self.tell(link, operation, start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

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
            link.wire = Wire(descriptor(connection._sock))
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

    # --- statements ---

    @never_breaks_the_host
    def cursor_entered(self, cursor: Any) -> MySQLLink | None:
        """The link of a cursor's call that begins; rows of its last statement are told first."""
        if _STREAM in cursor.__dict__:
            self.streamed(cursor, cursor.connection, ends=True)
        return self._entered(cursor.connection)

    @never_breaks_the_host
    def executed(
        self, cursor: Any, link: MySQLLink | None, query: Any, start_ns: int, error: Error, phrase: str
    ) -> None:
        """``execute``, ``executemany``, ``callproc``: once for the whole of it."""
        if link is None:
            return
        link.inside = 0
        if phrase:
            query = phrase % (query,)
        rows = _NONE
        if error is None:
            count = cursor.rowcount if isinstance(cursor.rowcount, int) else UNKNOWN
            rows = (count, UNKNOWN) if cursor.description else (UNKNOWN, count)
            if count >= MAX_ROWS:
                cursor.__dict__[_STREAM] = (query, 0, time_ns())
        self._left(link, cursor.connection, "", start_ns, query, error, rows)
        if error is None and isinstance(query, str) and query[:1] in _MAY_BE_USE:
            found = _USE.fullmatch(query)
            if found:
                link.session = renamed(link.session, found[1])

    @never_breaks_the_host
    def queried(self, connection: Any, link: MySQLLink | None, query: Any, start_ns: int, error: Error) -> None:
        """``Connection.query``, called by the app itself."""
        if link is None:
            return
        rows, result = _NONE, connection._result
        if error is None and result is not None and isinstance(result.affected_rows, int):
            rows = (result.affected_rows, UNKNOWN) if result.description else (UNKNOWN, result.affected_rows)
        self._left(link, connection, "", start_ns, query, error, rows)

    @never_breaks_the_host
    def chosen(self, connection: Any, link: MySQLLink | None, namespace: Any, start_ns: int) -> None:
        """``select_db`` was granted; the driver itself goes on saying the old name."""
        if link is not None:
            link.session = renamed(link.session, words(namespace, MAX_TEXT))
            self._left(link, connection, "USE", start_ns, None, None)

    @never_breaks_the_host
    def streamed(self, cursor: Any, connection: Any, *, ends: bool = False) -> None:
        """Rows of an unbuffered cursor: told in pages, and what is left when it is closed or used anew."""
        stream = cursor.__dict__.get(_STREAM)
        if stream is None:
            return
        query, before, since_ns = stream
        rows = cursor.rownumber - before
        ends = ends or cursor._result is None or not cursor._result.unbuffered_active
        if not ends and rows < _PAGE_ROWS:
            return
        if ends:
            del cursor.__dict__[_STREAM]
        else:
            cursor.__dict__[_STREAM] = (query, cursor.rownumber, time_ns())
        self.left(self.entered(connection), connection, "FETCH", since_ns, query, None, (rows, UNKNOWN))


def _adopted(connection: Any) -> MySQLLink:
    """A connection that was opened before we were there."""
    link = MySQLLink(asked(connection))
    link.greeted, link.plugin = True, words(connection._auth_plugin_name)
    link.session, link.known = told(connection, link), True
    link.wire = Wire(descriptor(connection._sock))
    link.wire.since_last()
    connection.__dict__[KEY] = link
    return link
