"""The reports of psycopg's calls. Facts come from libpq itself, once per connection."""

import importlib
import os
import sys
from typing import Any, Final
from weakref import WeakKeyDictionary

from backwatch.collector import names
from backwatch.collector.payload import canaries
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.postgresql.libpq import (
    Libpq,
    asked,
    is_explicit,
    libpq,
    login_code,
    refused,
    session,
)
from backwatch.collector.probes.toolkit.dbapi import KEY, Facts, Link, Watch, argument
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import TlsFacts

_PLAIN: Final = frozenset((str, bytes))
_OK: Final = 0
_IDLE: Final = 0
_COMMAND_OK: Final = 1
_TUPLES_OK: Final = 2
_COPY_OUT: Final = 3
_ATTRIBUTES: Final = (("host", "host"), ("hostaddr", "hostaddr"), ("port", "port"), ("user", "user"), ("dbname", "db"))
"""libpq's words for what was asked for, and the attributes of ``PGconn`` that say them."""
_CHANGES: Final = (b"INSERT", b"UPDATE", b"DELETE", b"MERGE ")
_INSTEAD: Final = {"_WaitTimeout": "ConnectionTimeout", "GeneratorExit": "abandoned"}
"""What the app sees of an attempt that did not end by itself."""
_ESTIMATED: Final[Facts] = ((names.BYTES_ESTIMATED, True),)


def _library(pgconn: Any) -> Libpq | None:
    """The libpq that this connection runs on: of the binary wheel, of the C build, or the one that ctypes found."""
    module: Any = sys.modules[type(pgconn).__module__]
    by_ctypes = getattr(module, "impl", None)
    if by_ctypes is not None:
        return libpq(by_ctypes.pq._name)
    return libpq(module.__file__) if getattr(module, "__file__", None) else None


def _session(pgconn: Any, explicit: dict[str, str] | None) -> Session:
    """The facts of an open connection."""
    told = {one.keyword.decode(): one.val.decode() for one in pgconn.info if one.val and one.keyword == b"sslmode"}
    sslmode = told.get("sslmode", "")
    said = {"sslmode": sslmode}
    for key, attribute in _ATTRIBUTES:
        said[key] = (getattr(pgconn, attribute) or b"").decode("utf-8", "replace")
    library = _library(pgconn)
    tls = TlsFacts() if library is None else library.facts(pgconn.pgconn_ptr, sslmode)
    login = "" if library is None else library.login(pgconn.pgconn_ptr)
    if pgconn.ssl_in_use:
        tls["encrypted"] = True  # psycopg tells this much by itself
    version = (pgconn.parameter_status(b"server_version") or b"").decode("utf-8", "replace")
    explicitly = is_explicit(sslmode, explicit, os.environ)
    rights = pgconn.parameter_status(b"is_superuser")
    return session(said, requested_explicit=explicitly, server_version=version, tls=tls, rights=rights, login=login)


def _rows(cursor: Any) -> tuple[int, int]:
    """Rows returned and affected by all results that the cursor holds."""
    returned = affected = -1
    for result in cursor._results:
        status = result.status
        if status == _TUPLES_OK:
            returned = max(returned, 0) + result.ntuples
            if not (result.command_status or b"").startswith(_CHANGES):
                continue
        elif status != _COMMAND_OK:
            continue
        changed = result.command_tuples
        if changed is not None:
            affected = max(affected, 0) + changed
    return returned, affected


def _signs(results: Any) -> Facts:
    """What the rows of these results hold that was planted."""
    for result in results:
        if result.status == _TUPLES_OK and canaries.cells_contain_canary(
            result.get_value, result.ntuples, result.nfields
        ):
            return add_indicators((), ["canary"])
    return ()


def _composed(query: Any, cursor: Any) -> Any:
    return query.as_string(cursor) if hasattr(query, "as_string") else None


def _code(error: BaseException | None) -> Facts:
    code = getattr(error, "sqlstate", None)
    return ((names.STATUS_CODE, code),) if isinstance(code, str) else ()


class NoticedLink(Link):
    """A connection's, with how many notices came since the last call that told of them."""

    __slots__ = ("notices",)

    def __init__(self, session: Session, wire: SocketCounters | None, pgconn: Any) -> None:
        super().__init__(session, wire)
        self.notices = 0
        _count_notices(self, pgconn)

    def noticed(self) -> Facts:
        """Those that came, once."""
        if not self.notices:
            return ()
        count, self.notices = self.notices, 0
        return ((names.NOTICES, count),)


