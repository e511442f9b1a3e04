"""aiormq, and aio-pika on top of it: every message and request of aio-pika goes through aiormq.

So one call has one record, and aio-pika needs no probe of its own.
"""

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.aiormq.observer import AiormqCallObserver, current_attempt
from backwatch.collector.probes.families.amqp.session import FACTS
from backwatch.collector.probes.toolkit.hooks import async_call_hook as hook
from backwatch.collector.probes.toolkit.hooks import async_function_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class AiormqProbe(PatchingProbe[AiormqCallObserver]):
    """aiormq 6 and 7; aio-pika 7 to 10 on top of it."""

    name = "aiormq"
    module = "aiormq"
    label = "aio-pika, aiormq"
    service_kind = "Queues"
    distributions = ("aiormq>=6.2.3",)
    facts = FACTS

    def install(self, recorder: Recorder) -> None:
        """Wrap the connection's start, and what a channel sends and reads."""
        from aiormq.channel import Channel
        from aiormq.connection import Connection

        self._patches = patches = Patches()
        self._observer = observer = AiormqCallObserver(recorder)
        connect = hook(observer.on_connect, observer.on_connect_end, scope=current_attempt)
        patches.wrap(Connection, "connect", connect)
        patches.wrap(Connection, "_rpc", async_function_hook(observer.on_connection_method))
        for event in ("blocked", "unblocked"):
            patches.wrap(Connection, f"_Connection__handle_connection_{event}", hook(observer.on_notice))
        patches.wrap(Channel, "rpc", hook(observer.on_request, observer.on_request_end))
        patches.wrap(Channel, "basic_publish", hook(observer.on_publish, observer.on_publish_end))
        patches.wrap(Channel, "basic_get", hook(observer.on_get, observer.on_get_end))
        patches.wrap(Channel, "_read_content", hook(None, observer.on_content_end))
        patches.wrap(Channel, "_get_frame", hook(None, observer.on_frame_end))
