"""nats-py: connections over TCP, TLS and WebSockets, core NATS and JetStream.

All of JetStream goes through a client's ``publish``, ``request`` and subscriptions: its management is told as requests
to the subjects it consists of, a message to a stream as one call with its acknowledgement.
"""

import importlib
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, ClassVar
from weakref import ref

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.nats.calls import NatsWatch
from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime.context_variables import reset_variable

_Make = Callable[[Callable[..., Any]], Callable[..., Any]]


def _selecting(watch: NatsWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            before = watch.opener.set(ref(self))
            try:
                return await original(self, *args, **kwargs)
            finally:
                reset_variable(watch.opener, before)

        return wrapper

    return make


def _opening(watch: NatsWatch) -> _Make:
    """A transport; it does not know whose it is. TLS inside a connection is the next step's business."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def connect(self: Any, uri: Any, *args: Any, **kwargs: Any) -> Any:
            opener = watch.opener.get()
            client = opener() if opener is not None else None
            if client is None or watch.recorder is None or not hasattr(uri, "hostname"):
                return await original(self, uri, *args, **kwargs)
            watch.opening(client, uri)
            try:
                return await original(self, uri, *args, **kwargs)
            except BaseException as error:
                watch.not_opened(client, error)
                raise

        return connect

    return make


def _connecting(watch: NatsWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _process_connect_init(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                result = await original(self, *args, **kwargs)
            except BaseException as error:
                watch.not_connected(self, error)
                raise
            watch.connected(self)
            return result

        return _process_connect_init

    return make


def _informed(watch: NatsWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _process_info(self: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
            if not argument(args, kwargs, 0, "initial_connection"):  # that belongs to the connect
                watch.informed(self, info)
            return original(self, info, *args, **kwargs)

        return _coroutine(_process_info) if iscoroutinefunction(original) else _process_info

    return make


def _coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


def _refused(watch: NatsWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _process_err(self: Any, *args: Any, **kwargs: Any) -> Any:
            watch.refused(self, argument(args, kwargs, 0, "err_msg"))
            return await original(self, *args, **kwargs)

        return _process_err

    return make


def _publishing(watch: NatsWatch, client_of: Callable[[Any], Any], headers_at: int) -> _Make:
    """Of a client, or of JetStream, which waits for the acknowledgement."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def publish(self: Any, *args: Any, **kwargs: Any) -> Any:
            subject = argument(args, kwargs, 0, "subject")
            start_ns = watch.began(subject)
            if not start_ns:
                return await original(self, *args, **kwargs)
            payload, headers = argument(args, kwargs, 1, "payload"), argument(args, kwargs, headers_at, "headers")
            before = watch.inside.set(True)
            try:
                result = await original(self, *args, **kwargs)
            except BaseException as error:
                watch.sent(client_of(self), start_ns, subject, payload, headers, error)
                raise
            else:
                watch.sent(client_of(self), start_ns, subject, payload, headers, None)
                return result
            finally:
                reset_variable(watch.inside, before)

        return publish

    return make


def _requesting(watch: NatsWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
            subject = argument(args, kwargs, 0, "subject")
            start_ns = watch.began(subject)
            if not start_ns:
                return await original(self, *args, **kwargs)
            payload, headers = argument(args, kwargs, 1, "payload"), argument(args, kwargs, 4, "headers")
            before = watch.inside.set(True)
            try:
                reply = await original(self, *args, **kwargs)
            except BaseException as error:
                watch.answered(self, start_ns, subject, payload, headers, None, error)
                raise
            else:
                watch.answered(self, start_ns, subject, payload, headers, reply, None)
                return reply
            finally:
                reset_variable(watch.inside, before)

        return request

    return make


def _subscribing(watch: NatsWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def subscribe(self: Any, *args: Any, **kwargs: Any) -> Any:
            # Within a request too: only here may tasks be made that live on, and they must not be inside of it.
            start_ns, subject = watch.began(), argument(args, kwargs, 0, "subject")
            before = watch.inside.set(False)
            try:
                result = await original(self, *args, **kwargs)
            except BaseException as error:
                if start_ns:
                    watch.subscribed(self, start_ns, subject, error)
                raise
            else:
                if start_ns:
                    watch.subscribed(self, start_ns, subject, None)
                return result
            finally:
                reset_variable(watch.inside, before)

        return subscribe

    return make


def _reading(watch: NatsWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _process_msg(self: Any, sid: Any, *args: Any, **kwargs: Any) -> Any:
            watch.coming(self, sid)
            try:
                return await original(self, sid, *args, **kwargs)
            finally:
                watch.coming(self, None)

        return _process_msg

    return make


def _building(watch: NatsWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _build_message(self: Any, *args: Any, **kwargs: Any) -> Any:
            if len(args) >= 4:  # the subscription's number, in some versions, and what stands here
                watch.delivered(self, *args[-4:])
            return original(self, *args, **kwargs)

        return _build_message

    return make


def _closing(watch: NatsWatch) -> _Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def _close(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return await original(self, *args, **kwargs)
            finally:
                watch.flush(self)

        return _close

    return make


class NatsProbe(PatchingProbe[NatsWatch]):
    """nats-py: publishing, subscriptions, requests, JetStream."""

    name: ClassVar[str] = "nats"
    module: ClassVar[str] = "nats"
    distributions: ClassVar[tuple[str, ...]] = ("nats-py>=2.2",)
    facts: ClassVar[frozenset[str]] = names.OVER_TLS | {
        names.MESSAGING_SYSTEM, names.MESSAGING_DESTINATION, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION,
        names.STATEMENT, names.ACCOUNT, names.SERVER_VERSION, names.SERVER_ID, names.AUTH_METHOD, names.BYTES_SENT,
        names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ROWS_RETURNED, names.ERROR_TYPE, names.TOPOLOGY,
        names.PAYLOAD_FORMAT, names.PAYLOAD_GLOBALS, names.REDELIVERED, names.RESPONSE_INDICATORS,
    }  # fmt: skip

    def install(self, recorder: Recorder) -> None:
        """Wraps the client, its transports, and JetStream's publishing."""
        client: Any = importlib.import_module("nats.aio.client").Client
        transports: Any = importlib.import_module("nats.aio.transport")
        stream: Any = importlib.import_module("nats.js.client").JetStreamContext
        self._watch, self._patches = watch, patches = NatsWatch(recorder), Patches()
        for method in ("_select_next_server", "_connect_to_server"):
            patches.wrap(client, method, _selecting(watch))
        for transport in (transports.TcpTransport, transports.WebSocketTransport):
            patches.wrap(transport, "connect", _opening(watch))
        patches.wrap(transports.WebSocketTransport, "connect_tls", _opening(watch))
        patches.wrap(client, "_process_connect_init", _connecting(watch))
        patches.wrap(client, "_process_info", _informed(watch))
        patches.wrap(client, "_process_err", _refused(watch))
        patches.wrap(client, "publish", _publishing(watch, lambda it: it, 3))
        patches.wrap(stream, "publish", _publishing(watch, lambda it: it._nc, 4))
        patches.wrap(client, "request", _requesting(watch))
        patches.wrap(client, "subscribe", _subscribing(watch))
        patches.wrap(client, "_process_msg", _reading(watch))
        patches.wrap(client, "_build_message", _building(watch))
        patches.wrap(client, "_close", _closing(watch))
