"""sqlite3 of the standard library: ``connect`` makes a subclass of the class that the app asked for.

There is no wire: no TLS, no peer, no account, no bytes. Rows are read one by one, so how many came is told by a
``FETCH`` call of the same statement, once they have all been read or the cursor is used anew.
"""

import importlib
import os
from functools import partial
from time import time_ns
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.dbapi import KEY, UNKNOWN, Facts, Link, Watch, argument
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.toolkit.sockets import words
from backwatch.collector.probes.toolkit.subclasses import Subclasses, past_super
from backwatch.collector.runtime import internal_clients
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.record import Session

MAX_TEXT: Final = 200
_FACTORY: Final = 5
"""Position of ``factory`` among the arguments of ``connect``."""


def _address(database: Any, *, uri: bool) -> str:
    """The file as the app asked for it; of a URI only the path: keys of encrypted files stand in its query."""
    path = os.fsdecode(database) if isinstance(database, (str, bytes, os.PathLike)) else ""
    if uri and path.startswith("file:"):
        path = path.partition("?")[0].partition("#")[0]
    return words(path, MAX_TEXT)


def _code(error: BaseException | None) -> Facts:
    code = getattr(error, "sqlite_errorname", None)
    return ((names.STATUS_CODE, code),) if isinstance(code, str) else ()


