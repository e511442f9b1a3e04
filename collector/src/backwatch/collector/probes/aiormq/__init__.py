"""aiormq, and with it aio-pika, whose every message and request goes through it: one call each, told here only."""

from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.aiormq.calls import Watch
from backwatch.collector.probes.families.amqp.state import FACTS
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_Function = Callable[..., Any]
_Make = Callable[[_Function], _Function]


def _connect(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def connecting(connection: Any, *args: Any, **options: Any) -> Any:
            begun = watch.connecting()
            if begun is None:
                return await original(connection, *args, **options)
            try:
                result = await original(connection, *args, **options)
            except BaseException as error:
                watch.connected(connection, begun, error)
                raise
            watch.connected(connection, begun, None)
            return result

        return connecting

    return make


def _speak(watch: Watch) -> _Make:
    """A static method: the first requests of a connection, with the stream that they are written to."""

    def make(original: _Function) -> _Function:
        async def speaking(*args: Any, **options: Any) -> Any:
            watch.speaking(
                options.get("request", args[0] if args else None),
                options.get("writer", args[1] if len(args) > 1 else None),
            )
            return await original(*args, **options)

        return speaking

    return make


def _ask(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def asking(channel: Any, *args: Any, **options: Any) -> Any:
            one = watch.asking(channel, options.get("frame", args[0] if args else None))
            if one is None:
                return await original(channel, *args, **options)
            try:
                answer = await original(channel, *args, **options)
            except BaseException as error:
                watch.has_answer(channel, one, None, error)
                raise
            watch.has_answer(channel, one, answer, None)
            return answer

        return asking

    return make


def _publish(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def publishing(channel: Any, *args: Any, **options: Any) -> Any:
            start_ns = watch.begin(channel)
            if start_ns is None:
                return await original(channel, *args, **options)
            body = options.get("body", args[0] if args else None)
            try:
                result = await original(channel, *args, **options)
            except BaseException as error:
                watch.has_published(channel, body, options, start_ns, error)
                raise
            watch.has_published(channel, body, options, start_ns, None)
            return result

        return publishing

    return make


def _get(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def getting(channel: Any, *args: Any, **options: Any) -> Any:
            start_ns = watch.begin(channel)
            if start_ns is None:
                return await original(channel, *args, **options)
            queue = options.get("queue", args[0] if args else "")
            try:
                message = await original(channel, *args, **options)
            except BaseException as error:
                watch.has_got(channel, queue, start_ns, None, error)
                raise
            watch.has_got(channel, queue, start_ns, message, None)
            return message

        return getting

    return make


def _content(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def reading(channel: Any, frame: Any, header: Any) -> Any:
            message = await original(channel, frame, header)
            watch.content(channel, frame, message)
            return message

        return reading

    return make


def _frame(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def reading(channel: Any) -> Any:
            frame = await original(channel)
            watch.frame(channel, frame)
            return frame

        return reading

    return make


def _notice(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def noticing(connection: Any, frame: Any) -> Any:
            watch.notice(connection)
            return await original(connection, frame)

        return noticing

    return make


class AiormqProbe(PatchingProbe[Watch]):
    """aiormq 6 and 7; aio-pika 7 to 10 through it."""

    name: ClassVar[str] = "aiormq"
    module: ClassVar[str] = "aiormq"
    distributions: ClassVar[tuple[str, ...]] = ("aiormq>=6.2.3",)
    facts: ClassVar[frozenset[str]] = FACTS

    def install(self, recorder: Recorder) -> None:
        """Wraps the connection's start and what a channel sends and reads."""
        from aiormq.channel import Channel
        from aiormq.connection import Connection

        self._patches = patches = Patches()
        self._watch = watch = Watch(recorder)
        patches.wrap(Connection, "connect", _connect(watch))
        patches.wrap(Connection, "_rpc", _speak(watch))
        patches.wrap(Connection, "_Connection__handle_connection_blocked", _notice(watch))
        patches.wrap(Connection, "_Connection__handle_connection_unblocked", _notice(watch))
        patches.wrap(Channel, "rpc", _ask(watch))
        patches.wrap(Channel, "basic_publish", _publish(watch))
        patches.wrap(Channel, "basic_get", _get(watch))
        patches.wrap(Channel, "_read_content", _content(watch))
        patches.wrap(Channel, "_get_frame", _frame(watch))
