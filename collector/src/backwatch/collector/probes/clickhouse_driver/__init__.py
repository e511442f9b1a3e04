"""clickhouse-driver: ClickHouse's own protocol, over the client and over DB-API, which goes through it.

Rows are counted block by block as they come. The driver closes a connection after every error: the bytes of a statement
that failed are unknown.
"""

import importlib
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.clickhouse_driver.calls import ClickHouseCallObserver
from backwatch.collector.probes.toolkit.between import before, between
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_STATEMENTS = ("execute", "execute_with_progress", "execute_iter", "insert_dataframe", "query_arrow_stream")


def _nothing(*_: Any) -> None:
    """Before a packet there is nothing to know."""


class ClickHouseDriverProbe(PatchingProbe[ClickHouseCallObserver]):
    """clickhouse-driver: clients and connections."""

    name = "clickhouse_driver"
    module = "clickhouse_driver"
    distributions = ("clickhouse-driver>=0.2.6",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.QUERY_TEXT, names.OPERATION,
        names.ACCOUNT, names.SERVER_VERSION, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the driver's classes."""
        observer, patches = ClickHouseCallObserver(recorder), Patches()
        self._watch, self._patches = observer, patches
        connection: Any = importlib.import_module("clickhouse_driver.connection").Connection
        client: Any = importlib.import_module("clickhouse_driver.client").Client
        patches.wrap(connection, "_init_connection", between(observer.connecting, observer.connected))
        for method in _STATEMENTS:
            patches.wrap(client, method, between(observer.entered, observer.left))
        patches.wrap(client, "receive_packet", between(_nothing, observer.received))
        patches.wrap(client, "disconnect", before(observer.ending))
