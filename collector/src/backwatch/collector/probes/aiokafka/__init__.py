"""aiokafka 0.10 and up: producers, consumers, administration, connections to brokers.

A message is told when it is acknowledged, one record for each, or for each batch that the app made itself. Messages
that are taken one by one are told together. The brokers' version is unknown: the driver negotiates each request alone.
"""

import importlib
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, ClassVar, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.aiokafka.calls import AiokafkaWatch
from backwatch.collector.probes.aiokafka.wraps import wrap_connections, wrap_unpacking
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime.context_variables import reset_variable

_Make = Callable[[Callable[..., Any]], Callable[..., Any]]

_TRANSACTIONS: Final = ("commit_transaction", "abort_transaction", "send_offsets_to_transaction")
_QUESTIONS: Final = ("commit", "committed", "topics", "offsets_for_times", "beginning_offsets", "end_offsets")
"""What a consumer asks the brokers; the first argument may name topics."""
_NO_CALLS: Final = frozenset(("close", "start"))


def _sending(watch: AiokafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def send(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = watch.began(self)
            if not start_ns:
                return await original(self, *args, **kwargs)
            topic, headers = argument(args, kwargs, 0, "topic"), argument(args, kwargs, 5, "headers")
            before = watch.size.set(-1)
            try:
                future = await original(self, *args, **kwargs)
            except BaseException as error:
                watch.sent(self, start_ns, topic, headers, None, error)
                raise
            else:
                watch.sent(self, start_ns, topic, headers, future, None)
                return future
            finally:
                reset_variable(watch.size, before)

        return send

    return make


def _sending_batch(watch: AiokafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def send_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = watch.began(self)
            batch, topic = argument(args, kwargs, 0, "batch"), argument(args, kwargs, 1, "topic")
            try:
                future = await original(self, *args, **kwargs)
            except BaseException as error:
                if start_ns:
                    watch.sent_batch(self, start_ns, topic, batch, None, error)
                raise
            if start_ns:
                watch.sent_batch(self, start_ns, topic, batch, future, None)
            return future

        return send_batch

    return make


def _polling(watch: AiokafkaWatch, *, many: bool) -> _Make:
    tell = watch.polled if many else watch.took

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def poll(self: Any, *args: Any, **kwargs: Any) -> Any:
            turn = watch.polling(self)
            if turn is None:
                return await original(self, *args, **kwargs)
            before = watch.turn.set(turn)
            try:
                found = await original(self, *args, **kwargs)
            except BaseException as error:
                tell(self, turn, None, error)
                raise
            else:
                tell(self, turn, found, None)
                return found
            finally:
                reset_variable(watch.turn, before)

        return poll

    return make


def _asking(watch: AiokafkaWatch, operation: str) -> _Make:
    """Wraps a method that waits for its answer; its first argument may name topics or groups."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start_ns = watch.began(self)
            if not start_ns:
                return await original(self, *args, **kwargs)
            first = args[0] if args else next(iter(kwargs.values()), None)
            before = watch.inside.set(True)
            try:
                result = await original(self, *args, **kwargs)
            except BaseException as error:
                watch.done(self, start_ns, operation, first, error)
                raise
            else:
                watch.done(self, start_ns, operation, first, None)
                return result
            finally:
                reset_variable(watch.inside, before)

        return wrapper

    return make


def _stopping(watch: AiokafkaWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def stop(self: Any, *args: Any, **kwargs: Any) -> Any:
            watch.flush(self)
            return await original(self, *args, **kwargs)

        return stop

    return make


class AiokafkaProbe(PatchingProbe[AiokafkaWatch]):
    """aiokafka: producers, consumers, administrators and their connections."""

    name: ClassVar[str] = "aiokafka"
    module: ClassVar[str] = "aiokafka"
    distributions: ClassVar[tuple[str, ...]] = ("aiokafka>=0.10",)
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.MESSAGING_SYSTEM, names.MESSAGING_DESTINATION, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION,
        names.STATEMENT, names.ACCOUNT, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED,
        names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
        names.TOPOLOGY, names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE,
        names.MESSAGE_FORMS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the driver's classes."""
        aiokafka: Any = importlib.import_module("aiokafka")
        self._watch, self._patches = watch, patches = AiokafkaWatch(recorder), Patches()
        patches.wrap(aiokafka.AIOKafkaProducer, "send", _sending(watch))
        patches.wrap(aiokafka.AIOKafkaProducer, "send_batch", _sending_batch(watch))
        for method in _TRANSACTIONS:
            patches.wrap(aiokafka.AIOKafkaProducer, method, _asking(watch, method))
        consumer: Any = aiokafka.AIOKafkaConsumer
        patches.wrap(consumer, "getone", _polling(watch, many=False))
        patches.wrap(consumer, "getmany", _polling(watch, many=True))
        patches.wrap(consumer, "stop", _stopping(watch))
        for method in _QUESTIONS:
            patches.wrap(consumer, method, _asking(watch, method))
        admin: Any = importlib.import_module("aiokafka.admin").AIOKafkaAdminClient
        for method in dir(admin):
            if not method.startswith("_") and method not in _NO_CALLS and iscoroutinefunction(getattr(admin, method)):
                patches.wrap(admin, method, _asking(watch, method))
        wrap_connections(watch, patches)
        wrap_unpacking(watch, patches)
