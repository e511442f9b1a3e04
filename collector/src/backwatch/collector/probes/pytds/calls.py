"""The reports of pytds' calls: connect, login and where it leads, statements, rows as they are read, transactions."""

from contextvars import ContextVar, Token
from dataclasses import replace
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pytds.session import MAX_TEXT, asked, number_of, told
from backwatch.collector.probes.toolkit.dbapi import KEY, UNKNOWN, Facts, Link, Watch
from backwatch.collector.probes.toolkit.nodes import address
from backwatch.collector.probes.toolkit.sockets import root_error, words
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.session.socket_counters import SocketCounters

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
Error = BaseException | None

PAGE_ROWS: Final = 1000
READING: Final = "_backwatch_reading"
"""Where a session of the driver's keeps what it reads: an entry of its ``__dict__``."""


class Attempt:
    """A connection on its way, within the one that a server has sent elsewhere."""

    __slots__ = ("host", "login", "outer", "port", "start_ns", "tds", "token", "told")

    def __init__(self, login: Any, host: object, port: object, outer: "Attempt | None") -> None:
        self.login = login
        self.host = host
        self.port = port
        self.outer = outer
        self.start_ns = time_ns()
        self.tds: Any = None
        self.told = False
        self.token: Token[Attempt | None] | None = None


class Reading:
    """Rows of one statement on their way to the app.

    Attributes:
        over: There are no more in this set; another may follow.
    """

    __slots__ = ("messages", "over", "rows", "since_ns", "sql")

    def __init__(self, sql: object, messages: int) -> None:
        self.sql = sql
        self.messages = messages
        self.over = False
        self.rows = 0
        self.since_ns = 0


def code_of(error: Error) -> Facts:
    """The server's number for what went wrong."""
    number = getattr(error, "msg_no", None)
    return ((names.STATUS_CODE, str(number)),) if type(number) is int and number > 0 else ()


def _rows(session: Any) -> tuple[int, int]:
    """Rows that a call has returned by now, or those that it affected."""
    if session.res_info is not None:
        count = session.res_info.row_count
        return (count if count or not session.more_rows else UNKNOWN), UNKNOWN
    count = session.rows_affected
    return UNKNOWN, (count if type(count) is int and count >= 0 else UNKNOWN)


def _count_notices(session: Any) -> int:
    return sum(1 for one in session.messages if not one["priv_msg_type"])


def _notices(session: Any, before: int = 0) -> Facts:
    """Messages that are no errors, beyond those that were told."""
    count = _count_notices(session) - before
    return ((names.NOTICES, count),) if count > 0 else ()


