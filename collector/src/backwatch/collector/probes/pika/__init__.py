"""pika: the blocking connection and every asynchronous one.

All of them use ``pika.connection.Connection``: methods are seen where they are written, responses where frames are
read. A message that is published through a blocking channel is one call, recorded there, because only there the
broker's response to it (returned, refused) is known.
"""

from typing import Any

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.amqp.session import FACTS
from backwatch.collector.probes.pika.observer import PikaCallObserver
from backwatch.collector.probes.toolkit.hooks import Decorator, Function, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


def _wrap_start(observer: PikaCallObserver) -> Decorator:
    """Wrap the workflow that tries addresses in turn, until it has a connection or none is left."""

    def wrap_start(original: Function) -> Function:
        def start(workflow: Any, *args: Any, **kwargs: Any) -> Any:
            if not observer.amqp.active:
                return original(workflow, *args, **kwargs)
            configs = kwargs.get("connection_configs", args[0] if args else ())
            on_done: Any = kwargs.get("on_done", args[3] if len(args) > 3 else None)
            if callable(on_done):

                def report_and_call(result: Any) -> Any:
                    if isinstance(result, BaseException):
                        parameters = configs[-1] if isinstance(configs, (list, tuple)) and configs else None
                        observer.on_connect_failed(parameters, result)
                    return on_done(result)

                if "on_done" in kwargs:
                    kwargs["on_done"] = report_and_call
                else:
                    args = (*args[:3], report_and_call, *args[4:])
            observer.on_connect()
            return original(workflow, *args, **kwargs)

        return start

    return wrap_start


class PikaProbe(PatchingProbe[PikaCallObserver]):
    """pika 1."""

    name = "pika"
    module = "pika"
    label = "pika"
    service_kind = "Queues"
    distributions = ("pika>=1.0",)
    facts = FACTS

    def install(self, recorder: Recorder) -> None:
        """Wrap the connection and the channel that all adapters share, and the blocking channel's publishing."""
        import pika.adapters.utils.connection_workflow as workflow
        from pika.adapters.blocking_connection import BlockingChannel
        from pika.channel import Channel
        from pika.connection import Connection

        self._patches = patches = Patches()
        self._observer = observer = PikaCallObserver(recorder)
        publish = call_hook(observer.on_publish, observer.on_publish_end)
        for owner, method, hook in (
            (Connection, "_send_method", call_hook(observer.on_send, observer.on_send_end)),
            (Connection, "_process_frame", call_hook(observer.on_frame)),
            (Channel, "basic_publish", publish),
            (BlockingChannel, "basic_publish", publish),
            (Channel, "_on_deliver", call_hook(observer.on_deliver)),
            (Channel, "_on_getok", call_hook(observer.on_get_ok)),
            (Channel, "_on_return", call_hook(observer.on_return)),
            (Connection, "_on_stream_connected", call_hook(observer.on_stream_open)),
            (Connection, "_on_stream_terminated", call_hook(observer.on_stream_close, observer.on_stream_close_end)),
            (workflow.AMQPConnectionWorkflow, "start", _wrap_start(observer)),
        ):
            patches.wrap(owner, method, hook)
