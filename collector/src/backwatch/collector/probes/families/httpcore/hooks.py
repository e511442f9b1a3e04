"""Wrappers around httpcore's connections and httpx's clients; the library and its fork differ by their names alone."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from backwatch.collector.probes.families.httpcore.calls import Sender, Watch
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.runtime.context_variables import reset_variable

_Function = Callable[..., Any]
_Make = Callable[[_Function], _Function]


def _connect(watch: Watch, *, waits: bool) -> _Make:
    def make(original: _Function) -> _Function:
        def connecting(connection: Any, *args: Any, **options: Any) -> Any:
            start_ns = time.time_ns()
            try:
                stream = original(connection, *args, **options)
            except BaseException as error:
                watch.connect_failed(connection, start_ns, error)
                raise
            watch.connected(connection, stream, start_ns)
            return stream

        async def awaiting(connection: Any, *args: Any, **options: Any) -> Any:
            start_ns = time.time_ns()
            try:
                stream = await original(connection, *args, **options)
            except BaseException as error:
                watch.connect_failed(connection, start_ns, error)
                raise
            watch.connected(connection, stream, start_ns)
            return stream

        return awaiting if waits else connecting

    return make


def _through_a_proxy(watch: Watch, *, waits: bool) -> _Make:
    def make(original: _Function) -> _Function:
        def tunnelling(connection: Any, *args: Any, **options: Any) -> Any:
            tunnel = watch.tunnelling(connection)
            if tunnel is None:
                return original(connection, *args, **options)
            token = watch.tunnel.set(tunnel)
            try:
                return original(connection, *args, **options)
            except BaseException as error:
                watch.tunnel_failed(tunnel, error)
                raise
            finally:
                reset_variable(watch.tunnel, token)

        async def awaiting(connection: Any, *args: Any, **options: Any) -> Any:
            tunnel = watch.tunnelling(connection)
            if tunnel is None:
                return await original(connection, *args, **options)
            token = watch.tunnel.set(tunnel)
            try:
                return await original(connection, *args, **options)
            except BaseException as error:
                watch.tunnel_failed(tunnel, error)
                raise
            finally:
                reset_variable(watch.tunnel, token)

        return awaiting if waits else tunnelling

    return make


def _request(watch: Watch, *, waits: bool, shared: bool) -> _Make:
    def make(original: _Function) -> _Function:
        def requesting(connection: Any, request: Any, *args: Any, **options: Any) -> Any:
            exchange = watch.begin(connection, request, shared=shared)
            if exchange is None:
                return original(connection, request, *args, **options)
            try:
                response = original(connection, request, *args, **options)
            except BaseException as error:
                watch.failed(exchange, error)
                raise
            watch.answered(exchange, response)
            return response

        async def awaiting(connection: Any, request: Any, *args: Any, **options: Any) -> Any:
            exchange = watch.begin(connection, request, shared=shared)
            if exchange is None:
                return await original(connection, request, *args, **options)
            try:
                response = await original(connection, request, *args, **options)
            except BaseException as error:
                watch.failed(exchange, error)
                raise
            watch.answered(exchange, response)
            return response

        return awaiting if waits else requesting

    return make


def _close(watch: Watch, *, waits: bool) -> _Make:
    def make(original: _Function) -> _Function:
        def closing(stream: Any) -> Any:
            watch.ends(stream)
            return original(stream)

        async def awaiting(stream: Any) -> Any:
            watch.ends(stream)
            return await original(stream)

        return awaiting if waits else closing

    return make


def _send(watch: Watch, *, waits: bool) -> _Make:
    def make(original: _Function) -> _Function:
        def sending(client: Any, *args: Any, **options: Any) -> Any:
            sender = Sender(client)
            token = watch.sender.set(sender)
            try:
                response = original(client, *args, **options)
            finally:
                reset_variable(watch.sender, token)
            watch.returned(sender, response)
            return response

        async def awaiting(client: Any, *args: Any, **options: Any) -> Any:
            sender = Sender(client)
            token = watch.sender.set(sender)
            try:
                response = await original(client, *args, **options)
            finally:
                reset_variable(watch.sender, token)
            watch.returned(sender, response)
            return response

        return awaiting if waits else sending

    return make


def _decoder(watch: Watch) -> _Make:
    """Around a response's choice of a decoder: what that one is given and gives is counted."""

    def make(original: _Function) -> _Function:
        def choosing(response: Any) -> Any:
            known = hasattr(response, "_decoder")
            decoder = original(response)
            if not known and watch.active and type(decoder).__name__ != "IdentityDecoder":
                decode = decoder.decode

                def counting(data: bytes) -> Any:
                    decoded = decode(data)
                    if isinstance(decoded, bytes):
                        watch.unpacked(response, len(data), len(decoded))
                        return decoded
                    return parts(data, decoded)

                def parts(data: bytes, decoded: Iterator[bytes]) -> Iterator[bytes]:
                    watch.unpacked(response, len(data), 0)
                    for part in decoded:
                        watch.unpacked(response, 0, len(part))
                        yield part

                decoder.decode = counting
            return decoder

        return choosing

    return make


def wrap_core(patches: Patches, watch: Watch, core: str) -> None:
    """Wraps ``httpcore`` or its fork, which is imported by then."""
    for folder, prefix, verb in (("_sync", "", ""), ("_async", "Async", "async_")):
        waits = bool(prefix)
        close, handle = ("aclose" if waits else "close"), f"handle_{verb}request"
        for module, name, attribute, make in (
            ("connection", "HTTPConnection", "_connect", _connect(watch, waits=waits)),
            ("http_proxy", "TunnelHTTPConnection", handle, _through_a_proxy(watch, waits=waits)),
            ("socks_proxy", "Socks5Connection", handle, _through_a_proxy(watch, waits=waits)),
            ("http11", "HTTP11Connection", handle, _request(watch, waits=waits, shared=False)),
            ("http2", "HTTP2Connection", handle, _request(watch, waits=waits, shared=True)),
            ("http11", "HTTP11ConnectionByteStream", close, _close(watch, waits=waits)),
            ("http2", "HTTP2ConnectionByteStream", close, _close(watch, waits=waits)),
        ):
            owner = getattr(sys.modules.get(f"{core}.{folder}.{module}"), _spelled(name, prefix), None)
            if owner is not None:
                patches.wrap(owner, attribute, make)


def _spelled(name: str, prefix: str) -> str:
    """``AsyncHTTP11Connection``, but ``HTTP11ConnectionByteStream`` in both folders."""
    return name if name.endswith("Stream") else prefix + name


def wrap_clients(patches: Patches, watch: Watch, module: Any) -> None:
    """Wraps httpx's clients and responses."""
    patches.wrap(module.Client, "_send_single_request", _send(watch, waits=False))
    patches.wrap(module.AsyncClient, "_send_single_request", _send(watch, waits=True))
    patches.wrap(module.Response, "_get_content_decoder", _decoder(watch))
