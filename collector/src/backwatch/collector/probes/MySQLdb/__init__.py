"""mysqlclient (``MySQLdb``): methods of its Python classes are wrapped, those inherited from its C type among them.

TLS, its version and the account come from the client library below the driver, once per connection, without a word to
the server. What was verified, the certificate and the way of logging in nobody tells: they stay unknown.
"""

import importlib
from collections.abc import Callable
from time import time_ns
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.mysql.wraps import choosing, commanding, executing, querying
from backwatch.collector.probes.MySQLdb.calls import MySQLdbCallObserver
from backwatch.collector.probes.toolkit.dbapi import Make, argument
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_COMMANDS = {
    "commit": ("COMMIT", "COMMIT"), "rollback": ("ROLLBACK", "ROLLBACK"), "ping": ("PING", None),
    "set_character_set": ("SET", "SET NAMES"), "show_warnings": ("SHOW", "SHOW WARNINGS"), "kill": ("KILL", None),
    "stat": ("STATISTICS", None), "shutdown": ("SHUTDOWN", None), "dump_debug_info": ("DEBUG", None),
}  # fmt: skip
"""Methods of a connection that send one fixed command: operation, statement."""


def _connecting(observer: MySQLdbCallObserver) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
            start_ns, state = time_ns(), observer.connecting(self, args, kwargs)
            try:
                original(self, *args, **kwargs)
            except BaseException as error:
                observer.connected(self, state, start_ns, error)
                raise
            observer.connected(self, state, start_ns, None)

        return wrapper

    return make


def _changing(observer: MySQLdbCallObserver) -> Make:
    """Wraps ``change_user(user, password, database)``."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, state = time_ns(), observer.entered(self)
            account, namespace = argument(args, kwargs, 0, "user"), argument(args, kwargs, 2, "database")
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                observer.changed(self, state, account, namespace, start_ns, error)
                raise
            observer.changed(self, state, account, namespace, start_ns, None)
            return result

        return wrapper

    return make


def _switching(observer: MySQLdbCallObserver) -> Make:
    """Wraps ``autocommit``."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, state = time_ns(), observer.entered(self)
            before = observer.commits(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                observer.switched(self, state, before, start_ns, error)
                raise
            observer.switched(self, state, before, start_ns, None)
            return result

        return wrapper

    return make


def _advancing(observer: MySQLdbCallObserver) -> Make:
    """Wraps ``nextset``."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, state = time_ns(), observer.cursor_entered(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                observer.advanced(self, state, start_ns, None, error)
                raise
            observer.advanced(self, state, start_ns, result, None)
            return result

        return wrapper

    return make


def _reading(observer: MySQLdbCallObserver, *, how: str) -> Make:
    """Wraps what reads rows of a cursor that does not keep them.

    Args:
        how: ``one``, ``many`` or ``all`` at once.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            connection = getattr(self, "connection", None)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                observer.streamed(self, connection, ends=True, error=error)
                raise
            if not result or how != "one":
                observer.streamed(self, connection, ends=not result or how == "all")
            return result

        return wrapper

    return make


def _closing(observer: MySQLdbCallObserver) -> Make:
    """Wraps a cursor's ``close``, which reads what the app has left unread."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            connection, read = getattr(self, "connection", None), getattr(self, "rownumber", None)
            try:
                return original(self, *args, **kwargs)
            finally:
                observer.streamed(self, connection, ends=True, read=read)

        return wrapper

    return make


class MySQLdbProbe(PatchingProbe[MySQLdbCallObserver]):
    """mysqlclient: connections, buffered and unbuffered cursors, several results, ``change_user``."""

    name = "MySQLdb"
    module = "MySQLdb"
    distributions = ("mysqlclient>=1.4.6",)
    facts = frozenset({
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.TLS_ESTABLISHED, names.TLS_VERSION, names.TLS_CIPHER, names.TLS_REQUESTED, names.TLS_REQUESTED_EXPLICIT,
        names.PEER_ADDRESS, names.PEER_PORT, names.TRANSPORT, names.ACCOUNT, names.SERVER_VERSION, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
        names.NOTICES,
    })  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps mysqlclient's classes."""
        extension: Any = importlib.import_module("MySQLdb._mysql")
        cursors: Any = importlib.import_module("MySQLdb.cursors")
        connection: Any = importlib.import_module("MySQLdb.connections").Connection
        unbuffered = cursors.CursorUseResultMixIn
        observer, patches = MySQLdbCallObserver(recorder, extension.__file__, unbuffered), Patches()
        self._watch, self._patches = observer, patches
        patches.wrap(connection, "__init__", _connecting(observer))
        patches.wrap(connection, "query", querying(observer))
        patches.wrap(connection, "select_db", choosing(observer))
        patches.wrap(connection, "change_user", _changing(observer))
        patches.wrap(connection, "autocommit", _switching(observer))
        for method, (operation, sql) in _COMMANDS.items():
            patches.wrap(connection, method, commanding(observer, operation, sql))
        patches.wrap(cursors.BaseCursor, "execute", executing(observer, "query"))
        patches.wrap(cursors.BaseCursor, "executemany", executing(observer, "query"))
        patches.wrap(cursors.BaseCursor, "callproc", executing(observer, "procname", "CALL %s"))
        patches.wrap(cursors.BaseCursor, "nextset", _advancing(observer))
        patches.wrap(cursors.BaseCursor, "close", _closing(observer))
        for method in ("one", "many", "all"):
            patches.wrap(unbuffered, f"fetch{method}", _reading(observer, how=method))
