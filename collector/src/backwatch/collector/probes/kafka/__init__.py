"""kafka-python 2.0 to 3.x, and its fork kafka-python-ng: producers, consumers, administration, connections.

Each message has one record, made when it is acknowledged; each poll has one for each topic. The clients of Backwatch's
own stream, and its topics, are never recorded: they would report their own reports.
"""

import importlib
from functools import partial
from types import FunctionType
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.kafka.session import FACTS
from backwatch.collector.probes.kafka.connections import wrap_connections
from backwatch.collector.probes.kafka.observer import KafkaCallObserver, current_operation, current_poll
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_PRODUCER_OPERATIONS: Final = dict.fromkeys(
    ("init_transactions", "send_offsets_to_transaction", "commit_transaction", "abort_transaction"), "offsets"
)
_CONSUMER_OPERATIONS: Final = {
    "commit": "offsets", "beginning_offsets": "partitions", "end_offsets": "partitions",
    "offsets_for_times": "timestamps", "committed": "partition", "topics": "-",
}  # fmt: skip
"""Methods that wait for the broker, and the argument that names topics; ``-``: none does."""
_NO_CALLS: Final = frozenset(("close", "get_broker_version_data"))


class KafkaProbe(PatchingProbe[KafkaCallObserver]):
    """kafka-python: producers, consumers, administrators and their connections."""

    name = "kafka"
    module = "kafka"
    label = "kafka-python"
    service_kind = "Queues"
    distributions = ("kafka-python>=2.0.2", "kafka-python-ng>=2.2.3")
    facts = FACTS | {names.SERVER_VERSION}

    def install(self, recorder: Recorder) -> None:
        """Wrap the driver's classes."""
        kafka: Any = importlib.import_module("kafka")
        if not hasattr(kafka, "KafkaProducer"):
            return  # a module of the app's own that bears the same name
        self._observer, self._patches = observer, patches = KafkaCallObserver(recorder), Patches()
        producer, consumer, admin = kafka.KafkaProducer, kafka.KafkaConsumer, kafka.KafkaAdminClient
        patches.wrap(producer, "send", call_hook(observer.on_send, observer.on_send_end))
        poll = call_hook(observer.polls.on_poll, observer.polls.on_poll_end, scope=current_poll)
        patches.wrap(consumer, "poll", poll)
        patches.wrap(consumer, "commit_async", call_hook(observer.on_commit_async, observer.on_commit_async_end))
        operations: list[tuple[Any, str, str | None]] = [
            *((producer, method, name) for method, name in _PRODUCER_OPERATIONS.items()),
            *((consumer, method, name) for method, name in _CONSUMER_OPERATIONS.items()),
            *((admin, method, None) for method in dir(admin) if _is_operation(admin, method)),
        ]
        for owner, method, name in operations:
            on_operation = partial(observer.operations.on_operation, method, name)
            hook = call_hook(on_operation, observer.operations.on_operation_end, scope=current_operation)
            patches.wrap(owner, method, hook)
        wrap_connections(observer.connections, patches)
        _wrap_unpacking(observer, patches)


def _is_operation(admin: Any, method: str) -> bool:
    return not method.startswith("_") and method not in _NO_CALLS and isinstance(getattr(admin, method), FunctionType)


def _wrap_unpacking(observer: KafkaCallObserver, patches: Patches) -> None:
    """Wrap the methods that turn a fetched batch into messages."""
    fetcher: Any = importlib.import_module("kafka.consumer.fetcher").Fetcher
    portion = getattr(fetcher, "PartitionRecords", None)
    if hasattr(portion, "_unpack_records"):
        patches.wrap(portion, "take", call_hook(observer.on_take))
        patches.wrap(portion, "_deserialize", call_hook(observer.on_deserialize))
    else:
        patches.wrap(fetcher, "_parse_fetched_data", call_hook(observer.on_parse))
        patches.wrap(fetcher, "_deserialize", call_hook(observer.on_deserialize))
    batch: Any = importlib.import_module("kafka.record.default_records").DefaultRecordBatch
    patches.wrap(batch, "_maybe_uncompress", call_hook(observer.on_uncompress, observer.on_uncompress_end))
