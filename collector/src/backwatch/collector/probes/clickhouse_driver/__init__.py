"""clickhouse-driver: ClickHouse's own protocol, by the client and by DB-API, which goes through it.

Rows are counted block by block as they come. The driver closes a connection after every error: the bytes of a statement
that failed are unknown.
"""

import importlib
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.clickhouse_driver.observer import ClickHouseCallObserver
from backwatch.collector.probes.toolkit.dbapi import WIRE_FACTS
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_STATEMENTS: Final = ("execute", "execute_with_progress", "execute_iter", "insert_dataframe", "query_arrow_stream")


class ClickHouseDriverProbe(PatchingProbe[ClickHouseCallObserver]):
    """clickhouse-driver: clients and connections."""

    name = "clickhouse_driver"
    module = "clickhouse_driver"
    label = "clickhouse-driver"
    service_kind = "SQL databases"
    distributions = ("clickhouse-driver>=0.2.6",)
    facts = names.OVER_TLS | WIRE_FACTS | {names.AUTH_METHOD}

    def install(self, recorder: Recorder) -> None:
        """Wrap the driver's classes."""
        observer, patches = ClickHouseCallObserver(recorder), Patches()
        self._observer, self._patches = observer, patches
        connection: Any = importlib.import_module("clickhouse_driver.connection").Connection
        client: Any = importlib.import_module("clickhouse_driver.client").Client
        patches.wrap(connection, "_init_connection", call_hook(observer.on_connect, observer.on_connect_end))
        for method in _STATEMENTS:
            patches.wrap(client, method, call_hook(observer.on_statement, observer.on_statement_end))
        patches.wrap(client, "receive_packet", call_hook(None, observer.on_packet))
        patches.wrap(client, "disconnect", call_hook(observer.on_disconnect))
