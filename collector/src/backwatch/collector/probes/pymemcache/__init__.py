"""pymemcache: ``Client``, and what is made of it: ``PooledClient``, ``HashClient``, ``RetryingClient``.

All commands go through three methods of ``Client``, so there is one call per round trip to one server, whoever made it.
Values are looked at as they come over the wire: the pickle serializer has loaded them by the time the app has them.

memcached has no accounts here, and tells its version only to who asks: both are unknown, unless the app itself asked.
"""

from collections.abc import Callable
from time import time_ns
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.pymemcache.calls import Begin, Ended, Watch
from backwatch.collector.probes.pymemcache.session import current
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_Function = Callable[..., Any]
_Make = Callable[[_Function], _Function]


def _calling(watch: Watch, begin: Begin, ended: Ended) -> _Make:
    def make(original: _Function) -> _Function:
        def calling(client: Any, *args: Any, **options: Any) -> Any:
            exchange = begin(client, args, options)
            if exchange is None:
                return original(client, *args, **options)
            token = current.set(exchange)
            try:
                result = original(client, *args, **options)
            except BaseException as error:
                watch.failed(client, exchange, error)
                raise
            else:
                ended(client, exchange, result)
                return result
            finally:
                current.reset(token)
                exchange.let_go()

        return calling

    return make


def _connecting(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def connecting(client: Any, *args: Any, **options: Any) -> Any:
            start_ns = time_ns()
            try:
                result = original(client, *args, **options)
            except BaseException as error:
                watch.connect_failed(client, start_ns, error)
                raise
            watch.connected(client, start_ns)
            return result

        return connecting

    return make


def _closing(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def closing(client: Any, *args: Any, **options: Any) -> Any:
            watch.closing()
            return original(client, *args, **options)

        return closing

    return make


def _wrap_reading(watch: Watch, patches: Patches, module: Any) -> None:
    def read_value(original: _Function) -> _Function:
        def reading(*args: Any, **options: Any) -> Any:
            found = original(*args, **options)
            watch.value_read(found[1])
            return found

        return reading

    def receive(original: _Function) -> _Function:
        def receiving(*args: Any, **options: Any) -> Any:
            piece = original(*args, **options)
            watch.piece_read(piece)
            return piece

        return receiving

    patches.wrap(module, "_readvalue", read_value)
    patches.wrap(module, "_recv", receive)


def _unpacking(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def deserialize(serde: Any, key: Any, value: Any, flags: Any) -> Any:
            watch.unpacked(value, flags)
            return original(serde, key, value, flags)

        return deserialize

    return make


class PymemcacheProbe(PatchingProbe[Watch]):
    """pymemcache 3.4 to 4."""

    name: ClassVar[str] = "pymemcache"
    module: ClassVar[str] = "pymemcache"
    distributions: ClassVar[tuple[str, ...]] = ("pymemcache>=3.4",)
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.DB_SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT,
        names.SERVER_VERSION, names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED,
        names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE, names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS,
        names.PAYLOAD_WIRE, names.PAYLOAD_SIZE, names.RESPONSE_INDICATORS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the client's few inner methods, and what reads and unpacks values."""
        import pymemcache.client.base as base
        import pymemcache.serde as serde

        self._patches = patches = Patches()
        self._watch = watch = Watch(recorder)
        client = base.Client
        patches.wrap(client, "_connect", _connecting(watch))
        patches.wrap(client, "close", _closing(watch))
        patches.wrap(client, "_fetch_cmd", _calling(watch, watch.fetching, watch.fetched))
        patches.wrap(client, "_store_cmd", _calling(watch, watch.storing, watch.stored))
        patches.wrap(client, "_misc_cmd", _calling(watch, watch.saying, watch.said))
        _wrap_reading(watch, patches, base)
        patches.wrap(serde.PickleSerde, "deserialize", _unpacking(watch))
