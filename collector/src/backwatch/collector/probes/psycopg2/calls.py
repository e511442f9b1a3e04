"""The reports of psycopg2's calls. Facts come from libpq itself, once per connection."""

import os
import re
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.postgresql.libpq import asked, is_explicit, libpq, login_code, refused, session
from backwatch.collector.probes.toolkit.dbapi import KEY, UNKNOWN, Facts, Link, Watch
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session
from backwatch.collector.session.socket_counters import SocketCounters
from backwatch.collector.session.tls import TlsFacts

_READY: Final = 1
"""``STATUS_READY``: no transaction is open."""
_CHANGES: Final = ("INSERT", "UPDATE", "DELETE", "MERGE")
_NONE: Final = (UNKNOWN, UNKNOWN)
_ASKED: Final = "_backwatch_asked"
_COPY: Final = frozenset(("copy", "COPY", "Copy", b"copy", b"COPY"))
_COPY_OUT: Final = re.compile(r"\bto\s+stdout\b", re.IGNORECASE)
_ESTIMATED: Final[Facts] = ((names.BYTES_ESTIMATED, True),)


def _code(error: BaseException | None) -> Facts:
    code = getattr(error, "pgcode", None)
    return ((names.STATUS_CODE, code),) if isinstance(code, str) else ()


class Psycopg2Watch(Watch):
    """The reports of psycopg2's calls."""

    def __init__(self, recorder: Recorder, module: Any) -> None:
        super().__init__(recorder)
        self._module = module

    def _session(self, connection: Any, explicit: dict[str, str] | None) -> Session:
        info = connection.info
        sslmode = info.dsn_parameters.get("sslmode", "")
        said = {"host": info.host or "", "port": str(info.port), "user": info.user or "", "dbname": info.dbname or ""}
        said["sslmode"] = sslmode
        library, tls, login = libpq(str(self._module._psycopg.__file__)), TlsFacts(), ""
        if library is not None:
            said["hostaddr"] = library.peer(connection.pgconn_ptr)
            tls = library.facts(connection.pgconn_ptr, sslmode)
            login = library.login(connection.pgconn_ptr)
        if info.ssl_in_use:
            tls["encrypted"] = True  # psycopg2 tells this much by itself
        explicitly = is_explicit(sslmode, explicit, os.environ)
        version = info.parameter_status("server_version") or ""
        rights = info.parameter_status("is_superuser")
        return session(
            said, requested_explicit=explicitly, server_version=version, tls=tls, rights=rights, login=login
        )  # fmt: skip

    def _explicit(self, dsn: Any) -> dict[str, str]:
        if not isinstance(dsn, (str, bytes)):
            return {}
        try:
            parsed = self._module.extensions.parse_dsn(dsn)
        except self._module.ProgrammingError:
            return {}  # what the driver says to such a string is told
        return {key: value for key, value in parsed.items() if key != "password"}

    @never_breaks_the_host
    def connected(self, connection: Any, dsn: Any, start_ns: int, error: BaseException | None) -> None:
        """A connection stands, or it failed."""
        if self.recorder is None:
            return
        explicit = self._explicit(dsn)
        waits = connection is not None and connection.async_
        # A class of the app's may swallow a failed login: then there is a connection that was never open.
        if connection is not None and not waits and connection.pgconn_ptr:
            link = Link(self._session(connection, explicit), SocketCounters(connection.fileno()))
            if hasattr(connection, "__dict__"):
                connection.__dict__[KEY] = link
        else:
            said = asked(explicit, os.environ)
            explicitly = is_explicit(said["sslmode"], explicit, os.environ)
            link = Link(session(said, requested_explicit=explicitly, tls=refused(str(error))), None)
            if waits:
                connection.__dict__[_ASKED] = explicit
        self.tell(link, "connect", start_ns, error=error, facts=_code(error) or login_code(str(error)))

    def _link(self, connection: Any) -> Link | None:
        link = connection.__dict__.get(KEY)
        if link is None and not connection.closed and _ASKED in connection.__dict__:
            # Driven by poll(): it stands by now.
            link = Link(self._session(connection, connection.__dict__[_ASKED]), SocketCounters(connection.fileno()))
            connection.__dict__[KEY] = link
        return link

    def tell_on(
        self, connection: Any, operation: str, start_ns: int, error: BaseException | None, sql: object,
        rows: tuple[int, int] = _NONE,
    ) -> None:  # fmt: skip
        """Records one call on this connection."""
        link = self._link(connection) if self.recorder is not None else None
        if link is None:
            return
        facts, lost = (), False
        if error is not None:
            facts, lost = _code(error), bool(connection.closed)
        if connection.async_:
            facts, rows = facts + _ESTIMATED, _NONE
        self.tell(link, operation, start_ns, sql=sql, rows=rows, error=error, facts=facts, lost=lost)

    @never_breaks_the_host
    def executed(self, cursor: Any, sql: Any, start_ns: int, error: BaseException | None, phrase: str) -> None:
        """A cursor's call that sends a statement: as given, or what stands in ``phrase``."""
        if sql is None or self.recorder is None:
            return
        text, rows = phrase % (sql,) if phrase else _text(sql, cursor), _NONE
        if error is None and not cursor.name:
            count = cursor.rowcount
            if cursor.description is not None:
                rows = (count, count if (cursor.statusmessage or "").startswith(_CHANGES) else UNKNOWN)
            elif text[:4] in _COPY and _COPY_OUT.search(_readable(text)):
                rows = (count, UNKNOWN)
            else:
                rows = (UNKNOWN, count)
        self.tell_on(cursor.connection, "", start_ns, error, text, rows)

    @never_breaks_the_host
    def fetched(self, cursor: Any, rows: int, start_ns: int, error: BaseException | None) -> None:
        """One page of a named cursor."""
        self.tell_on(cursor.connection, "FETCH", start_ns, error, cursor._backwatch_sql, (rows, UNKNOWN))

    @never_breaks_the_host
    def ended(self, connection: Any, word: str, start_ns: int, error: BaseException | None) -> None:
        """A transaction was ended."""
        self.tell_on(connection, word, start_ns, error, word)

    @never_breaks_the_host
    def idle(self, connection: Any) -> bool:
        """Whether no transaction is open: then commit and rollback send nothing."""
        return connection.status == _READY


def _readable(sql: str | bytes) -> str:
    return sql if isinstance(sql, str) else sql.decode("utf-8", "replace")


def _text(sql: Any, cursor: Any) -> Any:
    return sql if isinstance(sql, (str, bytes)) or not hasattr(sql, "as_string") else sql.as_string(cursor)
