"""mysqlclient (``MySQLdb``): methods of its Python classes are wrapped, also those inherited from its C type.

TLS, its version and the account come from the client library below the driver, once per connection, without a query.
What was verified, the certificate and the login method are nowhere to be read: they stay unknown.
"""

import importlib
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.MySQLdb.observer import MySQLdbCallObserver
from backwatch.collector.probes.toolkit.dbapi import WIRE_FACTS
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_COMMANDS: Final = {
    "commit": ("COMMIT", "COMMIT"), "rollback": ("ROLLBACK", "ROLLBACK"), "ping": ("PING", None),
    "set_character_set": ("SET", "SET NAMES"), "show_warnings": ("SHOW", "SHOW WARNINGS"), "kill": ("KILL", None),
    "stat": ("STATISTICS", None), "shutdown": ("SHUTDOWN", None), "dump_debug_info": ("DEBUG", None),
}  # fmt: skip
"""Methods of a connection that send one fixed command: operation, statement."""


class MySQLdbProbe(PatchingProbe[MySQLdbCallObserver]):
    """mysqlclient: connections, buffered and unbuffered cursors, several results, ``change_user``."""

    name = "MySQLdb"
    module = "MySQLdb"
    label = "mysqlclient"
    service_kind = "SQL databases"
    distributions = ("mysqlclient>=1.4.6",)
    facts = WIRE_FACTS | {
        names.TLS_ESTABLISHED, names.TLS_VERSION, names.TLS_CIPHER, names.TLS_REQUESTED, names.TLS_REQUESTED_EXPLICIT,
        names.PEER_ADDRESS, names.PEER_PORT, names.TRANSPORT, names.NOTICES,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap mysqlclient's classes."""
        extension: Any = importlib.import_module("MySQLdb._mysql")
        cursors: Any = importlib.import_module("MySQLdb.cursors")
        connection: Any = importlib.import_module("MySQLdb.connections").Connection
        cursor, unbuffered = cursors.BaseCursor, cursors.CursorUseResultMixIn
        observer, patches = MySQLdbCallObserver(recorder, extension.__file__, unbuffered), Patches()
        self._observer, self._patches = observer, patches
        patches.wrap(connection, "__init__", call_hook(observer.on_connect, observer.on_connect_end))
        patches.wrap(connection, "query", observer.query_hook())
        patches.wrap(connection, "select_db", observer.select_hook("db"))
        patches.wrap(connection, "change_user", call_hook(observer.on_call, observer.on_change_user_end))
        patches.wrap(connection, "autocommit", call_hook(observer.on_autocommit, observer.on_autocommit_end))
        for method, (operation, sql) in _COMMANDS.items():
            patches.wrap(connection, method, observer.command_hook(operation, sql))
        patches.wrap(cursor, "execute", observer.execute_hook("query"))
        patches.wrap(cursor, "executemany", observer.execute_hook("query"))
        patches.wrap(cursor, "callproc", observer.execute_hook("procname", "CALL %s"))
        patches.wrap(cursor, "nextset", call_hook(observer.on_cursor_call, observer.on_nextset_end))
        patches.wrap(cursor, "close", call_hook(observer.on_rows, observer.on_close_end))
        for size in ("one", "many", "all"):
            patches.wrap(unbuffered, f"fetch{size}", observer.fetch_hook(size))