@never_breaks_the_host
def _count_notices(link: NoticedLink, pgconn: Any) -> None:
    """The library's own handler is called all the same, and what it raises is the library's."""
    handler = pgconn.notice_handler

    def counted(result: Any) -> Any:
        link.notices += 1
        return None if handler is None else handler(result)

    pgconn.notice_handler = counted


class Attempt:
    """One attempt to connect, told once however it ends."""

    __slots__ = ("conninfo", "start_ns", "told")

    def __init__(self, conninfo: str, start_ns: int) -> None:
        self.conninfo = conninfo
        self.start_ns = start_ns
        self.told = False


class PsycopgWatch(Watch):
    """The reports of psycopg's calls."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._module: Any = importlib.import_module("psycopg")
        self._attempts: WeakKeyDictionary[Any, Attempt] = WeakKeyDictionary()
        self._texts: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        """Statements of server-side cursors: what a fetch brings belongs to them."""

    def _link(self, connection: Any) -> NoticedLink | None:
        link: NoticedLink | None = connection.__dict__.get(KEY)
        if link is None and connection.pgconn.status == _OK:
            # Opened before we were there.
            wire = SocketCounters(connection.pgconn.socket)
            wire.read_delta()
            link = NoticedLink(_session(connection.pgconn, None), wire, connection.pgconn)
            connection.__dict__[KEY] = link
        return link

    def _tell(
        self, connection: Any, operation: str, start_ns: int, error: BaseException | None, sql: Any = None,
        rows: tuple[int, int] = (-1, -1), facts: Facts = (),
    ) -> None:  # fmt: skip
        link = self._link(connection) if self.recorder is not None else None
        if link is None:
            return
        lost, facts = False, facts + link.noticed()
        if error is not None:
            facts += _code(error)
            lost = connection.pgconn.status != _OK
        self.tell(link, operation, start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

    def _text(self, cursor: Any, query: Any) -> Any:
        if isinstance(query, (str, bytes)):
            return query
        converted = cursor._query
        return converted.query if converted is not None else _composed(query, cursor)

    @never_breaks_the_host
    def begun(self, args: Any, kwargs: Any, start_ns: int) -> Attempt | None:
        """One attempt to connect and log in, to one host, is about to begin."""
        return None if self.recorder is None else Attempt(argument(args, kwargs, 0, "conninfo") or "", start_ns)

    @never_breaks_the_host
    def drives(self, generator: Any, attempt: Attempt | None) -> None:
        """The generator that makes this attempt."""
        if attempt is not None:
            self._attempts[generator] = attempt

    @never_breaks_the_host
    def gave_up(self, generator: Any, error: BaseException) -> None:
        """Who drove this generator no longer does: a time-out, or a cancelled task."""
        self.connected(self._attempts.get(generator), None, error)

    @never_breaks_the_host
    def connected(self, attempt: Attempt | None, connection: Any, error: BaseException | None) -> None:
        """It stands, it failed, or it was given up; told once."""
        if attempt is None or attempt.told:
            return
        attempt.told, conninfo, start_ns = True, attempt.conninfo, attempt.start_ns
        explicit: dict[str, str] = {
            one.keyword.decode(): one.val.decode("utf-8", "replace")
            for one in self._module.pq.Conninfo.parse(conninfo.encode())
            if one.val and one.keyword != b"password"
        }
        if error is None:
            link = NoticedLink(
                _session(connection.pgconn, explicit), SocketCounters(connection.pgconn.socket), connection.pgconn
            )  # fmt: skip
            connection.__dict__[KEY] = link
            self.tell(link, "connect", start_ns)
            return
        said = asked(explicit, os.environ)
        pgconn = getattr(error, "pgconn", None)
        for key, attribute in _ATTRIBUTES:
            if value := getattr(pgconn, attribute, None):
                said[key] = value.decode("utf-8", "replace")
        explicitly = is_explicit(said["sslmode"], explicit, os.environ)
        failed = Link(session(said, requested_explicit=explicitly, tls=refused(str(error))), None)
        told = _INSTEAD.get(type(error).__name__, error)
        self.tell(failed, "connect", start_ns, error=told, facts=_code(error) or login_code(str(error)))

    @never_breaks_the_host
    def executed(self, cursor: Any, args: Any, kwargs: Any, start_ns: int, _: Any, error: BaseException | None) -> None:
        """``execute`` and ``executemany``, once for the whole of it."""
        recorder = self.recorder
        if recorder is None:
            return
        if error is None and args and args[0].__class__ in _PLAIN and len(results := cursor._results) == 1:
            # What most calls are, without the detours of the others.
            connection, result = cursor._conn, results[0]
            link: NoticedLink | None = connection.__dict__.get(KEY)
            if link is not None and connection._pipeline is None and result.status == _TUPLES_OK:
                changed = result.command_tuples if (result.command_status or b"").startswith(_CHANGES) else None
                recorder.record_call(
                    link.session, "", start_ns=start_ns, sql=args[0], wire=link.wire, rows_returned=result.ntuples,
                    rows_affected=-1 if changed is None else changed,
                    facts=(_signs(results) if canaries.has_canaries() else ()) + link.noticed(),
                )  # fmt: skip
                return
        text = self._text(cursor, argument(args, kwargs, 0, "query"))
        if text is None:
            return  # refused before anything was sent
        if cursor._conn._pipeline is not None:
            self._tell(cursor._conn, "", start_ns, error, text, facts=_ESTIMATED)
            return
        rows, facts = (-1, -1), ()
        if error is None:
            rows = _rows(cursor) if cursor._results else (-1, cursor._rowcount)
            facts = _signs(cursor._results) if canaries.has_canaries() else ()
        self._tell(cursor._conn, "", start_ns, error, text, rows, facts=facts)

    @never_breaks_the_host
    def declared(self, cursor: Any, args: Any, kwargs: Any, start_ns: int, _: Any, error: BaseException | None) -> None:
        """``execute`` of a server-side cursor: no row comes yet."""
        if self.recorder is None:
            return
        query = argument(args, kwargs, 0, "query")
        text = query if isinstance(query, (str, bytes)) else _composed(query, cursor)
        if text is None:
            return
        self._texts[cursor] = text
        self._tell(cursor._conn, "", start_ns, error, text)

    @never_breaks_the_host
    def fetched(self, cursor: Any, _a: Any, _k: Any, start_ns: int, result: Any, error: BaseException | None) -> None:
        """One page of a server-side cursor."""
        rows = (-1 if result is None else len(result), -1)
        self._tell(cursor._conn, "FETCH", start_ns, error, self._texts.get(cursor), rows)

    @never_breaks_the_host
    def streamed(self, cursor: Any, query: Any, start_ns: int, rows: int, error: BaseException | None) -> None:
        """``stream``: rows that came one by one, once for all of them."""
        self._tell(cursor._conn, "", start_ns, error, self._text(cursor, query), (rows, -1))

    @never_breaks_the_host
    def copied(self, cursor: Any, query: Any, start_ns: int, error: BaseException | None) -> None:
        """``copy``: rows out of the table are returned, rows into it affected."""
        outward = getattr(getattr(cursor, "pgresult", None), "status", None) == _COPY_OUT
        count = cursor._rowcount if error is None else -1
        rows = (count, -1) if outward else (-1, count)
        self._tell(cursor._conn, "COPY", start_ns, error, self._text(cursor, query), rows)

    @never_breaks_the_host
    def synced(self, connection: Any, _: Any, start_ns: int, error: BaseException | None) -> None:
        """The end of a pipeline, where its answers and errors arrive."""
        self._tell(connection, "SYNC", start_ns, error, facts=_ESTIMATED)

    @never_breaks_the_host
    def left(self, transaction: Any, args: Any, _k: Any, start_ns: int, _: Any, error: BaseException | None) -> None:
        """The end of a ``transaction()`` block."""
        status = getattr(getattr(transaction, "status", None), "value", None)
        if status == "failed":
            return  # the connection was gone before
        if status is None:  # before psycopg 3.3
            status = "committed" if args[:1] == (None,) and not transaction.force_rollback else ""
        word = "COMMIT" if status == "committed" else "ROLLBACK"
        if not transaction._outer_transaction:
            word = "RELEASE" if word == "COMMIT" else "ROLLBACK TO"
        self._tell(transaction._conn, word, start_ns, error, word)

    @never_breaks_the_host
    def idle(self, connection: Any) -> bool:
        """Whether no transaction is open."""
        return connection.pgconn.transaction_status == _IDLE

    @never_breaks_the_host
    def ended(self, connection: Any, word: str, start_ns: int, error: BaseException | None) -> None:
        """``commit`` or ``rollback`` with a transaction to end."""
        self._tell(connection, word, start_ns, error, word)
