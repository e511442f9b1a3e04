"""grpcio, sync and asyncio: unary calls and streams over plain and TLS channels; see ``observer.py``.

Interceptors would be another way, but the app chooses and orders them, and they see no message that they do not unpack.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.grpc import channels
from backwatch.collector.probes.grpc.observer import GrpcCallObserver, InFlightRpc
from backwatch.collector.probes.toolkit.hooks import Decorator, Function, call_hook, function_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

_METHODS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def wrap_call(
    observer: GrpcCallObserver, on_return: Callable[[InFlightRpc, Any], object], *, streams: bool
) -> Decorator:
    """Wrap a call, which is made through a twin of the app's callable.

    Args:
        on_return: Receives what the call returns: the end of a blocking call, else an object to follow.
        streams: The app sends a stream of messages.
    """

    def decorate(original: Function) -> Function:
        def call(callable_: Any, *args: Any, **kwargs: Any) -> Any:
            started = observer.begin(callable_, args, kwargs, streams)
            if started is None:
                return original(callable_, *args, **kwargs)
            twin, in_flight = started
            try:
                result = original(twin, *args, **kwargs)
            except BaseException as error:
                observer.on_error(in_flight, error)
                raise
            on_return(in_flight, result)
            return result

        return call

    return decorate


class GrpcProbe(PatchingProbe[GrpcCallObserver]):
    """grpcio, as a client."""

    name = "grpc"
    module = "grpc"
    label = "grpcio"
    service_kind = "HTTP, clouds, RPC"
    distributions = ("grpcio>=1.49.1",)
    facts = frozenset((
        names.RPC_SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.TRANSPORT, names.OPERATION, names.STATEMENT,
        names.TLS_ESTABLISHED, names.TLS_REQUESTED, names.TLS_REQUESTED_EXPLICIT, names.TLS_VERIFIED, names.ACCOUNT,
        names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED,
        names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
    ))  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wrap the functions that make credentials and channels, and the calls."""
        import grpc
        import grpc._channel as sync
        import grpc.aio
        import grpc.aio._channel as asynchronous

        self._patches = patches = Patches()
        self._observer = observer = GrpcCallObserver(recorder)
        patches.wrap(grpc, "ssl_channel_credentials", function_hook(None, channels.on_tls_credentials))
        patches.wrap(grpc, "composite_channel_credentials", function_hook(None, channels.on_composite_credentials))
        for module in (grpc, grpc.aio, asynchronous):
            patches.wrap(module, "secure_channel", function_hook(None, channels.on_secure_channel))
            patches.wrap(module, "insecure_channel", function_hook(None, channels.on_insecure_channel))
        for channel in (sync.Channel, asynchronous.Channel):
            for name in _METHODS:
                patches.wrap(channel, name, call_hook(None, channels.on_callable))
        unary, stream = sync._UnaryUnaryMultiCallable, sync._StreamUnaryMultiCallable
        for name in ("__call__", "with_call"):
            patches.wrap(unary, name, wrap_call(observer, observer.on_return, streams=False))
            patches.wrap(stream, name, wrap_call(observer, observer.on_return, streams=True))
        patches.wrap(unary, "future", wrap_call(observer, observer.follow, streams=False))
        patches.wrap(stream, "future", wrap_call(observer, observer.follow, streams=True))
        for name in ("_UnaryStreamMultiCallable", "_SingleThreadedUnaryStreamMultiCallable"):
            patches.wrap(getattr(sync, name), "__call__", wrap_call(observer, observer.follow, streams=False))
        patches.wrap(sync._StreamStreamMultiCallable, "__call__", wrap_call(observer, observer.follow, streams=True))
        for name in ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"):
            owner = getattr(asynchronous, f"{name}MultiCallable")
            follow = partial(observer.follow_task, unary=name.endswith("Unary"))
            patches.wrap(owner, "__call__", wrap_call(observer, follow, streams=name.startswith("Stream")))
