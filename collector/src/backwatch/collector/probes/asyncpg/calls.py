"""The reports of asyncpg's calls: connect and login, statements, cursors, COPY, notices and notifications.

A statement's preparation belongs to its first execution; it is told by itself only where it fails. What the driver asks
for itself (types it has not met) belongs to the call of the app's that needed it, likewise.
"""

import asyncio
import os
import re
from time import time_ns
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from backwatch.collector import names
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.probes.asyncpg.login import LoginReader
from backwatch.collector.probes.asyncpg.session import Attempt, PostgresLink, learnt, session_of
from backwatch.collector.probes.toolkit.dbapi import KEY, UNKNOWN, Facts, Watch, argument
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import CONSUMER

Error = BaseException | None
Arguments = tuple[Any, ...]
Options = dict[str, Any]

_NUMBERED: Final = re.compile(r"(SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO|MOVE FORWARD) (?:\d+ )?__asyncpg_")
"""Statements of the driver's own, with a name or a count in them that is never the same twice."""
_RESET: Final = "SELECT pg_advisory_unlock_all();\n"
"""How the statements begin that a pool sends when a connection comes back."""
_WORDS: Final = {"RELEASE SAVEPOINT": "RELEASE", "MOVE FORWARD": "MOVE"}
_CHANGES: Final = frozenset(("INSERT", "UPDATE", "DELETE", "MERGE"))
_NONE: Final = (UNKNOWN, UNKNOWN)


def _rows(status: object, rows: object = None) -> tuple[int, int]:
    """Rows returned and affected, from the server's closing word (``INSERT 0 5``) and the rows themselves."""
    returned = len(rows) if isinstance(rows, list) else UNKNOWN
    text = status.decode("ascii", "replace") if isinstance(status, bytes) else status
    if not isinstance(text, str):
        return returned, UNKNOWN
    word, _, rest = text.partition(" ")
    number = rest.rpartition(" ")[2]
    count = int(number) if number.isascii() and number.isdigit() else UNKNOWN
    if word in _CHANGES:
        return returned or UNKNOWN, count
    return (count if word == "SELECT" else returned or UNKNOWN), UNKNOWN


def _said(sql: Any) -> tuple[str, Any]:
    """Operation and statement to tell; an empty operation is the statement's first word."""
    if not isinstance(sql, str) or ("__asyncpg_" not in sql and not sql.startswith(_RESET)):
        return "", sql
    if sql.startswith(_RESET):
        return "RESET", "RESET ALL"
    found = _NUMBERED.match(sql)
    if found is None:
        return "", sql
    word = _WORDS.get(found[1], found[1])
    return word, word


def _reading(protocol: Any) -> LoginReader:
    """Reads along what the protocol is given, until the login is done."""
    reader, owner, original = LoginReader(), ref(protocol), type(protocol).data_received

    @never_breaks_the_host
    def look(data: bytes) -> None:
        reader.feed(data)
        if reader.ended:
            owner().__dict__.pop("data_received", None)  # uvloop goes on calling what it found at the begin

    def data_received(data: bytes) -> Any:
        if not reader.ended:
            look(data)
        return original(owner(), data)

    protocol.__dict__["data_received"] = data_received
    return reader


