"""PyMySQL: methods of its Python classes are wrapped, which also covers the app's subclasses.

TLS facts come from the socket that the driver itself holds, once per connection. The login is followed step by step, so
that a failed one is reported with the facts that were known by then.
"""

import importlib
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pymysql.observer import PyMySQLCallObserver
from backwatch.collector.probes.toolkit.dbapi import WIRE_FACTS
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_COMMANDS: Final = {
    "commit": ("COMMIT", "COMMIT"), "rollback": ("ROLLBACK", "ROLLBACK"), "begin": ("BEGIN", "BEGIN"),
    "ping": ("PING", None), "_send_autocommit_mode": ("SET", "SET AUTOCOMMIT = 1"),
    "show_warnings": ("SHOW", "SHOW WARNINGS"),
}  # fmt: skip
"""Methods of a connection that send one fixed command: operation, statement."""


class PyMySQLProbe(PatchingProbe[PyMySQLCallObserver]):
    """PyMySQL: connections, buffered and unbuffered cursors."""

    name = "pymysql"
    module = "pymysql"
    label = "PyMySQL"
    service_kind = "SQL databases"
    indicators = frozenset(("canary",))
    distributions = ("PyMySQL>=1.0",)
    facts = names.OVER_TLS | WIRE_FACTS | {names.AUTH_METHOD, names.LOCAL_INFILE, names.LOCAL_INFILE_FILE}

    def install(self, recorder: Recorder) -> None:
        """Wrap PyMySQL's classes."""
        observer, patches = PyMySQLCallObserver(recorder), Patches()
        self._observer, self._patches = observer, patches
        connections: Any = importlib.import_module("pymysql.connections")
        cursors: Any = importlib.import_module("pymysql.cursors")
        connection, cursor, unbuffered = connections.Connection, cursors.Cursor, cursors.SSCursor
        patches.wrap(connection, "connect", call_hook(observer.on_connect, observer.on_connect_end))
        patches.wrap(connection, "_get_server_information", call_hook(exit=observer.on_greeting_read))
        patches.wrap(connection, "_process_auth", call_hook(observer.on_auth_switch))
        patches.wrap(connection, "_force_close", call_hook(observer.on_force_close))
        patches.wrap(connection, "_read_ok_packet", call_hook(exit=observer.on_ok_packet_end))
        character_set = call_hook(observer.on_set_character_set, observer.on_set_character_set_end)
        patches.wrap(connection, "set_character_set", character_set)
        patches.wrap(connections.MySQLResult, "_read_load_local_packet", call_hook(observer.on_load_local))
        patches.wrap(connection, "query", observer.query_hook())
        patches.wrap(connection, "select_db", observer.select_hook("db"))
        for method, (operation, sql) in _COMMANDS.items():
            patches.wrap(connection, method, observer.command_hook(operation, sql))
        patches.wrap(cursor, "execute", observer.execute_hook("query"))
        patches.wrap(cursor, "executemany", observer.execute_hook("query"))
        patches.wrap(cursor, "callproc", observer.execute_hook("procname", "CALL %s"))
        for method in ("fetchmany", "fetchall"):
            patches.wrap(unbuffered, method, observer.fetch_hook(ends=False))
        for method in ("close", "__del__"):
            patches.wrap(unbuffered, method, observer.fetch_hook(ends=True))
