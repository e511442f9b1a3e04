"""PyMySQL: methods of its Python classes are wrapped, and the app's subclasses with them.

TLS facts come from the socket that the driver itself holds, once per connection; the login is followed step by step, so
that one that fails is told with what was true of it.
"""

import importlib
from collections.abc import Callable
from time import time_ns
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.mysql.wraps import choosing, commanding, executing, querying
from backwatch.collector.probes.pymysql.calls import PyMySQLCallObserver
from backwatch.collector.probes.toolkit.dbapi import Make
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_COMMANDS = {
    "commit": ("COMMIT", "COMMIT"), "rollback": ("ROLLBACK", "ROLLBACK"), "begin": ("BEGIN", "BEGIN"),
    "ping": ("PING", None), "_send_autocommit_mode": ("SET", "SET AUTOCOMMIT = 1"),
    "show_warnings": ("SHOW", "SHOW WARNINGS"),
}  # fmt: skip
"""Methods of a connection that send one fixed command: operation, statement."""


def _connecting(observer: PyMySQLCallObserver) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, state = time_ns(), observer.connecting(self)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                observer.connected(self, state, start_ns, error)
                raise
            observer.connected(self, state, start_ns, None)
            return result

        return connect

    return make


def _greeting(observer: PyMySQLCallObserver) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def get_server_information(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            observer.greeted(self)
            return result

        return get_server_information

    return make


def _before(look: Callable[..., object], *, owner: Callable[[Any], Any] | None = None) -> Make:
    """Wraps a method so that we look at what it is given, first."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            look(self if owner is None else owner(self), *args[:1])
            return original(self, *args, **kwargs)

        return wrapper

    return make


def _refusing(observer: PyMySQLCallObserver) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def read_ok_packet(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(self, *args, **kwargs)
            except Exception as error:
                observer.refused(self, error)
                raise

        return read_ok_packet

    return make


def _naming(observer: PyMySQLCallObserver) -> Make:
    """Wraps ``set_character_set``, which reads its answer and does not look at it."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def set_character_set(self: Any, *args: Any, **kwargs: Any) -> Any:
            observer.listen(self)
            try:
                return original(self, *args, **kwargs)
            finally:
                observer.unlisten(self)

        return set_character_set

    return make


def _reading(observer: PyMySQLCallObserver, *, ends: bool) -> Make:
    """Wraps what reads, or ends, the rows of an unbuffered cursor."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            connection = self.connection
            try:
                return original(self, *args, **kwargs)
            finally:
                observer.streamed(self, connection, ends=ends)

        return wrapper

    return make


class PyMySQLProbe(PatchingProbe[PyMySQLCallObserver]):
    """PyMySQL: connections, buffered and unbuffered cursors."""

    name = "pymysql"
    module = "pymysql"
    distributions = ("PyMySQL>=1.0",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.ACCOUNT, names.SERVER_VERSION, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.LOCAL_INFILE,
        names.LOCAL_INFILE_FILE,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps PyMySQL's classes."""
        observer, patches = PyMySQLCallObserver(recorder), Patches()
        self._watch, self._patches = observer, patches
        connections: Any = importlib.import_module("pymysql.connections")
        cursors: Any = importlib.import_module("pymysql.cursors")
        connection, cursor, unbuffered = connections.Connection, cursors.Cursor, cursors.SSCursor
        patches.wrap(connection, "connect", _connecting(observer))
        patches.wrap(connection, "_get_server_information", _greeting(observer))
        patches.wrap(connection, "_process_auth", _before(observer.switched))
        patches.wrap(connection, "_force_close", _before(observer.closing))
        patches.wrap(connection, "_read_ok_packet", _refusing(observer))
        patches.wrap(connection, "set_character_set", _naming(observer))
        patches.wrap(
            connections.MySQLResult, "_read_load_local_packet", _before(observer.answered, owner=_connection_of)
        )
        patches.wrap(connection, "query", querying(observer))
        patches.wrap(connection, "select_db", choosing(observer))
        for method, (operation, sql) in _COMMANDS.items():
            patches.wrap(connection, method, commanding(observer, operation, sql))
        patches.wrap(cursor, "execute", executing(observer, "query"))
        patches.wrap(cursor, "executemany", executing(observer, "query"))
        patches.wrap(cursor, "callproc", executing(observer, "procname", "CALL %s"))
        for method in ("fetchmany", "fetchall"):
            patches.wrap(unbuffered, method, _reading(observer, ends=False))
        for method in ("close", "__del__"):
            patches.wrap(unbuffered, method, _reading(observer, ends=True))


def _connection_of(result: Any) -> Any:
    return result.connection
