"""pymongo, sync and asyncio, and Motor, which uses it in threads: commands, cursors, bulk writes, connections.

Four places see everything, and they have stood in every 4.x release, if under changing names: a pool makes a
connection, a connection runs a command, a cursor fetches a batch, a bulk write sends one. No listener is put into
anybody's client. Heartbeats of the driver's own monitors are not told (see ``calls.py``).
"""

import sys
from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.pymongo.calls import Watch
from backwatch.collector.probes.pymongo.seeds import Seeds
from backwatch.collector.probes.toolkit.between import around
from backwatch.collector.probes.toolkit.patches import Patches


def _wrap_unpacking(watch: Watch, patches: Patches) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def decompress(data: Any, *args: Any, **options: Any) -> Any:
            result = original(data, *args, **options)
            watch.unpacked(len(data), len(result))
            return result

        return decompress

    for name in ("network_layer", "network", "synchronous.network", "asynchronous.network"):  # moved twice
        module = sys.modules.get(f"pymongo.{name}")
        if module is not None:
            patches.wrap(module, "decompress", make)


class _World:
    """One of the driver's two worlds, at whatever places this version has."""

    def __init__(self, watch: Watch, seeds: Seeds, patches: Patches, place: str, *, asynchronous: bool) -> None:
        self.watch = watch
        self.seeds = seeds
        self.patches = patches
        self.place = place
        self.asynchronous = asynchronous

    def wrap(self, module: str, owner: str, name: str, begin: Any, ended: Any, failed: Any) -> bool:
        """Wraps one method, if this version has it."""
        place = f"pymongo.{self.place}{module}"
        found = getattr(sys.modules.get(place), owner, None)
        if found is None or found.__module__ != place:  # another place's, under an old name
            return False
        return self.patches.wrap(found, name, around(begin, ended, failed, asynchronous=self.asynchronous))

    def install(self) -> None:
        """Wraps them all."""
        watch, broken = self.watch, self.watch.of_exchange_failed
        self.wrap("pool", "Pool", "connect", watch.connecting, watch.connected, watch.connect_failed)
        for owner in ("AsyncConnection", "Connection", "SocketInfo"):  # asyncio's, sync, sync until 4.3
            if self.wrap("pool", owner, "command", watch.commanding, watch.answered, watch.failed):
                self.wrap("pool", owner, "_next_reply", watch.awaiting, watch.answered, watch.failed)
                break
        fetch = (watch.fetching, watch.fetched, broken)
        if not any(
            self.wrap("cursor_base", one, "_run_with_conn", *fetch) for one in ("_CursorBase", "_AsyncCursorBase")
        ):
            self.wrap("server", "Server", "run_operation", *fetch)  # until 4.17
        for name in ("write_command", "unack_write"):
            self.wrap("bulk", "_AsyncBulk", name, watch.writing, watch.written, broken)
            self.wrap("client_bulk", "_AsyncClientBulk", name, watch.writing, watch.written, broken)
            self.wrap("client_bulk", "_ClientBulk", name, watch.writing, watch.written, broken)
            if not self.wrap("bulk", "_Bulk", name, watch.writing, watch.written, broken):  # in the context until 4.8
                self.wrap("message", "_BulkWriteContext", name, watch.writing_in_context, watch.written, broken)
        self.install_names()

    def install_names(self) -> None:
        """Wraps what asks DNS."""
        seeds = self.seeds
        resolving = (seeds.resolving, seeds.resolved, seeds.resolve_failed)
        self.wrap("srv_resolver", "_SrvResolver", "_get_srv_response_and_hosts", *resolving)


class PyMongoProbe(Probe):
    """pymongo 4."""

    name: ClassVar[str] = "pymongo"
    module: ClassVar[str] = "pymongo"
    distributions: ClassVar[tuple[str, ...]] = ("pymongo>=4.0",)
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.DB_SYSTEM, names.DB_NAMESPACE, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT,
        names.ACCOUNT, names.SERVER_VERSION, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.REDIRECT_TARGET,
        names.TOPOLOGY, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE,
    }  # fmt: skip

    _patches: Patches | None = None
    _watch: Watch | None = None
    _seeds: Seeds | None = None

    def install(self, recorder: Recorder) -> None:
        """Wraps pools, connections, cursors and bulk writes of both worlds."""
        self._patches = patches = Patches()
        self._watch = watch = Watch(recorder)
        self._seeds = seeds = Seeds(recorder)
        split = "pymongo.synchronous.pool" in sys.modules  # since 4.9
        _World(watch, seeds, patches, "synchronous." if split else "", asynchronous=False).install()
        if split:
            _World(watch, seeds, patches, "", asynchronous=False).install_names()  # in common until 4.11
            _World(watch, seeds, patches, "asynchronous.", asynchronous=True).install()
        _wrap_unpacking(watch, patches)

    def remove(self) -> None:
        """Restores them."""
        for one in (self._watch, self._seeds):
            if one is not None:
                one.active = False
        if self._patches is not None:
            self._patches.restore()
