"""pymongo, sync and asyncio, and Motor, which uses it in threads: commands, cursors, bulk writes, connections.

Four places see every call, and exist in every 4.x release, if under changing names: a pool makes a connection, a
connection runs a command, a cursor fetches a batch, a bulk write sends one. No listener is added to the app's clients.
Heartbeats of the driver's own monitors are not recorded (see ``observer.py``).
"""

import sys

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pymongo.observer import MongoCallObserver
from backwatch.collector.probes.pymongo.seeds import SeedObserver
from backwatch.collector.probes.pymongo.state import current_attempt
from backwatch.collector.probes.toolkit.hooks import Decorator, async_call_hook, call_hook, function_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class _Flavor:
    """The sync or the asyncio half of the driver.

    Args:
        prefix: Of its modules: ``synchronous.``, ``asynchronous.``, or ``""`` in versions without that division.
    """

    def __init__(self, patches: Patches, prefix: str, *, asynchronous: bool) -> None:
        self._patches = patches
        self._prefix = prefix
        self._hook = async_call_hook if asynchronous else call_hook

    def _wrap(self, module: str, owner: str, name: str, hook: Decorator) -> bool:
        """Wrap one method; return whether this version has it."""
        path = f"pymongo.{self._prefix}{module}"
        found = getattr(sys.modules.get(path), owner, None)
        if found is None or found.__module__ != path:  # defined elsewhere, and imported here under an old name
            return False
        return self._patches.wrap(found, name, hook)

    def wrap_calls(self, observer: MongoCallObserver) -> None:
        """Wrap pools, connections, cursors and bulk writes."""
        connect = self._hook(observer.on_connect, observer.on_connect_end, scope=current_attempt)
        self._wrap("pool", "Pool", "connect", connect)
        for owner in ("AsyncConnection", "Connection", "SocketInfo"):  # asyncio's, sync, sync until 4.3
            if self._wrap("pool", owner, "command", self._hook(observer.on_command, observer.on_command_end)):
                self._wrap("pool", owner, "_next_reply", self._hook(observer.on_wait, observer.on_command_end))
                break
        fetch = self._hook(observer.on_fetch, observer.on_fetch_end)
        cursors = ("_CursorBase", "_AsyncCursorBase")
        if not any(self._wrap("cursor_base", owner, "_run_with_conn", fetch) for owner in cursors):
            self._wrap("server", "Server", "run_operation", fetch)  # until 4.17
        write = self._hook(observer.on_write, observer.on_write_end)
        for name in ("write_command", "unack_write"):
            self._wrap("bulk", "_AsyncBulk", name, write)
            self._wrap("client_bulk", "_AsyncClientBulk", name, write)
            self._wrap("client_bulk", "_ClientBulk", name, write)
            if not self._wrap("bulk", "_Bulk", name, write):  # in the context until 4.8
                context_write = self._hook(observer.on_context_write, observer.on_write_end)
                self._wrap("message", "_BulkWriteContext", name, context_write)

    def wrap_lookups(self, seeds: SeedObserver) -> None:
        """Wrap the method that queries DNS."""
        hook = self._hook(seeds.on_resolve, seeds.on_resolve_end)
        self._wrap("srv_resolver", "_SrvResolver", "_get_srv_response_and_hosts", hook)


class PyMongoProbe(PatchingProbe[MongoCallObserver]):
    """pymongo 4."""

    name = "pymongo"
    module = "pymongo"
    label = "PyMongo"
    service_kind = "Caches and documents"
    distributions = ("pymongo>=4.0",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT,
        names.ACCOUNT, names.SERVER_VERSION, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.REDIRECT_TARGET,
        names.TOPOLOGY, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE, names.QUERY_SIGNS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap pools, connections, cursors and bulk writes, sync and asyncio."""
        self._patches = patches = Patches()
        self._observer = observer = MongoCallObserver(recorder)
        seeds = observer.seeds
        is_divided = "pymongo.synchronous.pool" in sys.modules  # since 4.9
        sync = _Flavor(patches, "synchronous." if is_divided else "", asynchronous=False)
        sync.wrap_calls(observer)
        sync.wrap_lookups(seeds)
        if is_divided:
            _Flavor(patches, "", asynchronous=False).wrap_lookups(seeds)  # in common until 4.11
            asyncio = _Flavor(patches, "asynchronous.", asynchronous=True)
            asyncio.wrap_calls(observer)
            asyncio.wrap_lookups(seeds)
        for name in ("network_layer", "network", "synchronous.network", "asynchronous.network"):  # moved twice
            module = sys.modules.get(f"pymongo.{name}")
            if module is not None:
                patches.wrap(module, "decompress", function_hook(None, observer.on_decompress_end))
