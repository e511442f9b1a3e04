"""mysql-connector-python (``mysql.connector``): in Python, with its C extension, and under asyncio.

Cursors, connections and pools; results are recorded as they are read. The C extension offers of TLS only the cipher,
and neither a descriptor nor the login method: volume, peer and certificate stay unknown there.
"""

import importlib
import sys
from types import ModuleType
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.mysql.observer import ConnectorCallObserver, Hook
from backwatch.collector.probes.toolkit.dbapi import WIRE_FACTS
from backwatch.collector.probes.toolkit.hooks import async_call_hook, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime import import_hooks
from backwatch.collector.runtime.guard import never_breaks_the_host

_ASYNCIO_MODULE: Final = "mysql.connector.aio.connection"
_COMMANDS: Final = {
    "commit": ("COMMIT", "COMMIT"), "rollback": ("ROLLBACK", "ROLLBACK"), "ping": ("PING", None),
    "is_connected": ("PING", None), "cmd_ping": ("PING", None), "reset_session": ("RESET", None),
    "cmd_reset_connection": ("RESET", None), "cmd_refresh": ("FLUSH", None), "cmd_statistics": ("STATISTICS", None),
    "cmd_shutdown": ("SHUTDOWN", None), "cmd_debug": ("DEBUG", None),
}  # fmt: skip
"""Methods of a connection that send one fixed command: operation, statement."""
_STATEMENTS: Final = ("cmd_query", "_execute_query", "cmd_stmt_prepare", "cmd_stmt_execute")
_CURSOR_METHODS: Final = {
    "execute": ("operation", ""), "executemany": ("operation", ""), "callproc": ("procname", "CALL %s"),
}  # fmt: skip
"""Methods of a cursor that send a statement: name of their first argument, template that it stands in."""


def _wrap_connection(patches: Patches, observer: ConnectorCallObserver, kind: Any, hook: Hook) -> None:
    own, login = vars(kind), observer.login
    for method, (operation, sql) in _COMMANDS.items():
        if method in own:
            patches.wrap(kind, method, observer.command_hook(operation, sql, hook))
    for method in _STATEMENTS:
        if method in own:
            patches.wrap(kind, method, hook(observer.on_statement, observer.on_statement_end))
    patches.wrap(kind, "_do_auth", hook(observer.on_rows, login.on_auth_end))
    patches.wrap(kind, "info_query", hook(observer.on_info_query, observer.on_info_query_end))
    patches.wrap(kind, "cmd_init_db", observer.select_hook("database", hook))
    patches.wrap(kind, "cmd_change_user", hook(observer.on_call, login.on_change_user_end))
    patches.wrap(kind, "cursor", hook(observer.on_call, observer.on_cursor_end))
    patches.wrap(kind, "get_rows", hook(observer.on_rows, observer.on_rows_end))
    patches.wrap(kind, "consume_results", hook(observer.on_rows, observer.on_discard_end))
    for method in ("close", "disconnect"):
        if method in own:
            patches.wrap(kind, method, hook(observer.on_close))
    for method in ("_handle_result", "_handle_binary_result"):
        patches.wrap(kind, method, hook(login.on_response))
    patches.wrap(kind, "_handle_ok", call_hook(login.on_response))  # under asyncio, too


def _wrap_cursors(patches: Patches, observer: ConnectorCallObserver, module: Any, hook: Hook) -> None:
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
    for kind in kinds:
        own = vars(kind)
        for method, (argument, template) in _CURSOR_METHODS.items():
            if method in own:
                patches.wrap(kind, method, observer.cursor_hook(argument, template, hook))
        if "nextset" in own:
            patches.wrap(kind, "nextset", hook(observer.on_cursor_call, observer.on_nextset_end))


def _wrap_asyncio(patches: Patches, observer: ConnectorCallObserver, module: Any) -> None:
    kind, login = module.MySQLConnection, observer.login
    patches.wrap(kind, "connect", async_call_hook(login.on_connect, login.on_connect_end))
    patches.wrap(kind, "cmd_query_iter", observer.wrap_async_iteration)
    _wrap_connection(patches, observer, kind, async_call_hook)
    _wrap_cursors(patches, observer, sys.modules["mysql.connector.aio.cursor"], async_call_hook)


class MySQLConnectorProbe(PatchingProbe[ConnectorCallObserver]):
    """mysql-connector-python: connections, pools and cursors of every kind, in Python and in C, synchronous and not."""

    name = "mysql"
    module = "mysql.connector"
    label = "mysql-connector-python"
    service_kind = "SQL databases"
    distributions = ("mysql-connector-python>=8.0.32",)
    facts = names.OVER_TLS | WIRE_FACTS | {
        names.AUTH_METHOD, names.LOCAL_INFILE, names.LOCAL_INFILE_FILE, names.NOTICES,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the driver's classes; those of asyncio as soon as the app imports them."""
        observer, patches = ConnectorCallObserver(recorder), Patches()
        self._observer, self._patches = observer, patches
        login, abstracts = observer.login, importlib.import_module("mysql.connector.abstracts")
        base = abstracts.MySQLConnectionAbstract
        patches.wrap(base, "connect", call_hook(login.on_connect, login.on_connect_end))
        for module, connection in (("connection", "MySQLConnection"), ("connection_cext", "CMySQLConnection")):
            kind: Any = getattr(sys.modules.get(f"mysql.connector.{module}"), connection, None)
            if kind is None:  # there may be no C extension
                continue
            _wrap_connection(patches, observer, kind, call_hook)
            patches.wrap_setter(kind, "database", observer.select_hook("database"))
            patches.wrap(kind, "_auth_continue", call_hook(login.on_auth_switch))  # before 8.1
            if module == "connection":
                patches.wrap(kind, "cmd_query_iter", observer.wrap_iteration)
            else:
                patches.wrap_setter(kind, "autocommit", observer.command_hook("SET", "SET AUTOCOMMIT = 1"))
        for name in ("mysql.connector.cursor", "mysql.connector.cursor_cext"):
            if name in sys.modules:
                _wrap_cursors(patches, observer, sys.modules[name], call_hook)

        @never_breaks_the_host
        def on_asyncio_import(module: ModuleType) -> None:
            if self._observer is observer and observer.recorder is not None:
                _wrap_asyncio(patches, observer, module)

        import_hooks.on_import(_ASYNCIO_MODULE, on_asyncio_import)
