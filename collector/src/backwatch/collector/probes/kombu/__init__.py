"""kombu, and Celery on top of it: messages that apps send and workers receive, over RabbitMQ (py-amqp) and Redis.

A message of Celery's is one call on every transport. Over RabbitMQ it is recorded where py-amqp sends it, which only
this probe wraps. Over Redis, the Redis probe passes on the command that carried it: the call then has that command's
session and bytes, and kombu's description. Other transports (SQS, databases) are recorded by the probes of their
drivers.

kombu loads a transport when a connection first needs it, so its classes are wrapped then: nothing is imported here.
"""

import sys
from functools import partial
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.amqp.session import FACTS
from backwatch.collector.probes.families.redis.claims import claim_scope
from backwatch.collector.probes.kombu.observer import KombuCallObserver
from backwatch.collector.probes.kombu.pyamqp_observer import CALLS
from backwatch.collector.probes.toolkit.hooks import Error, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime.guard import never_breaks_the_host


class KombuProbe(PatchingProbe[KombuCallObserver]):
    """kombu 5, and Celery 5 on top of it; kombu 4 does not load under the supported versions of Python."""

    name = "kombu"
    module = "kombu.connection"
    label = "Celery, kombu"
    service_kind = "Queues"
    distributions = ("kombu>=5.0",)
    facts = FACTS | {names.DB_SYSTEM}

    def install(self, recorder: Recorder) -> None:
        """Wrap the method that makes transports, and the transports that are loaded already."""
        from kombu.connection import Connection

        self._patches = patches = Patches()
        self._observer = KombuCallObserver(recorder)
        self._wrapped: set[str] = set()
        patches.wrap(Connection, "create_transport", call_hook(None, self._on_transport_end))
        self._wrap_loaded()

    def _on_transport_end(self, _connection: Any, _token: Any, _result: Any, _error: Error) -> None:
        self._wrap_loaded()

    @never_breaks_the_host
    def _wrap_loaded(self) -> None:
        observer, patches = self._observer, self._patches
        if observer is None or patches is None or not observer.amqp.active:
            return
        for (module, owner), wrap in _TRANSPORTS.items():
            loaded = sys.modules.get(module)
            if module not in self._wrapped and hasattr(loaded, owner):
                self._wrapped.add(module)
                wrap(observer, patches, loaded)


def _wrap_messaging(observer: KombuCallObserver, patches: Patches, messaging: Any) -> None:
    patches.wrap(messaging.Consumer, "_receive_callback", call_hook(observer.on_message))


def _wrap_redis(observer: KombuCallObserver, patches: Patches, transport: Any) -> None:
    publish = call_hook(observer.on_redis_publish, observer.on_redis_publish_end, scope=claim_scope)
    patches.wrap(transport.Channel, "basic_publish", publish)
    read = call_hook(observer.on_redis_read, observer.on_redis_read_end, scope=claim_scope)
    patches.wrap(transport.Channel, "_brpop_read", read)


def _wrap_pyamqp(observer: KombuCallObserver, patches: Patches, module: Any) -> None:
    connection, channel = sys.modules["amqp.connection"].Connection, module.Channel  # type: ignore[attr-defined]
    pyamqp = observer.pyamqp
    patches.wrap(connection, "connect", call_hook(pyamqp.on_connect, pyamqp.on_connect_end))
    patches.wrap(connection, "send_method", call_hook(pyamqp.on_connection_method))
    patches.wrap(connection, "_on_blocked", call_hook(pyamqp.on_notice))
    patches.wrap(connection, "_on_unblocked", call_hook(pyamqp.on_notice))
    for name in CALLS:
        patches.wrap(channel, name, call_hook(partial(pyamqp.on_request, name), pyamqp.on_request_end))
    publish = call_hook(pyamqp.on_publish, pyamqp.on_publish_end)
    patches.wrap(channel, "basic_publish", publish)
    patches.wrap(channel, "basic_publish_confirm", publish)
    patches.wrap(channel, "_on_basic_return", call_hook(pyamqp.on_return))
    patches.wrap(channel, "_on_basic_cancel", call_hook(pyamqp.on_channel_notice))
    patches.wrap(channel, "_on_close", call_hook(pyamqp.on_close))


_TRANSPORTS: Final = {
    ("kombu.messaging", "Consumer"): _wrap_messaging,
    ("amqp.channel", "Channel"): _wrap_pyamqp,
    ("kombu.transport.redis", "Channel"): _wrap_redis,
}
"""Functions that wrap a module, by the module and the class that must be there."""
