"""psycopg2: ``connect`` makes a subclass of the class that the app asked for, and so do its connections with cursors.

psycopg2's C functions reject proxies; a subclass is a real connection and a real cursor to them. Connections that are
driven by ``poll`` (``async_=True``) return before the answer: their bytes are marked as estimates, their rows unknown.
"""

import importlib
from time import time_ns
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.psycopg2.calls import Psycopg2CallObserver
from backwatch.collector.probes.toolkit.dbapi import UNKNOWN, argument
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.probes.toolkit.subclasses import Subclasses


def _cursor_layer(base: Any, observer: Psycopg2CallObserver) -> type:
    """Our layer above the C type of cursors."""

    class Cursor(base):
        _backwatch_sql: Any = None

        def _backwatch_run(self, method: str, sql: Any, args: Any, kwargs: Any, phrase: str = "") -> Any:
            start_ns = time_ns()
            try:
                result = getattr(super(), method)(*args, **kwargs)
            except BaseException as error:
                observer.executed(self, sql, start_ns, error, phrase)
                raise
            observer.executed(self, sql, start_ns, None, phrase)
            return result

        def execute(self, *args: Any, **kwargs: Any) -> Any:
            sql = argument(args, kwargs, 0, "query")
            self.__dict__["_backwatch_sql"] = sql  # past any ``__setattr__`` of the app's
            return self._backwatch_run("execute", sql, args, kwargs)

        def executemany(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_run("executemany", argument(args, kwargs, 0, "query"), args, kwargs)

        def callproc(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_run("callproc", argument(args, kwargs, 0, "procname"), args, kwargs, "CALL %s")

        def copy_expert(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_run("copy_expert", argument(args, kwargs, 0, "sql"), args, kwargs)

        def copy_from(self, *args: Any, **kwargs: Any) -> Any:
            table = argument(args, kwargs, 1, "table")
            return self._backwatch_run("copy_from", table, args, kwargs, "COPY %s FROM stdin")

        def copy_to(self, *args: Any, **kwargs: Any) -> Any:
            table = argument(args, kwargs, 1, "table")
            return self._backwatch_run("copy_to", table, args, kwargs, "COPY %s TO stdout")

    return Cursor


def _named_layer(base: Any, observer: Psycopg2CallObserver) -> type:
    """Our layer for named cursors, whose every fetch is a call; plain ones have their rows at ``execute``."""

    class NamedCursor(base):
        def _backwatch_fetch(self, method: str, args: Any, kwargs: Any) -> Any:
            start_ns = time_ns()
            try:
                result = getattr(super(), method)(*args, **kwargs)
            except BaseException as error:
                observer.fetched(self, UNKNOWN, start_ns, error)
                raise
            rows = len(result) if method != "fetchone" else int(result is not None)
            observer.fetched(self, rows, start_ns, None)
            return result

        def fetchone(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_fetch("fetchone", args, kwargs)

        def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_fetch("fetchmany", args, kwargs)

        def fetchall(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_fetch("fetchall", args, kwargs)

        def __next__(self) -> Any:
            if self.rownumber < self.rowcount:
                return super().__next__()  # still within the page that was fetched last
            start_ns = time_ns()
            try:
                row = super().__next__()
            except StopIteration:
                observer.fetched(self, 0, start_ns, None)
                raise
            except BaseException as error:
                observer.fetched(self, UNKNOWN, start_ns, error)
                raise
            observer.fetched(self, self.rowcount, start_ns, None)
            return row

    return NamedCursor


def _connection_layer(
    base: Any, observer: Psycopg2CallObserver, plain: Subclasses, named: Subclasses, default: Any
) -> type:
    """Our layer above the C type of connections."""

    class Connection(base):
        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            given = argument(args, kwargs, 1, "cursor_factory") or self.cursor_factory or default
            name = argument(args, kwargs, 0, "name")
            watched = (plain if name is None else named).of(given)
            if watched is not None and len(args) > 1:
                args = (args[0], watched, *args[2:])
            elif watched is not None:
                kwargs["cursor_factory"] = watched
            return super().cursor(*args, **kwargs)

        def _backwatch_end(self, word: str, method: str, args: Any, kwargs: Any) -> Any:
            start_ns, idle = time_ns(), observer.idle(self)
            try:
                result = getattr(super(), method)(*args, **kwargs)
            except BaseException as error:
                observer.ended(self, word, start_ns, error)
                raise
            if not idle:
                observer.ended(self, word, start_ns, None)
            return result

        def commit(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_end("COMMIT", "commit", args, kwargs)

        def rollback(self, *args: Any, **kwargs: Any) -> Any:
            return self._backwatch_end("ROLLBACK", "rollback", args, kwargs)

    return Connection


class Psycopg2Probe(PatchingProbe[Psycopg2CallObserver]):
    """psycopg2: connections and cursors, of the app's own classes too."""

    name = "psycopg2"
    module = "psycopg2"
    distributions = ("psycopg2>=2.9.5", "psycopg2-binary>=2.9.5")
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.ACCOUNT, names.AUTH_METHOD, names.ACCOUNT_SUPERUSER, names.SERVER_VERSION, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE,
        names.STATUS_CODE,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Replaces what ``psycopg2.connect`` calls: an app's own ``from psycopg2 import connect`` is watched too."""
        module: Any = importlib.import_module("psycopg2")
        extensions: Any = importlib.import_module("psycopg2.extensions")
        observer, patches = Psycopg2CallObserver(recorder, module), Patches()
        self._watch, self._patches = observer, patches
        layer = _cursor_layer(extensions.cursor, observer)
        plain = Subclasses(extensions.cursor, layer)
        named = Subclasses(extensions.cursor, _named_layer(layer, observer))
        layer = _connection_layer(extensions.connection, observer, plain, named, extensions.cursor)
        connections = Subclasses(extensions.connection, layer)

        def connecting(original: Any) -> Any:
            def connect(*args: Any, **kwargs: Any) -> Any:
                start_ns, dsn = time_ns(), argument(args, kwargs, 0, "dsn")
                given = argument(args, kwargs, 1, "connection_factory") or extensions.connection
                watched = connections.of(given) if observer.recorder is not None else None
                if watched is not None:
                    args, kwargs = (dsn,), {**kwargs, "connection_factory": watched}
                    kwargs.pop("dsn", None)
                try:
                    connection = original(*args, **kwargs)
                except BaseException as error:
                    observer.connected(None, dsn, start_ns, error)
                    raise
                observer.connected(connection, dsn, start_ns, None)
                return connection

            return connect

        patches.wrap(module, "_connect", connecting)