class AsyncpgWatch(Watch):
    """Follows asyncpg's protocols, which are its connections' lower halves."""

    def __init__(self, recorder: Any) -> None:
        super().__init__(recorder)
        self._attempts: WeakKeyDictionary[Any, Attempt] = WeakKeyDictionary()
        """What the app asked for, by the task that connects."""
        self._tries: dict[int, Attempt] = {}
        """The same by the address that is being tried: an object made for this one connection, which its protocol gets
        too, in whatever task."""

    # --- connect and login ---

    @never_breaks_the_host
    def asked(self, kwargs: Options) -> Attempt | None:
        """The app, or its pool, wants a connection."""
        task = asyncio.current_task()
        if self.recorder is None or task is None:
            return None
        attempt = self._attempts[task] = Attempt(kwargs.get("dsn"), kwargs.get("ssl"), os.environ)
        return attempt

    @never_breaks_the_host
    def answered(self) -> None:
        """It has one, or none was to be had."""
        task = asyncio.current_task()
        if task is not None:
            self._attempts.pop(task, None)

    def _attempt(self) -> Attempt:
        task = asyncio.current_task()
        attempt = None if task is None else self._attempts.get(task)
        return attempt or Attempt(None, None, None)

    @never_breaks_the_host
    def trying(self, kwargs: Options) -> None:
        """One host is about to be tried."""
        if self.recorder is not None:
            attempt = self._tries[id(kwargs.get("addr"))] = self._attempt()
            attempt.facts, attempt.login = {}, None

    @never_breaks_the_host
    def begun(self, protocol: Any, address: Any) -> None:
        """A protocol was made to try this address."""
        attempt = self._tries.get(id(address))
        if attempt is not None:
            protocol.__dict__[KEY] = attempt
            attempt.login = _reading(protocol)

    @never_breaks_the_host
    def reached(self, protocol: Any, transport: Any) -> None:
        """The transport stands, with TLS where TLS is spoken; the login comes next."""
        attempt = protocol.__dict__.get(KEY)
        if isinstance(attempt, Attempt):
            attempt.facts = learnt(transport)

    @never_breaks_the_host
    def connected(
        self, _module: Any, _args: Arguments, kwargs: Options, start_ns: int, connection: Any, error: Error
    ) -> None:
        """One host: it stands, or it failed."""
        attempt, params = self._tries.pop(id(kwargs.get("addr")), None), kwargs.get("params")
        if self.recorder is None or attempt is None:
            return
        if error is None:
            link = self._linked(connection, attempt)
            self.tell(link, "connect", start_ns)
            return
        if type(error).__name__.startswith("_") and error.__cause__ is not None:
            error = error.__cause__  # a signal to itself that another host may do
        facts = attempt.facts
        if "rejected SSL upgrade" in str(error):
            facts = {"encrypted": False}
        failed = PostgresLink(session_of(kwargs.get("addr"), params, attempt, facts), None)
        self.tell(failed, "connect", start_ns, error=error, facts=_code(error))

    def _linked(self, connection: Any, attempt: Attempt) -> PostgresLink:
        link = PostgresLink.of(connection, attempt)
        connection._protocol.__dict__[KEY] = link
        return link

    @never_breaks_the_host
    def seen(self, connection: Any) -> None:
        """A connection is about to be used; learnt now where it is older than this probe."""
        protocol = connection._protocol
        if self.recorder is not None and not isinstance(protocol.__dict__.get(KEY), PostgresLink):
            link = self._linked(connection, Attempt(None, None, None))
            if link.wire is not None:
                link.wire.read_delta()  # what went by before we came belongs to no call of ours

    # --- calls ---

    def _tell(
        self, protocol: Any, operation: str, start_ns: int, sql: Any, error: Error, rows: tuple[int, int] = _NONE
    ) -> None:
        link = protocol.__dict__.get(KEY)
        if self.recorder is None or not isinstance(link, PostgresLink) or (link.inside and error is None):
            return
        facts: Facts = ()
        if link.notices:
            facts, link.notices = ((names.NOTICES, link.notices),), 0
        if error is not None:
            facts += _code(error)
        lost = error is not None and not protocol.is_connected()
        self.tell(link, operation, start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

    @never_breaks_the_host
    def queried(
        self, protocol: Any, args: Arguments, kwargs: Options, start_ns: int, status: Any, error: Error
    ) -> None:
        """The simple protocol: statements without arguments, transactions, and what a pool sends."""
        operation, sql = _said(argument(args, kwargs, 0, "query"))
        self._tell(protocol, operation, start_ns, sql, error, _rows(status))

    @never_breaks_the_host
    def prepared(
        self, protocol: Any, args: Arguments, kwargs: Options, start_ns: int, state: Any, error: Error
    ) -> None:
        """A statement was parsed and described."""
        if error is not None:
            self._tell(protocol, "", start_ns, argument(args, kwargs, 1, "query"), error)
            return
        link = protocol.__dict__.get(KEY)
        if isinstance(link, PostgresLink) and not link.inside:
            link.prepared = (state, start_ns)

    @never_breaks_the_host
    def kept(self, connection: Any, *_: Any) -> None:
        """The app itself holds a prepared statement: when it is executed is the app's affair."""
        link = connection._protocol.__dict__.get(KEY)
        if isinstance(link, PostgresLink):
            link.prepared = None

    @never_breaks_the_host
    def executed(
        self, protocol: Any, args: Arguments, kwargs: Options, start_ns: int, result: Any, error: Error
    ) -> None:
        """One execution of a prepared statement; with a portal, the first page of a cursor."""
        state = argument(args, kwargs, 0, "state")
        rows = _rows(result[1], result[0]) if isinstance(result, tuple) else _rows(None, result)
        self._tell(protocol, "", _since(protocol, state, start_ns), state.query, error, rows)

    @never_breaks_the_host
    def executed_many(
        self, protocol: Any, args: Arguments, kwargs: Options, start_ns: int, result: Any, error: Error
    ) -> None:
        """``executemany`` and ``fetchmany``, once for the whole of it; how many rows changed the driver drops."""
        state = argument(args, kwargs, 0, "state")
        returned = len(result) if argument(args, kwargs, 4, "return_rows") and isinstance(result, list) else UNKNOWN
        self._tell(protocol, "", _since(protocol, state, start_ns), state.query, error, (returned, UNKNOWN))

    @never_breaks_the_host
    def declared(self, protocol: Any, args: Arguments, kwargs: Options, start_ns: int, _: Any, error: Error) -> None:
        """A cursor was opened: no row comes yet."""
        state = argument(args, kwargs, 0, "state")
        self._tell(protocol, "", _since(protocol, state, start_ns), state.query, error)

    @never_breaks_the_host
    def fetched(
        self, protocol: Any, args: Arguments, kwargs: Options, start_ns: int, result: Any, error: Error
    ) -> None:
        """One page of a cursor."""
        rows = result[0] if isinstance(result, tuple) else result
        returned = len(rows) if isinstance(rows, list) else UNKNOWN
        self._tell(protocol, "FETCH", start_ns, argument(args, kwargs, 0, "state").query, error, (returned, UNKNOWN))

    @never_breaks_the_host
    def copied_out(
        self, protocol: Any, args: Arguments, kwargs: Options, start_ns: int, status: Any, error: Error
    ) -> None:
        """Rows out of a table or query."""
        self._copied(protocol, args, kwargs, start_ns, status, error, outward=True)

    @never_breaks_the_host
    def copied_in(
        self, protocol: Any, args: Arguments, kwargs: Options, start_ns: int, status: Any, error: Error
    ) -> None:
        """Rows into a table."""
        self._copied(protocol, args, kwargs, start_ns, status, error, outward=False)

    def _copied(
        self,
        protocol: Any,
        args: Arguments,
        kwargs: Options,
        start_ns: int,
        status: Any,
        error: Error,
        *,
        outward: bool,
    ) -> None:
        count = _rows(status.replace("COPY", "SELECT", 1) if isinstance(status, str) else None)[0]
        rows = (count, UNKNOWN) if outward else (UNKNOWN, count)
        self._tell(protocol, "COPY", start_ns, argument(args, kwargs, 0, "copy_stmt"), error, rows)

    # --- what comes unasked ---

    @never_breaks_the_host
    def warned(self, connection: Any) -> None:
        """A notice came."""
        link = connection._protocol.__dict__.get(KEY)
        if isinstance(link, PostgresLink):
            link.notices += 1

    @never_breaks_the_host
    def notified(self, connection: Any, payload: Any) -> None:
        """A message of a channel that this connection listens to."""
        link = connection._protocol.__dict__.get(KEY)
        if self.recorder is not None and isinstance(link, PostgresLink):
            self.recorder.record_call(
                link.session, "NOTIFY", start_ns=time_ns(), wire=link.wire, facts=detect_formats(payload), kind=CONSUMER
            )

    @never_breaks_the_host
    def inside(self, connection: Any, change: int) -> None:
        """The driver begins (1) or ends (-1) to ask for itself."""
        link = connection._protocol.__dict__.get(KEY)
        if isinstance(link, PostgresLink):
            link.inside = max(0, link.inside + change)


def _code(error: BaseException) -> Facts:
    code = getattr(error, "sqlstate", None)
    return ((names.STATUS_CODE, code),) if isinstance(code, str) else ()


def _since(protocol: Any, state: Any, start_ns: int) -> int:
    """When the call began: with the preparation, where that was for this execution."""
    link = protocol.__dict__.get(KEY)
    prepared = link.prepared if isinstance(link, PostgresLink) else None
    if prepared is None:
        return start_ns
    if not link.inside:
        link.prepared = None
    return prepared[1] if prepared[0] is state else start_ns
