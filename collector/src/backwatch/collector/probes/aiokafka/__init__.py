"""aiokafka 0.10 and up: producers, consumers, administration, connections to brokers.

Each message, or batch that the app made itself, has one record, made when it is acknowledged. Messages received one by
one are recorded together. The brokers' version is unknown: the driver negotiates each kind of request separately.
"""

import importlib
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.aiokafka.driver_hooks import wrap_connections, wrap_messages
from backwatch.collector.probes.aiokafka.observer import (
    AiokafkaCallObserver,
    current_operation,
    current_poll,
    current_send,
)
from backwatch.collector.probes.families.kafka.session import FACTS
from backwatch.collector.probes.toolkit.hooks import async_call_hook as hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_PRODUCER_OPERATIONS: Final = ("commit_transaction", "abort_transaction", "send_offsets_to_transaction")
_CONSUMER_OPERATIONS: Final = (
    "commit", "committed", "topics", "offsets_for_times", "beginning_offsets", "end_offsets",
)  # fmt: skip
"""Methods that wait for the broker; the first argument may name topics."""
_NO_CALLS: Final = frozenset(("close", "start"))


class AiokafkaProbe(PatchingProbe[AiokafkaCallObserver]):
    """aiokafka: producers, consumers, administrators and their connections."""

    name = "aiokafka"
    module = "aiokafka"
    label = "aiokafka"
    service_kind = "Queues"
    distributions = ("aiokafka>=0.10",)
    facts = FACTS | {names.ROWS_AFFECTED}

    def install(self, recorder: Recorder) -> None:
        """Wrap the driver's classes."""
        aiokafka: Any = importlib.import_module("aiokafka")
        self._observer, self._patches = observer, patches = AiokafkaCallObserver(recorder), Patches()
        producer, consumer = aiokafka.AIOKafkaProducer, aiokafka.AIOKafkaConsumer
        admin: Any = importlib.import_module("aiokafka.admin").AIOKafkaAdminClient
        patches.wrap(producer, "send", hook(observer.on_send, observer.on_send_end, scope=current_send))
        patches.wrap(producer, "send_batch", hook(observer.on_send_batch, observer.on_send_batch_end))
        on_poll = observer.polls.on_poll
        patches.wrap(consumer, "getone", hook(on_poll, observer.on_getone_end, scope=current_poll))
        patches.wrap(consumer, "getmany", hook(on_poll, observer.on_getmany_end, scope=current_poll))
        patches.wrap(consumer, "stop", hook(observer.on_stop))
        for owner, methods in (
            (producer, _PRODUCER_OPERATIONS),
            (consumer, _CONSUMER_OPERATIONS),
            (admin, [method for method in dir(admin) if _is_operation(admin, method)]),
        ):
            for method in methods:
                on_operation = partial(observer.operations.on_operation, method, None)
                wrapper = hook(on_operation, observer.operations.on_operation_end, scope=current_operation)
                patches.wrap(owner, method, wrapper)
        wrap_connections(observer.connections, patches)
        wrap_messages(observer, patches)


def _is_operation(admin: Any, method: str) -> bool:
    return not method.startswith("_") and method not in _NO_CALLS and iscoroutinefunction(getattr(admin, method))
