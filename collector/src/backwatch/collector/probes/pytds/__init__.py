"""pytds (python-tds) for SQL Server: connections and their redirections, statements, rows as they are read.

Each server that was tried is a call, also one that redirected the client. On a connection with MARS several sessions
share a socket, so no call's bytes are known.
"""

import importlib
import inspect
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pytds.observer import PytdsCallObserver, StatementOf
from backwatch.collector.probes.toolkit.dbapi import WIRE_FACTS, argument
from backwatch.collector.probes.toolkit.hooks import Args, Function, Kwargs, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


def _operation(args: Args, kwargs: Kwargs) -> object:
    return argument(args, kwargs, 0, "operation")


def _scalar(args: Args, kwargs: Kwargs) -> object:
    return argument(args, kwargs, 0, "query_string")


def _procedure(args: Args, kwargs: Kwargs) -> object:
    """Return the statement that calls a procedure, without its arguments."""
    name = argument(args, kwargs, 0, "procname")
    return f"EXEC {name}" if isinstance(name, str) else "EXEC ?"


def _copy(args: Args, kwargs: Kwargs) -> object:
    table, schema = argument(args, kwargs, 1, "table_or_view"), kwargs.get("schema")
    quoted = [f"[{name}]" for name in (schema, table) if isinstance(name, str)]
    return f"INSERT BULK {'.'.join(quoted)}"


_STATEMENTS: Final[dict[str, StatementOf]] = {
    "execute": _operation, "executemany": _operation, "execute_scalar": _scalar, "callproc": _procedure,
    "copy_to": _copy,
}  # fmt: skip


class PytdsProbe(PatchingProbe[PytdsCallObserver]):
    """python-tds: connections, sessions and cursors."""

    name = "pytds"
    module = "pytds"
    label = "python-tds"
    service_kind = "SQL databases"
    distributions = ("python-tds>=1.14",)
    facts = names.OVER_TLS | WIRE_FACTS | {names.AUTH_METHOD, names.REDIRECT_TARGET, names.NOTICES}

    def install(self, recorder: Recorder) -> None:
        """Wrap the driver's functions and classes."""
        observer, patches = PytdsCallObserver(recorder), Patches()
        self._observer, self._patches = observer, patches
        driver: Any = importlib.import_module("pytds")
        session: Any = importlib.import_module("pytds.tds_session")._TdsSession
        socket: Any = importlib.import_module("pytds.tds_socket")._TdsSocket
        cursors: Any = importlib.import_module("pytds.cursor")

        def wrap_connect(original: Function) -> Function:
            """Wrap the function that opens one connection; it calls itself for the server that another one named."""
            order = list(inspect.signature(original).parameters)

            def connect(*args: Any, **options: Any) -> Any:
                attempt = observer.start_attempt(dict(zip(order, args, strict=False)) | options)
                try:
                    result = original(*args, **options)
                except BaseException as error:
                    observer.end_attempt(attempt, error)
                    raise
                observer.end_attempt(attempt, None)
                return result

            return connect

        patches.wrap(driver, "_connect", wrap_connect)
        patches.wrap(socket, "login", call_hook(observer.on_login, observer.on_login_end))
        for method, statement_of in _STATEMENTS.items():
            patches.wrap(cursors.BaseCursor, method, observer.statement_hook(statement_of))
        patches.wrap(cursors.BaseCursor, "nextset", call_hook(observer.on_nextset, observer.on_nextset_end))
        for kind in (cursors.BaseCursor, cursors._MarsCursor):
            patches.wrap(kind, "close", call_hook(observer.on_close))
            patches.wrap(kind, "cancel", call_hook(observer.on_close))
        patches.wrap(session, "next_row", observer.wrap_next_row)
        patches.wrap(session, "commit", observer.transaction_end_hook("COMMIT"))
        patches.wrap(session, "rollback", observer.transaction_end_hook("ROLLBACK"))
