"""The reports of mysqlclient's calls: connect and login, statements, commands, rows that are read as they come."""

import dataclasses
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.mysql.observer import MAX_TEXT, NONE, STREAM, Error, MySQLWatch
from backwatch.collector.probes.MySQLdb.session import asked, said, told
from backwatch.collector.probes.toolkit.dbapi import KEY, UNKNOWN, Facts, Link
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters

_OPTIONS: Final = "_backwatch_options"
"""Where a connection keeps what the app said of it, without the secret."""
_LAST: Final = "_backwatch_statement"
"""Where a cursor keeps its last statement as the app passed it, for results that are fetched later."""
_CLIENT_ERRORS: Final = range(2000, 3000)
"""Numbers of the library's own errors: the connection may be another one, or none, from then on."""


class MySQLLink(Link):
    """A link that knows when its descriptor is no longer to be trusted."""

    __slots__ = ("doubtful",)

    def __init__(self, session: Session, wire: SocketCounters | None) -> None:
        super().__init__(session, wire)
        self.doubtful = False


class MySQLdbWatch(MySQLWatch):
    """Follows mysqlclient's connections and cursors."""

    def __init__(self, recorder: Recorder, extension: str, unbuffered: type) -> None:
        super().__init__(recorder)
        self._extension = extension
        self._unbuffered = unbuffered

    # --- what the driver says for itself ---

    def is_open(self, connection: Any) -> bool:
        """Whether the app has not closed it."""
        return bool(connection.open)

    def adopted(self, connection: Any) -> Link:
        """The link of a connection that was opened before we were there: what was asked for is unknown."""
        options = {"host": getattr(connection, "host", None), "user": getattr(connection, "user", None)}
        options["database"] = getattr(connection, "database", None) or getattr(connection, "db", None)
        link = self._linked(connection, {name: value for name, value in options.items() if value})
        link.session = dataclasses.replace(link.session, requested="", requested_explicit=None)
        if link.wire is not None:
            link.wire.read_delta()
        return link

    def streams(self, cursor: Any) -> bool:
        """Whether it is a cursor that reads row by row."""
        return isinstance(cursor, self._unbuffered)

    def rows_of(self, connection: Any) -> tuple[int, int]:
        """Affected rows of a statement that returns none; others are still to be fetched."""
        return NONE if connection.field_count() else (UNKNOWN, connection.affected_rows())

    def notices(self, cursor: Any) -> Facts:
        """The warnings that the answer counted."""
        count = getattr(cursor, "warning_count", None)  # 2.1 and 2.2 keep it in the connection alone
        if count is None and cursor.connection is not None:
            count = cursor.connection.warning_count()
        return ((names.NOTICES, count),) if isinstance(count, int) and count > 0 else ()

    def _linked(self, connection: Any, options: dict[str, Any]) -> MySQLLink:
        descriptor = connection.fileno()
        link = MySQLLink(told(connection, options, descriptor, self._extension), SocketCounters(descriptor))
        connection.__dict__[KEY] = link
        return link

    def _left(
        self, link: Link, connection: Any, operation: str, start_ns: int, sql: Any, error: Error,
        rows: tuple[int, int] = NONE, facts: Facts = (),
    ) -> None:  # fmt: skip
        if error is not None:
            code = error.args[0] if error.args else None
            if isinstance(link, MySQLLink) and type(code) is int and code in _CLIENT_ERRORS:
                link.doubtful, wire, link.wire = True, link.wire, None
                super()._left(link, connection, operation, start_ns, sql, error, rows, facts)
                link.wire = wire
                return
        elif isinstance(link, MySQLLink) and link.doubtful and link.wire is not None and connection is not None:
            # The library has connected anew: its counters begin at zero.
            link.wire.rebind(connection.fileno())
            link.doubtful = False
        super()._left(link, connection, operation, start_ns, sql, error, rows, facts)

    # --- connect and login ---

    @never_breaks_the_host
    def connecting(self, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> MySQLLink | None:
        """A connection begins; what the driver sends to set it up is part of it."""
        if self.recorder is None:
            return None
        options = said(args, kwargs)
        link = connection.__dict__[KEY] = MySQLLink(asked(connection, options), None)
        connection.__dict__[_OPTIONS] = options
        link.inside = 1
        return link

    @never_breaks_the_host
    def connected(self, connection: Any, link: MySQLLink | None, start_ns: int, error: Error) -> None:
        """It stands, or it failed."""
        if link is None:
            return
        options = connection.__dict__.pop(_OPTIONS)
        if error is None:
            link = self._linked(connection, options)
            super()._left(link, connection, "connect", start_ns, None, None)
        else:
            link.session = asked(connection, options)
            super()._left(link, None, "connect", start_ns, None, error)

    @never_breaks_the_host
    def changed(
        self, connection: Any, link: MySQLLink | None, account: Any, namespace: Any, start_ns: int, error: Error
    ) -> None:
        """``change_user``: another login on the same connection; one that fails leaves it as it was."""
        if link is None:
            return
        before = link.session
        link.session = dataclasses.replace(
            before, account=words(account, MAX_TEXT), namespace=words(namespace, MAX_TEXT), encoded=[]
        )
        self._left(link, connection, "login", start_ns, None, error)
        if error is not None:
            link.session = before

    # --- statements ---

    @never_breaks_the_host
    def executed(self, cursor: Any, link: Link | None, query: Any, start_ns: int, error: Error, phrase: str) -> None:
        """``execute``, ``executemany``, ``callproc``: once for the whole of it."""
        if link is not None:
            cursor.__dict__[_LAST] = query
            super().executed(cursor, link, query, start_ns, error, phrase)

    @never_breaks_the_host
    def advanced(self, cursor: Any, link: Link | None, start_ns: int, result: Any, error: Error) -> None:
        """``nextset``: the next result of several, if there is one."""
        if link is None:
            return
        link.inside = 0
        if error is None and result is None:
            return
        query, rows = cursor.__dict__.get(_LAST), NONE
        facts: Facts = ()
        if error is None:
            facts = self.notices(cursor)
            count = cursor.rowcount if isinstance(cursor.rowcount, int) else UNKNOWN
            rows = (count, UNKNOWN) if cursor.description else (UNKNOWN, count)
            if cursor.description and self.streams(cursor):
                cursor.__dict__[STREAM] = (query, 0, time_ns())
        self._left(link, cursor.connection, "FETCH", start_ns, query, error, rows, facts)

    @never_breaks_the_host
    def commits(self, connection: Any) -> bool:
        """Whether every statement is a transaction of its own, as the driver last heard."""
        return bool(connection.open and connection.get_autocommit())

    @never_breaks_the_host
    def switched(self, connection: Any, link: Link | None, before: bool | None, start_ns: int, error: Error) -> None:
        """``autocommit``: sent only where it changes anything, which the driver itself looks at."""
        if link is None:
            return
        link.inside = 0
        if error is not None or self.commits(connection) is not before:
            self._left(link, connection, "SET", start_ns, "SET AUTOCOMMIT = 1", error)
