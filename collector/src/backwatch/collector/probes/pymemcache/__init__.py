"""pymemcache: ``Client``, and what is built on it: ``PooledClient``, ``HashClient``, ``RetryingClient``.

All commands go through three methods of ``Client``, so there is one call per round trip to one server, whichever client
made it. Values are inspected as they are received: the pickle serializer has loaded them by the time the app has them.

There are no accounts, and memcached sends its version only on request: both are unknown, unless the app requests it.
"""

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pymemcache.observer import PymemcacheCallObserver
from backwatch.collector.probes.pymemcache.state import current_command
from backwatch.collector.probes.toolkit.hooks import call_hook, function_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class PymemcacheProbe(PatchingProbe[PymemcacheCallObserver]):
    """pymemcache 3.4 to 4."""

    name = "pymemcache"
    module = "pymemcache"
    label = "pymemcache"
    service_kind = "Caches and documents"
    indicators = frozenset(("other-key",))
    distributions = ("pymemcache>=3.4",)
    facts = names.OVER_TLS | {
        names.DB_SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT,
        names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED,
        names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.PAYLOAD_FORMAT, names.PAYLOAD_CONTAINERS,
        names.PAYLOAD_GLOBALS,
        names.PAYLOAD_WIRE, names.PAYLOAD_SIZE, names.RESPONSE_INDICATORS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the client's inner methods, and the functions that read and unpack values."""
        import pymemcache.client.base as base
        import pymemcache.serde as serde

        self._patches = patches = Patches()
        self._observer = observer = PymemcacheCallObserver(recorder)
        for method, on_call, on_end in (
            ("_fetch_cmd", observer.on_fetch, observer.on_fetch_end),
            ("_store_cmd", observer.on_store, observer.on_store_end),
            ("_misc_cmd", observer.on_line, observer.on_line_end),
        ):
            patches.wrap(base.Client, method, call_hook(on_call, on_end, scope=current_command))
        patches.wrap(base.Client, "_connect", call_hook(None, observer.on_connect_end))
        patches.wrap(base.Client, "close", call_hook(observer.on_close))
        patches.wrap(base, "_readvalue", function_hook(None, observer.on_value_end))
        patches.wrap(base, "_recv", function_hook(None, observer.on_receive_end))
        patches.wrap(serde.PickleSerde, "deserialize", call_hook(observer.on_deserialize))