class _SQLite(Watch):
    """The reports of sqlite3's calls."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self._version: str = importlib.import_module("sqlite3").sqlite_version

    @never_breaks_the_host
    def connected(
        self, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any], start_ns: int, error: BaseException | None
    ) -> None:
        """A file was opened, or not."""
        if self.recorder is None:
            return
        uri = bool(argument(args, kwargs, 7, "uri"))
        address = _address(argument(args, kwargs, 0, "database"), uri=uri)
        session = Session(system="sqlite", address=address, transport="inproc", server_version=self._version)
        link = Link(session, None)
        if hasattr(connection, "__dict__"):
            connection.__dict__[KEY] = link
        self.tell(link, "connect", start_ns, error=error, facts=_code(error))

    @never_breaks_the_host
    def executed(self, cursor: Any, operation: str, sql: Any, start_ns: int, error: BaseException | None) -> None:
        """``execute``, ``executemany``, ``executescript``."""
        connection = cursor.connection
        link = connection.__dict__.get(KEY)
        if link is None or self.recorder is None:
            return
        affected = UNKNOWN
        if error is None and operation != "executescript":
            affected = cursor.rowcount
            if cursor.description is not None:
                cursor.__dict__.update(_backwatch_sql=sql, _backwatch_since=time_ns())
        self.tell(link, "", start_ns, sql=sql, rows=(UNKNOWN, affected), error=error, facts=_code(error))

    @never_breaks_the_host
    def read(self, cursor: Any, error: BaseException | None = None) -> None:
        """All rows of a statement have been read, or no more are wanted."""
        sql, rows = cursor._backwatch_sql, cursor._backwatch_rows
        cursor.__dict__.update(_backwatch_sql=None, _backwatch_rows=0)
        link = cursor.connection.__dict__.get(KEY)
        if link is not None and sql is not None:
            self.tell(link, "FETCH", cursor._backwatch_since, sql=sql, rows=(rows, UNKNOWN), error=error)

    @never_breaks_the_host
    def ended(self, connection: Any, word: str, start_ns: int, error: BaseException | None) -> None:
        """A transaction was ended."""
        link = connection.__dict__.get(KEY)
        if link is not None:
            self.tell(link, word, start_ns, sql=word, error=error, facts=_code(error))

    @never_breaks_the_host
    def idle(self, connection: Any) -> bool:
        """Whether no transaction is open: then commit and rollback do nothing."""
        try:
            return not connection.in_transaction
        except importlib.import_module("sqlite3").Error:
            return False  # closed: what the driver says to that is told


def _cursor_layer(base: Any, watch: _SQLite) -> type:
    """Our layer above the C type of cursors."""

    class Cursor(base):
        _backwatch_sql: Any = None
        _backwatch_rows = 0
        _backwatch_since = 0
        _backwatch_seen = False

        # Into ``__dict__``, past any ``__setattr__`` of the app's.
        def _backwatch_count(self, rows: int) -> None:
            self.__dict__["_backwatch_rows"] = self._backwatch_rows + rows

        def _backwatch_run(self, operation: str, *args: Any, **kwargs: Any) -> Any:
            if self._backwatch_sql is not None:
                watch.read(self)
            self.__dict__["_backwatch_seen"] = True
            start_ns = time_ns()
            try:
                result = getattr(super(), operation)(*args, **kwargs)
            except BaseException as error:
                watch.executed(self, operation, args[0] if args else None, start_ns, error)
                raise
            watch.executed(self, operation, args[0] if args else None, start_ns, None)
            return result

        def execute(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_run("execute", *args, **kwargs)

        def executemany(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_run("executemany", *args, **kwargs)

        def executescript(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_run("executescript", *args, **kwargs)

        def __next__(self) -> Any:
            try:
                row = super().__next__()
            except StopIteration:
                watch.read(self)
                raise
            except BaseException as error:
                watch.read(self, error)
                raise
            self._backwatch_count(1)
            return row

        def fetchone(self) -> Any:
            row = super().fetchone()
            if row is None:
                watch.read(self)
            else:
                self._backwatch_count(1)
            return row

        def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
            rows = super().fetchmany(*args, **kwargs)
            self._backwatch_count(len(rows))
            if not rows:
                watch.read(self)
            return rows

        def fetchall(self) -> Any:
            rows = super().fetchall()
            self._backwatch_count(len(rows))
            watch.read(self)
            return rows

        def close(self) -> None:
            watch.read(self)
            super().close()

        def __del__(self) -> None:
            if self._backwatch_sql is not None:
                watch.read(self)

    return Cursor


def _past_the_layer(module: Any, watch: _SQLite, factory: type) -> dict[str, Any]:
    """Methods above those of the app's that say ``sqlite3.Cursor.execute(self, …)``, as Django's did before 4.2."""

    def over(operation: str, original: Any) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self._backwatch_sql is not None:
                watch.read(self)
            self.__dict__["_backwatch_seen"], start_ns = False, time_ns()
            try:
                result = original(self, *args, **kwargs)
            except module.Error as error:
                if not self._backwatch_seen:
                    watch.executed(self, operation, args[0] if args else None, start_ns, error)
                raise
            if not self._backwatch_seen:
                watch.executed(self, operation, args[0] if args else None, start_ns, None)
            return result

        return method

    found = (one for one in ("execute", "executemany", "executescript") if past_super(factory, module.Cursor, one))
    return {name: over(name, getattr(factory, name)) for name in found}


def _connection_layer(module: Any, watch: _SQLite, cursors: Subclasses) -> type:
    """Our layer above the C type of connections."""
    plain = cursors.of(module.Cursor) or module.Cursor

    class Connection(module.Connection):
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            if not args and not kwargs:
                return super().cursor(plain)
            if args:
                return super().cursor(cursors.of(args[0]) or args[0], *args[1:], **kwargs)
            if "factory" in kwargs:
                kwargs["factory"] = cursors.of(kwargs["factory"]) or kwargs["factory"]
            return super().cursor(**kwargs)

        # The C methods of these names are nothing else: a new cursor of the plain type, and its method of that name.
        def execute(self, *args: Any, **kwargs: Any) -> Any:
            return super().cursor(plain).execute(*args, **kwargs)

        def executemany(self, *args: Any, **kwargs: Any) -> Any:
            return super().cursor(plain).executemany(*args, **kwargs)

        def executescript(self, *args: Any, **kwargs: Any) -> Any:
            return super().cursor(plain).executescript(*args, **kwargs)

        def _backwatch_end(self, word: str, method: str, *args: object) -> Any:
            start_ns, idle = time_ns(), watch.idle(self)
            try:
                result = getattr(super(), method)(*args)
            except BaseException as error:
                watch.ended(self, word, start_ns, error)
                raise
            if not idle:
                watch.ended(self, word, start_ns, None)
            return result

        def commit(self, *args: Any) -> None:
            self._backwatch_end("COMMIT", "commit", *args)

        def rollback(self, *args: Any) -> None:
            self._backwatch_end("ROLLBACK", "rollback", *args)

        def __exit__(self, *args: object) -> Any:
            return self._backwatch_end("COMMIT" if args and args[0] is None else "ROLLBACK", "__exit__", *args)

    return Connection


class SQLiteProbe(PatchingProbe[_SQLite]):
    """sqlite3: connections and cursors, of the app's own classes too."""

    name = "sqlite3"
    module = "sqlite3"
    distributions = ()
    facts = frozenset({
        names.DB_SYSTEM, names.SERVER_ADDRESS, names.TRANSPORT, names.SERVER_VERSION, names.QUERY_TEXT, names.OPERATION,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
    })  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Replaces ``connect``."""
        watch, patches = _SQLite(recorder), Patches()
        self._watch, self._patches = watch, patches
        module: Any = importlib.import_module("sqlite3")
        over = partial(_past_the_layer, module, watch)
        cursors = Subclasses(module.Cursor, _cursor_layer(module.Cursor, watch), over)
        connections = Subclasses(module.Connection, _connection_layer(module, watch, cursors))
        original = module.connect

        def connect(*args: Any, **kwargs: Any) -> Any:
            start_ns = time_ns()
            given = args[_FACTORY] if len(args) > _FACTORY else kwargs.get("factory", module.Connection)
            if getattr(given, internal_clients.INTERNAL_ATTRIBUTE, False):
                return original(*args, **kwargs)
            watched = connections.of(given) if watch.recorder is not None else None
            if watched is not None and len(args) > _FACTORY:
                args = (*args[:_FACTORY], watched, *args[_FACTORY + 1 :])
            elif watched is not None:
                kwargs["factory"] = watched
            try:
                connection = original(*args, **kwargs)
            except BaseException as error:
                watch.connected(None, args, kwargs, start_ns, error)
                raise
            watch.connected(connection, args, kwargs, start_ns, None)
            return connection

        for place in (module, module.dbapi2):
            patches.wrap(place, "connect", lambda _: connect)
