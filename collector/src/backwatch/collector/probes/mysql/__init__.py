"""mysql-connector-python (``mysql.connector``): in Python, with its C extension, and under asyncio.

Cursors, connections and pools; results are told as they are read. The C extension tells of TLS only the cipher, and
neither a descriptor nor how it logged in: volume, peer and certificate stay unknown there.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from time import time_ns
from types import ModuleType
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.mysql.calls import ConnectorWatch
from backwatch.collector.probes.toolkit.between import Enter, Leave, before, between, between_async
from backwatch.collector.probes.toolkit.dbapi import Make
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime import import_hooks
from backwatch.collector.runtime.guard import never_breaks_the_host

_AIO: Final = "mysql.connector.aio.connection"
_COMMANDS: Final = {
    "commit": ("COMMIT", "COMMIT"), "rollback": ("ROLLBACK", "ROLLBACK"), "ping": ("PING", None),
    "is_connected": ("PING", None), "cmd_ping": ("PING", None), "reset_session": ("RESET", None),
    "cmd_reset_connection": ("RESET", None), "cmd_refresh": ("FLUSH", None), "cmd_statistics": ("STATISTICS", None),
    "cmd_shutdown": ("SHUTDOWN", None), "cmd_debug": ("DEBUG", None),
}  # fmt: skip
"""Methods of a connection that send one fixed command: operation, statement."""
_CURSORS: Final = {
    "execute": ("operation", ""), "executemany": ("operation", ""), "callproc": ("procname", "CALL %s"),
}  # fmt: skip
"""Methods of a cursor that send a statement: the name of their first argument, the phrase that it stands in."""

Wrap = Callable[[Enter, Leave], Make]


def _stepping(watch: ConnectorWatch) -> Make:
    """Wraps the generator of several results."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def cmd_query_iter(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            source = original(self, *args, **kwargs)
            try:
                while True:
                    start_ns, link = time_ns(), watch.of_statement(self, args, kwargs)
                    try:
                        result = next(source)
                    except StopIteration:
                        watch.passed(link, self, args, kwargs, start_ns, None, None)
                        return
                    except BaseException as error:
                        watch.stepped(link, self, args, kwargs, start_ns, None, error)
                        raise
                    watch.stepped(link, self, args, kwargs, start_ns, result, None)
                    yield result
            finally:
                source.close()

        return cmd_query_iter

    return make


def _stepping_async(watch: ConnectorWatch) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def cmd_query_iter(self: Any, *args: Any, **kwargs: Any) -> Any:
            source = original(self, *args, **kwargs)
            try:
                while True:
                    start_ns, link = time_ns(), watch.of_statement(self, args, kwargs)
                    try:
                        result = await anext(source)
                    except StopAsyncIteration:
                        watch.passed(link, self, args, kwargs, start_ns, None, None)
                        return
                    except BaseException as error:
                        watch.stepped(link, self, args, kwargs, start_ns, None, error)
                        raise
                    watch.stepped(link, self, args, kwargs, start_ns, result, None)
                    yield result
            finally:
                await source.aclose()

        return cmd_query_iter

    return make


def _wrap_connection(patches: Patches, watch: ConnectorWatch, kind: Any, wrap: Wrap) -> None:
    own = vars(kind)
    for method, (operation, sql) in _COMMANDS.items():
        if method in own:
            patches.wrap(kind, method, wrap(watch.of_connection, watch.commanded(operation, sql)))
    for method in ("cmd_query", "_execute_query", "cmd_stmt_prepare", "cmd_stmt_execute"):
        if method in own:
            patches.wrap(kind, method, wrap(watch.of_statement, watch.stated))
    patches.wrap(kind, "info_query", wrap(watch.of_question, watch.questioned))
    for method, leave in (("cmd_init_db", watch.selected), ("cmd_change_user", watch.changed)):
        patches.wrap(kind, method, wrap(watch.of_connection, leave))
    patches.wrap(kind, "cursor", wrap(watch.of_connection, watch.passed))
    patches.wrap(kind, "get_rows", wrap(watch.of_rows, watch.rows_read))
    patches.wrap(kind, "consume_results", wrap(watch.of_rows, watch.dropped))
    for method in ("close", "disconnect"):
        if method in own:
            patches.wrap(kind, method, before(watch.ending))
    for method in ("_handle_result", "_handle_binary_result", "_handle_ok"):
        patches.wrap(kind, method, before(watch.answered))


def _wrap_cursors(patches: Patches, watch: ConnectorWatch, module: Any, wrap: Wrap) -> None:
    kinds = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
    for kind in kinds:
        own = vars(kind)
        for method, (argument, phrase) in _CURSORS.items():
            if method in own:
                patches.wrap(kind, method, wrap(watch.of_cursor, watch.executed_as(argument, phrase)))
        if "nextset" in own:
            patches.wrap(kind, "nextset", wrap(watch.of_cursor, watch.advanced))


class MySQLConnectorProbe(PatchingProbe[ConnectorWatch]):
    """mysql-connector-python: connections, pools and cursors of every kind, in Python and in C, synchronous and not."""

    name = "mysql"
    module = "mysql.connector"
    distributions = ("mysql-connector-python>=8.0.32",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.ACCOUNT, names.SERVER_VERSION, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.LOCAL_INFILE,
        names.LOCAL_INFILE_FILE, names.NOTICES,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the driver's classes; those of asyncio as soon as the app imports them."""
        watch, patches = ConnectorWatch(recorder), Patches()
        self._watch, self._patches = watch, patches
        abstracts: Any = importlib.import_module("mysql.connector.abstracts")
        patches.wrap(abstracts.MySQLConnectionAbstract, "connect", between(watch.connecting, watch.connected))
        for module, connection in (("connection", "MySQLConnection"), ("connection_cext", "CMySQLConnection")):
            kind: Any = getattr(sys.modules.get(f"mysql.connector.{module}"), connection, None)
            if kind is not None:  # there may be no C extension
                _wrap_connection(patches, watch, kind, between)
                patches.wrap(kind, "_do_auth", between(watch.of_rows, watch.authenticated))
                patches.wrap_setter(kind, "database", between(watch.of_connection, watch.selected))
                patches.wrap(kind, "_auth_continue", before(watch.switched))  # before 8.1
                if module == "connection":
                    patches.wrap(kind, "cmd_query_iter", _stepping(watch))
                else:
                    patches.wrap_setter(
                        kind, "autocommit", between(watch.of_connection, watch.commanded("SET", "SET AUTOCOMMIT = 1"))
                    )
        for name in ("mysql.connector.cursor", "mysql.connector.cursor_cext"):
            if name in sys.modules:
                _wrap_cursors(patches, watch, sys.modules[name], between)

        def with_asyncio(module: ModuleType) -> None:
            if self._watch is watch and watch.recorder is not None:
                _wrap_aio(patches, watch, module)

        import_hooks.on_import(_AIO, never_breaks_the_host(with_asyncio))


def _wrap_aio(patches: Patches, watch: ConnectorWatch, module: Any) -> None:
    kind = module.MySQLConnection
    patches.wrap(kind, "connect", between_async(watch.connecting, watch.connected))
    patches.wrap(kind, "_do_auth", between_async(watch.of_rows, watch.authenticated))
    patches.wrap(kind, "cmd_query_iter", _stepping_async(watch))
    _wrap_connection(patches, watch, kind, between_async)
    _wrap_cursors(patches, watch, sys.modules["mysql.connector.aio.cursor"], between_async)
