"""pika: the blocking connection and every asynchronous one.

All of them speak through ``pika.connection.Connection``: methods are seen where they are written, answers where frames
are read. A message that is published through a blocking channel is one call, told there, because only there the
broker's word on it (returned, refused) is known.
"""

import time
from collections.abc import Callable
from typing import Any, ClassVar

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.amqp.state import FACTS
from backwatch.collector.probes.pika.calls import Watch, worth_telling
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_Function = Callable[..., Any]
_Make = Callable[[_Function], _Function]
_PUBLISH = ("exchange", "routing_key")


def _workflow(watch: Watch) -> _Make:
    """Addresses and attempts one after the other, until one is a connection or none is left."""

    def make(original: _Function) -> _Function:
        def starting(workflow: Any, *args: Any, **options: Any) -> Any:
            if not watch.active:
                return original(workflow, *args, **options)
            configs = options.get("connection_configs", args[0] if args else ())
            on_done: Any = options.get("on_done", args[3] if len(args) > 3 else None)

            def done(result: Any) -> Any:
                if isinstance(result, BaseException):
                    params = configs[-1] if isinstance(configs, (list, tuple)) and configs else None
                    watch.not_made(params, result)
                return on_done(result)

            if callable(on_done):
                if "on_done" in options:
                    options["on_done"] = done
                else:
                    args = (*args[:3], done, *args[4:])
            watch.begins()
            return original(workflow, *args, **options)

        return starting

    return make


def _stream_made(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def made(connection: Any, *args: Any, **options: Any) -> Any:
            watch.stream_made(connection)
            return original(connection, *args, **options)

        return made

    return make


def _stream_ended(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def ended(connection: Any, *args: Any, **options: Any) -> Any:
            watch.stream_ending(connection)
            error: object = args[-1] if args else None
            try:
                return original(connection, *args, **options)
            finally:
                watch.stream_ended(connection, error)

        return ended

    return make


def _send(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def sending(connection: Any, channel_number: Any, method: Any, *args: Any, **options: Any) -> Any:
            if not watch.active or not worth_telling(method):
                return original(connection, channel_number, method, *args, **options)
            start_ns, before = time.time_ns(), getattr(connection, "bytes_sent", 0)
            result = original(connection, channel_number, method, *args, **options)
            watch.sent(connection, channel_number, method, start_ns, getattr(connection, "bytes_sent", 0) - before)
            return result

        return sending

    return make


def _receive(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def receiving(connection: Any, frame: Any) -> Any:
            watch.received(connection, frame)
            return original(connection, frame)

        return receiving

    return make


def _publish(watch: Watch, *, outer: bool) -> _Make:
    """Of a blocking channel (``outer``), or of the channel below it that the other adapters show."""
    begin = watch.outer_publishing if outer else watch.publishing

    def make(original: _Function) -> _Function:
        def publishing(channel: Any, *args: Any, **options: Any) -> Any:
            below = getattr(channel, "_impl", channel) if outer else channel
            before = begin(below)
            if before is None:
                return original(channel, *args, **options)
            given = dict(zip(_PUBLISH, args, strict=False)) | options
            start_ns = time.time_ns()
            try:
                result = original(channel, *args, **options)
            except BaseException as error:
                watch.has_published(below, given, before, start_ns, error)
                raise
            watch.has_published(below, given, before, start_ns, None)
            return result

        return publishing

    return make


def _content(watch: Watch, what: str) -> _Make:
    def make(original: _Function) -> _Function:
        def receiving(channel: Any, method_frame: Any, header_frame: Any, body: Any) -> Any:
            watch.content(channel, what, getattr(method_frame, "method", None), body, header_frame)
            return original(channel, method_frame, header_frame, body)

        return receiving

    return make


class PikaProbe(PatchingProbe[Watch]):
    """pika 1."""

    name: ClassVar[str] = "pika"
    module: ClassVar[str] = "pika"
    distributions: ClassVar[tuple[str, ...]] = ("pika>=1.0",)
    facts: ClassVar[frozenset[str]] = FACTS

    def install(self, recorder: Recorder) -> None:
        """Wraps the connection and the channel that all adapters share, and the blocking channel's publishing."""
        import pika.adapters.utils.connection_workflow as workflow
        from pika.adapters import blocking_connection
        from pika.channel import Channel
        from pika.connection import Connection

        self._patches = patches = Patches()
        self._watch = watch = Watch(recorder)
        patches.wrap(Connection, "_send_method", _send(watch))
        patches.wrap(Connection, "_process_frame", _receive(watch))
        patches.wrap(Channel, "basic_publish", _publish(watch, outer=False))
        patches.wrap(Channel, "_on_deliver", _content(watch, "deliver"))
        patches.wrap(Channel, "_on_getok", _content(watch, "get"))
        patches.wrap(Channel, "_on_return", _content(watch, "return"))
        patches.wrap(blocking_connection.BlockingChannel, "basic_publish", _publish(watch, outer=True))
        patches.wrap(Connection, "_on_stream_connected", _stream_made(watch))
        patches.wrap(Connection, "_on_stream_terminated", _stream_ended(watch))
        patches.wrap(workflow.AMQPConnectionWorkflow, "start", _workflow(watch))
