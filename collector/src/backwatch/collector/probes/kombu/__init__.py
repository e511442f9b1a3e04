"""kombu, and with it Celery: what apps send and workers receive, over RabbitMQ (py-amqp) and Redis.

A message of Celery's is one call however it travels. Over RabbitMQ it is told where py-amqp sends it, which no probe
but this one watches. Over Redis, Redis' probe hands over the command that carried it: the call then has its session
and bytes, and kombu's words for what it was. Other transports (SQS, databases) are told by their own drivers' probes.

kombu loads a transport when a connection first wants it, so its classes are wrapped then: nothing is imported here.
"""

import sys
from collections.abc import Callable
from typing import Any, ClassVar, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.amqp.state import FACTS
from backwatch.collector.probes.families.redis.claims import claiming
from backwatch.collector.probes.kombu.calls import Watch, with_task
from backwatch.collector.probes.kombu.pyamqp_calls import METHODS
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.redaction import amqp as redact
from backwatch.collector.runtime.guard import never_breaks_the_host

_Function = Callable[..., Any]
_Make = Callable[[_Function], _Function]


def _create_transport(wrap_loaded: Callable[[], object]) -> _Make:
    def make(original: _Function) -> _Function:
        def creating(connection: Any, *args: Any, **options: Any) -> Any:
            transport = original(connection, *args, **options)
            wrap_loaded()
            return transport

        return creating

    return make


