"""pytds (python-tds) for SQL Server: connections and where they are sent, statements, rows as they are read.

Each server that was tried is a call, and so is one that sent the client elsewhere. On a connection with MARS several
sessions share a socket, so no call's bytes are known.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pytds.calls import PytdsCallObserver
from backwatch.collector.probes.toolkit.between import before, between
from backwatch.collector.probes.toolkit.dbapi import Make, argument
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def _connecting(observer: PytdsCallObserver) -> Make:
    """Wraps the function that opens one connection; it calls itself for the server that another one named."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        order = list(inspect.signature(original).parameters)

        def connecting(*args: Any, **options: Any) -> Any:
            attempt = observer.connecting(dict(zip(order, args, strict=False)) | options)
            try:
                result = original(*args, **options)
            except BaseException as error:
                observer.connected(attempt, error)
                raise
            observer.connected(attempt, None)
            return result

        return connecting

    return make


def _reading(observer: PytdsCallObserver) -> Make:
    """Wraps what reads a row."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def reading(session: Any) -> Any:
            try:
                came = original(session)
            except BaseException as error:
                observer.row(session, None, error)
                raise
            observer.row(session, came)
            return came

        return reading

    return make


def _operation(args: Args, kwargs: Kwargs) -> object:
    return argument(args, kwargs, 0, "operation")


def _scalar(args: Args, kwargs: Kwargs) -> object:
    return argument(args, kwargs, 0, "query_string")


def _procedure(args: Args, kwargs: Kwargs) -> object:
    """As the statement that calls it; what it is given is nobody's business."""
    name = argument(args, kwargs, 0, "procname")
    return f"EXEC {name}" if isinstance(name, str) else "EXEC ?"


def _copy(args: Args, kwargs: Kwargs) -> object:
    table, schema = argument(args, kwargs, 1, "table_or_view"), kwargs.get("schema")
    quoted = [f"[{one}]" for one in (schema, table) if isinstance(one, str)]
    return f"INSERT BULK {'.'.join(quoted)}"


_STATEMENTS = {
    "execute": _operation, "executemany": _operation, "execute_scalar": _scalar, "callproc": _procedure,
    "copy_to": _copy,
}  # fmt: skip


class PytdsProbe(PatchingProbe[PytdsCallObserver]):
    """python-tds: connections, sessions and cursors."""

    name = "pytds"
    module = "pytds"
    distributions = ("python-tds>=1.14",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.ACCOUNT, names.SERVER_VERSION, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.REDIRECT_TARGET,
        names.NOTICES,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the driver's functions and classes."""
        observer, patches = PytdsCallObserver(recorder), Patches()
        self._watch, self._patches = observer, patches
        driver: Any = importlib.import_module("pytds")
        session: Any = importlib.import_module("pytds.tds_session")._TdsSession
        socket: Any = importlib.import_module("pytds.tds_socket")._TdsSocket
        cursors: Any = importlib.import_module("pytds.cursor")
        patches.wrap(driver, "_connect", _connecting(observer))
        patches.wrap(socket, "login", between(observer.logging_in, observer.logged_in))
        for method, sql_of in _STATEMENTS.items():
            patches.wrap(cursors.BaseCursor, method, between(observer.entered, observer.left(sql_of)))
        patches.wrap(cursors.BaseCursor, "nextset", between(observer.moving, observer.moved))
        for kind in (cursors.BaseCursor, cursors._MarsCursor):
            patches.wrap(kind, "close", before(observer.closing))
            patches.wrap(kind, "cancel", before(observer.closing))
        patches.wrap(session, "next_row", _reading(observer))
        patches.wrap(session, "commit", between(observer.ending, observer.ended("COMMIT")))
        patches.wrap(session, "rollback", between(observer.ending, observer.ended("ROLLBACK")))
