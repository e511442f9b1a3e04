"""grpcio, sync and asyncio: unary calls and streams over plain and TLS channels; see ``calls.py``.

Interceptors would be one way in, but the app chooses and orders them, and they see no message that they do not unpack.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.grpc.observer import Pending, Watch
from backwatch.collector.probes.grpc.session import KEY, PLAIN, Credentials, Link, credentials_of
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.runtime.guard import never_breaks_the_host

_Function = Callable[..., Any]
_Make = Callable[[_Function], _Function]
_METHODS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


@never_breaks_the_host
def _mark(made: Any, known: object) -> None:
    vars(made)[KEY] = known


@never_breaks_the_host
def _tls_credentials(made: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    chain = args[2] if len(args) > 2 else options.get("certificate_chain")
    _mark(made, Credentials("tls", "certificate" if chain is not None else "none"))


@never_breaks_the_host
def _composite(made: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    below = args[0] if args else options.get("channel_credentials")
    _mark(made, Credentials(credentials_of(below).kind, "call-credentials"))


@never_breaks_the_host
def _secure(made: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    given = dict(zip(("target", "credentials", "options"), args, strict=False)) | options
    _mark(made, Link(given.get("target"), credentials_of(given.get("credentials")), given.get("options")))


@never_breaks_the_host
def _insecure(made: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    _mark(made, Link(args[0] if args else options.get("target"), PLAIN, None))


def _making(learn: Callable[[Any, tuple[Any, ...], dict[str, Any]], object]) -> _Make:
    """A function that makes credentials or a channel: what was made is marked."""

    def make(original: _Function) -> _Function:
        def making(*args: Any, **options: Any) -> Any:
            made = original(*args, **options)
            learn(made, args, options)
            return made

        return making

    return make


@never_breaks_the_host
def _hand_on(channel: Any, callable_: Any) -> None:
    link = vars(channel).get(KEY)
    if link is not None:
        _mark(callable_, link)


def _method(original: _Function) -> _Function:
    def making(channel: Any, *args: Any, **options: Any) -> Any:
        made = original(channel, *args, **options)
        _hand_on(channel, made)
        return made

    return making


def _blocking(watch: Watch, *, streams: bool) -> _Make:
    """A call that returns when it has ended."""

    def make(original: _Function) -> _Function:
        def calling(callable_: Any, *args: Any, **options: Any) -> Any:
            begun = watch.begin(callable_, args, options, streams)
            if begun is None:
                return original(callable_, *args, **options)
            twin, pending = begun
            try:
                result = original(twin, *args, **options)
            except BaseException as error:
                watch.failed(pending, error)
                raise
            watch.tell_well(pending)
            return result

        return calling

    return make


def _going_on(follow: Callable[[Pending, Any], object], watch: Watch, *, streams: bool) -> _Make:
    """A call that returns at once: ``follow`` sees to its end."""

    def make(original: _Function) -> _Function:
        def calling(callable_: Any, *args: Any, **options: Any) -> Any:
            begun = watch.begin(callable_, args, options, streams)
            if begun is None:
                return original(callable_, *args, **options)
            twin, pending = begun
            try:
                result = original(twin, *args, **options)
            except BaseException as error:
                watch.failed(pending, error)
                raise
            follow(pending, result)
            return result

        return calling

    return make


class GrpcProbe(Probe):
    """grpcio, as a client."""

    name: ClassVar[str] = "grpc"
    module: ClassVar[str] = "grpc"
    distributions: ClassVar[tuple[str, ...]] = ("grpcio>=1.49.1",)
    facts: ClassVar[frozenset[str]] = frozenset((
        names.RPC_SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.TRANSPORT, names.OPERATION, names.STATEMENT,
        names.TLS_ESTABLISHED, names.TLS_REQUESTED, names.TLS_REQUESTED_EXPLICIT, names.TLS_VERIFIED, names.ACCOUNT,
        names.AUTH_METHOD, names.BYTES_SENT, names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED,
        names.ROWS_AFFECTED, names.ERROR_TYPE, names.STATUS_CODE,
    ))  # fmt: skip

    _patches: Patches | None = None
    _watch: Watch | None = None

    def install(self, recorder: Recorder) -> None:
        """Wraps the makers of credentials and channels, and the calls."""
        import grpc
        import grpc._channel as sync
        import grpc.aio
        import grpc.aio._channel as waiting

        self._patches = patches = Patches()
        self._watch = watch = Watch(recorder)
        patches.wrap(grpc, "ssl_channel_credentials", _making(_tls_credentials))
        patches.wrap(grpc, "composite_channel_credentials", _making(_composite))
        for module in (grpc, grpc.aio, waiting):
            patches.wrap(module, "secure_channel", _making(_secure))
            patches.wrap(module, "insecure_channel", _making(_insecure))
        for channel in (sync.Channel, waiting.Channel):
            for name in _METHODS:
                patches.wrap(channel, name, _method)
        for name in ("__call__", "with_call"):
            patches.wrap(sync._UnaryUnaryMultiCallable, name, _blocking(watch, streams=False))
            patches.wrap(sync._StreamUnaryMultiCallable, name, _blocking(watch, streams=True))
        patches.wrap(sync._UnaryUnaryMultiCallable, "future", _going_on(watch.follow, watch, streams=False))
        patches.wrap(sync._StreamUnaryMultiCallable, "future", _going_on(watch.follow, watch, streams=True))
        for name in ("_UnaryStreamMultiCallable", "_SingleThreadedUnaryStreamMultiCallable"):
            patches.wrap(getattr(sync, name), "__call__", _going_on(watch.follow, watch, streams=False))
        patches.wrap(sync._StreamStreamMultiCallable, "__call__", _going_on(watch.follow, watch, streams=True))
        for name in ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"):
            owner = getattr(waiting, f"{name}MultiCallable")
            follow = partial(watch.follow_task, unary=name.endswith("Unary"))
            patches.wrap(owner, "__call__", _going_on(follow, watch, streams=name.startswith("Stream")))

    def remove(self) -> None:
        """Restores them; what is still on its way is not told any more."""
        if self._patches is not None:
            self._patches.restore()
        if self._watch is not None:
            self._watch.recorder = None