class TdsWatch(Watch):
    """Follows the driver's connections, sessions and cursors."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._attempt: ContextVar[Attempt | None] = ContextVar("backwatch_tds_attempt", default=None)

    # --- connections ---

    @never_breaks_the_host
    def connecting(self, given: Kwargs) -> Attempt | None:
        """An attempt to reach one of the servers, or the one that a server named."""
        if self.recorder is None:
            return None
        made = Attempt(given.get("login"), given.get("host"), given.get("port"), self._attempt.get())
        made.token = self._attempt.set(made)
        return made

    @never_breaks_the_host
    def connected(self, attempt: Attempt | None, error: Error) -> None:
        """It stands, with its first transaction; or it does not."""
        if attempt is None:
            return
        if attempt.token is not None:
            self._attempt.reset(attempt.token)
        if not attempt.told:
            if attempt.tds is None:  # no socket came about
                link, fault = Link(asked(attempt.login, attempt.host, attempt.port), None), error and root_error(error)
                self.tell(link, "connect", attempt.start_ns, error=fault)
            else:
                self._tell_connect(attempt, error)
        if attempt.outer is not None:
            attempt.outer.told = True  # its own connection was told when it was sent elsewhere

    def _tell_connect(self, attempt: Attempt, error: Error, facts: Facts = ()) -> None:
        tds = attempt.tds
        attempt.told = True
        link = tds.__dict__.get(KEY) or self._link(tds, attempt.host, answered=error is None or bool(code_of(error)))
        fault = None if error is None else root_error(error)
        notices = _notices(tds._main_session)
        self.tell(
            link, "connect", attempt.start_ns, error=fault, facts=(*code_of(error), *notices, *facts),
            lost=number_of(tds) < 0,
        )  # fmt: skip

    @never_breaks_the_host
    def logging_in(self, tds: Any, args: Args, kwargs: Kwargs) -> Attempt | None:
        """A socket stands."""
        del args, kwargs
        attempt = self._attempt.get()
        if attempt is not None:
            attempt.tds = tds
        return attempt

    @never_breaks_the_host
    def logged_in(
        self, attempt: Any, tds: Any, args: Args, kwargs: Kwargs, start_ns: int, route: Any, error: Error
    ) -> None:
        """The server accepted it, sent it elsewhere, or refused it; the socket is still there then."""
        del args, kwargs, start_ns
        if attempt is None:
            return
        if error is not None:
            self._tell_connect(attempt, error)
        elif route is not None:
            target = address(route["server"], route["port"])
            self._tell_connect(attempt, None, ((names.REDIRECT_TARGET, target),))
        else:
            self._link(tds, attempt.host, answered=True)

    def _link(self, tds: Any, host: object, *, answered: bool) -> Link:
        number = number_of(tds)
        shared = tds._mars_enabled  # several sessions on one socket: no call has its bytes for itself
        link = Link(told(tds, host, answered=answered), SocketCounters(number) if number >= 0 and not shared else None)
        tds.__dict__[KEY] = link
        return link

    def _link_of(self, tds: Any) -> Link:
        link = tds.__dict__.get(KEY)
        if link is None:
            link = self._link(tds, tds._login.server_name, answered=True)
            if link.wire is not None:
                link.wire.read_delta()
        database = words(tds.env.database, MAX_TEXT)
        if database and link.session.namespace != database:
            link.session = replace(link.session, namespace=database, encoded=[])
        return link

    # --- statements ---

    @never_breaks_the_host
    def entered(self, cursor: Any, args: Args, kwargs: Kwargs) -> Any:
        """A statement begins; ``None`` where it lies inside another call of the cursor's."""
        del args, kwargs
        session = cursor._session
        if self.recorder is None or session is None:
            return None
        link = self._link_of(session._tds)
        if link.inside:
            return None
        self.flush(session)
        link.inside += 1
        return session, link

    def left(self, sql_of: Any) -> Any:
        """What to do after a cursor's method.

        Args:
            sql_of: The statement, of the arguments and the keyword arguments.
        """

        @never_breaks_the_host
        def left(token: Any, cursor: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error) -> None:
            del cursor, result
            if token is None:
                return
            session, link = token
            link.inside -= 1
            sql = sql_of(args, kwargs)
            rows = (UNKNOWN, UNKNOWN) if error is not None else _rows(session)
            facts = (*code_of(error), *_notices(session))
            if session.res_info is not None:
                reading = session.__dict__[READING] = Reading(sql, _count_notices(session))
                reading.over = not session.more_rows
            lost = number_of(session._tds) < 0
            self.tell(link, "", start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

        return left

    # --- rows ---

    def row(self, session: Any, came: Any, error: Error = None) -> None:
        """A row was read, or there are no more. Called for each: unguarded but for its rarer half."""
        reading = session.__dict__.get(READING)
        if reading is None or reading.over:
            return
        reading.since_ns = reading.since_ns or time_ns()
        if came is True:
            reading.rows += 1
            if reading.rows < PAGE_ROWS:
                return
            self.page(session, reading)
        else:
            reading.over = True
            self.page(session, reading, error)

    @never_breaks_the_host
    def page(self, session: Any, reading: Reading, error: Error = None) -> None:
        """Tells the rows that were read."""
        tds, rows, since_ns = session._tds, reading.rows, reading.since_ns
        reading.rows, reading.since_ns = 0, 0
        facts = (*code_of(error), *_notices(session, reading.messages))
        self.tell(
            self._link_of(tds), "FETCH", since_ns or time_ns(), sql=reading.sql, rows=(rows, UNKNOWN), error=error,
            facts=facts, lost=number_of(tds) < 0,
        )  # fmt: skip

    @never_breaks_the_host
    def flush(self, session: Any) -> None:
        """No more rows of this statement are wanted."""
        reading = session.__dict__.pop(READING, None)
        if reading is not None and reading.rows:
            self.page(session, reading)

    @never_breaks_the_host
    def closing(self, cursor: Any, *_: Any) -> None:
        """A cursor is closed."""
        if cursor._session is not None and self.recorder is not None:
            self.flush(cursor._session)

    @never_breaks_the_host
    def moving(self, cursor: Any, args: Args, kwargs: Kwargs) -> Any:
        """The app goes on to the next set of rows."""
        del args, kwargs
        session = cursor._session
        if self.recorder is None or session is None:
            return None
        return session, session.__dict__.get(READING)

    @never_breaks_the_host
    def moved(
        self, token: Any, cursor: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
    ) -> None:
        """It is there, or there is none."""
        del cursor, args, kwargs, start_ns, result, error
        if token is not None and token[1] is not None and token[0].more_rows:
            session, before = token
            session.__dict__[READING] = Reading(before.sql, before.messages)

    # --- transactions ---

    @never_breaks_the_host
    def ending(self, session: Any, args: Args, kwargs: Kwargs) -> Any:
        """A transaction is to end; nothing is sent where there is none."""
        del args, kwargs
        if self.recorder is None or session._env.autocommit or not session._tds.tds72_transaction:
            return None
        link = self._link_of(session._tds)
        if link.inside:
            return None
        self.flush(session)
        return link

    def ended(self, operation: str) -> Any:
        """It has."""

        @never_breaks_the_host
        def ended(
            link: Any, session: Any, args: Args, kwargs: Kwargs, start_ns: int, result: Any, error: Error
        ) -> None:
            del args, kwargs, result
            if link is not None:
                lost = number_of(session._tds) < 0
                self.tell(link, operation, start_ns, sql=operation, error=error, facts=code_of(error), lost=lost)

        return ended
