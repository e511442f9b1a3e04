"""kafka-python 2.0 to 3.x, and its fork kafka-python-ng: producers, consumers, administration, connections to brokers.

A message is told when it is acknowledged, one record for each; what is polled, one record for each poll and topic. The
clients of Backwatch's own stream, and its topics, are never told: they would report their own reports.
"""

import importlib
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.kafka.calls import KafkaWatch
from backwatch.collector.probes.kafka.wraps import wrap_connections, wrap_unpacking
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_Make = Callable[[Callable[..., Any]], Callable[..., Any]]

_TRANSACTIONS: Final = ("init_transactions", "send_offsets_to_transaction", "commit_transaction", "abort_transaction")
_QUESTIONS: Final = {
    "beginning_offsets": "partitions", "end_offsets": "partitions", "offsets_for_times": "timestamps",
    "committed": "partition", "topics": "",
}  # fmt: skip
"""What a consumer asks the brokers: method, and the argument that names topics."""
_NO_CALLS: Final = frozenset(("close", "get_broker_version_data"))


def _sending(watch: KafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def send(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = watch.began(self)
            try:
                future = original(self, *args, **kwargs)
            except BaseException as error:
                if start_ns:
                    watch.sent(self, start_ns, argument(args, kwargs, 0, "topic"), None, error)
                raise
            if start_ns:
                watch.sent(self, start_ns, argument(args, kwargs, 0, "topic"), future, None)
            return future

        return send

    return make


def _polling(watch: KafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def poll(self: Any, *args: Any, **kwargs: Any) -> Any:
            turn = watch.polling(self)
            if turn is None:
                return original(self, *args, **kwargs)
            try:
                found = original(self, *args, **kwargs)
            except BaseException as error:
                watch.polled(self, turn, None, error)
                raise
            watch.polled(self, turn, found, None)
            return found

        return poll

    return make


def _asking(watch: KafkaWatch, operation: str, name: str) -> _Make:
    """Wraps a method that waits for its answer; its first argument may name topics or groups."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = watch.began(self)
            if not start_ns:
                return original(self, *args, **kwargs)
            first = args[0] if args else kwargs.get(name) if name else next(iter(kwargs.values()), None)
            watch.threads.inside += 1
            try:
                result = original(self, *args, **kwargs)
            except BaseException as error:
                watch.threads.inside -= 1
                watch.done(self, start_ns, operation, first, error)
                raise
            watch.threads.inside -= 1
            watch.done(self, start_ns, operation, first, None)
            return result

        return wrapper

    return make


def _promising(watch: KafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def commit_async(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns, first = watch.began(self), argument(args, kwargs, 0, "offsets")
            try:
                future = original(self, *args, **kwargs)
            except BaseException as error:
                if start_ns:
                    watch.done(self, start_ns, "commit", first, error)
                raise
            if start_ns:
                watch.awaited(self, start_ns, "commit", first, future)
            return future

        return commit_async

    return make


class KafkaProbe(PatchingProbe[KafkaWatch]):
    """kafka-python: producers, consumers, administrators and their connections."""

    name: ClassVar[str] = "kafka"
    module: ClassVar[str] = "kafka"
    distributions: ClassVar[tuple[str, ...]] = ("kafka-python>=2.0.2", "kafka-python-ng>=2.2.3")
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.MESSAGING_SYSTEM, names.MESSAGING_DESTINATION, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION,
        names.STATEMENT, names.ACCOUNT, names.SERVER_VERSION, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ERROR_TYPE, names.STATUS_CODE,
        names.TOPOLOGY, names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE,
        names.MESSAGE_FORMS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the driver's classes."""
        kafka: Any = importlib.import_module("kafka")
        if not hasattr(kafka, "KafkaProducer"):
            return  # a module of the app's own that bears the same name
        self._watch, self._patches = watch, patches = KafkaWatch(recorder), Patches()
        patches.wrap(kafka.KafkaProducer, "send", _sending(watch))
        for method in _TRANSACTIONS:
            patches.wrap(kafka.KafkaProducer, method, _asking(watch, method, "offsets"))
        consumer = kafka.KafkaConsumer
        patches.wrap(consumer, "poll", _polling(watch))
        patches.wrap(consumer, "commit", _asking(watch, "commit", "offsets"))
        patches.wrap(consumer, "commit_async", _promising(watch))
        for method, name in _QUESTIONS.items():
            patches.wrap(consumer, method, _asking(watch, method, name or "-"))
        _wrap_administration(watch, patches, kafka.KafkaAdminClient)
        wrap_connections(watch, patches)
        wrap_unpacking(watch, patches)


def _wrap_administration(watch: KafkaWatch, patches: Patches, admin: type) -> None:
    for method in dir(admin):
        if not method.startswith("_") and method not in _NO_CALLS and isinstance(getattr(admin, method), FunctionType):
            patches.wrap(admin, method, _asking(watch, method, ""))