def _connect(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def connecting(connection: Any, *args: Any, **options: Any) -> Any:
            link = watch.connecting(connection)
            if link is None:
                return original(connection, *args, **options)
            try:
                result = original(connection, *args, **options)
            except BaseException as error:
                watch.connected(connection, link, error)
                raise
            watch.connected(connection, link, None)
            return result

        return connecting

    return make


def _speak(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def sending(connection: Any, sig: Any, format: Any = None, args: Any = None, **options: Any) -> Any:  # noqa: A002  py-amqp's name
            watch.speaking(connection, sig, args)
            return original(connection, sig, format, args, **options)

        return sending

    return make


def _method(watch: Watch, name: str) -> _Make:
    wanted = METHODS[name][1]

    def make(original: _Function) -> _Function:
        def asking(channel: Any, *args: Any, **options: Any) -> Any:
            begun = watch.begin(channel)
            if begun is None:
                return original(channel, *args, **options)
            given = dict(zip(wanted, args, strict=False)) | options
            try:
                answer = original(channel, *args, **options)
            except BaseException as error:
                watch.ended(begun, name, given, None, error)
                raise
            watch.ended(begun, name, given, answer, None)
            return answer

        return asking

    return make


@never_breaks_the_host
def _statement(message: Any, given: dict[str, Any]) -> str:
    headers = getattr(message, "properties", {}).get("application_headers")
    return with_task(f"PUBLISH {redact.redact_route(given.get('exchange', ''), given.get('routing_key', ''))}", headers)


def _publish(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def publishing(channel: Any, *args: Any, **options: Any) -> Any:
            begun = watch.begin(channel)
            if begun is None:
                return original(channel, *args, **options)
            given = dict(zip(("msg", "exchange", "routing_key"), args, strict=False)) | options
            message = given.get("msg")
            try:
                result = original(channel, *args, **options)
            except BaseException as error:
                watch.published_by(begun, message, given, _statement(message, given) or "", error)
                raise
            watch.published_by(begun, message, given, _statement(message, given) or "", None)
            return result

        return publishing

    return make


def _put(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def publishing(channel: Any, *args: Any, **options: Any) -> Any:
            begun = watch.putting()
            if begun is None:
                return original(channel, *args, **options)
            given = dict(zip(("message", "exchange", "routing_key"), args, strict=False)) | options
            try:
                with claiming(begun[0]):
                    result = original(channel, *args, **options)
            except BaseException as error:
                watch.put(channel, given.get("message"), given, begun, error)
                raise
            watch.put(channel, given.get("message"), given, begun, None)
            return result

        return publishing

    return make


def _poll(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def polling(channel: Any, *args: Any, **options: Any) -> Any:
            claim = watch.polling()
            if claim is None:
                return original(channel, *args, **options)
            try:
                with claiming(claim):
                    return original(channel, *args, **options)
            finally:
                watch.polled(claim)

        return polling

    return make


def _arrive(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def receiving(consumer: Any, message: Any) -> Any:
            watch.arrived(consumer, message)
            return original(consumer, message)

        return receiving

    return make


def _notice(watch: Watch, *, of_channel: bool) -> _Make:
    def make(original: _Function) -> _Function:
        def noticing(owner: Any, *args: Any, **options: Any) -> Any:
            watch.notice(getattr(owner, "connection", None) if of_channel else owner)
            return original(owner, *args, **options)

        return noticing

    return make


def _close(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def closing(channel: Any, reply_code: Any, reply_text: Any, *args: Any, **options: Any) -> Any:
            watch.closed(channel, reply_code, reply_text)
            return original(channel, reply_code, reply_text, *args, **options)

        return closing

    return make


def _return(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def returning(
            channel: Any, reply_code: Any, reply_text: Any, exchange: Any, routing_key: Any, message: Any
        ) -> Any:
            watch.came_back(channel, reply_code, reply_text, exchange, routing_key)
            return original(channel, reply_code, reply_text, exchange, routing_key, message)

        return returning

    return make


class KombuProbe(PatchingProbe[Watch]):
    """kombu 5, and Celery 5 through it; kombu 4 does not load under the Pythons that we run on."""

    name: ClassVar[str] = "kombu"
    module: ClassVar[str] = "kombu.connection"
    distributions: ClassVar[tuple[str, ...]] = ("kombu>=5.0",)
    facts: ClassVar[frozenset[str]] = FACTS | {names.DB_SYSTEM}

    def install(self, recorder: Recorder) -> None:
        """Wraps what makes transports, and the transports that are there already."""
        from kombu.connection import Connection

        self._patches = patches = Patches()
        self._watch = Watch(recorder)
        self._wrapped: set[str] = set()
        patches.wrap(Connection, "create_transport", _create_transport(self._wrap_loaded))
        self._wrap_loaded()

    @never_breaks_the_host
    def _wrap_loaded(self) -> None:
        watch, patches = self._watch, self._patches
        if watch is None or patches is None or not watch.active:
            return
        for (module, class_), wrap in _WRAPS.items():
            loaded = sys.modules.get(module)
            if module not in self._wrapped and hasattr(loaded, class_):
                self._wrapped.add(module)
                wrap(watch, patches, loaded)


def _wrap_messaging(watch: Watch, patches: Patches, messaging: Any) -> None:
    patches.wrap(messaging.Consumer, "_receive_callback", _arrive(watch))


def _wrap_redis(watch: Watch, patches: Patches, transport: Any) -> None:
    patches.wrap(transport.Channel, "basic_publish", _put(watch))
    patches.wrap(transport.Channel, "_brpop_read", _poll(watch))


def _wrap_pyamqp(watch: Watch, patches: Patches, module: Any) -> None:
    connection, channel = sys.modules["amqp.connection"].Connection, module.Channel  # type: ignore[attr-defined]
    patches.wrap(connection, "connect", _connect(watch))
    patches.wrap(connection, "send_method", _speak(watch))
    patches.wrap(connection, "_on_blocked", _notice(watch, of_channel=False))
    patches.wrap(connection, "_on_unblocked", _notice(watch, of_channel=False))
    for name in METHODS:
        patches.wrap(channel, name, _method(watch, name))
    patches.wrap(channel, "basic_publish", _publish(watch))
    patches.wrap(channel, "basic_publish_confirm", _publish(watch))
    patches.wrap(channel, "_on_basic_return", _return(watch))
    patches.wrap(channel, "_on_basic_cancel", _notice(watch, of_channel=True))
    patches.wrap(channel, "_on_close", _close(watch))


_WRAPS: Final = {
    ("kombu.messaging", "Consumer"): _wrap_messaging,
    ("amqp.channel", "Channel"): _wrap_pyamqp,
    ("kombu.transport.redis", "Channel"): _wrap_redis,
}
"""What is wrapped of which module, once its class is there."""
