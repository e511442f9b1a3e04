"""Hooks around httpcore's connections and httpx's clients; the library and its fork differ by their names alone."""

import sys
from collections.abc import Iterator
from typing import Any

from backwatch.collector.probes.families.httpcore.observer import HttpcoreCallObserver
from backwatch.collector.probes.toolkit.hooks import Decorator, Function, async_call_hook, call_hook
from backwatch.collector.probes.toolkit.patches import Patches


def wrap_decoder_choice(observer: HttpcoreCallObserver) -> Decorator:
    """Wrap a response's choice of a decoder, to count its input and its output."""

    def decorate(original: Function) -> Function:
        def choose(response: Any) -> Any:
            known = hasattr(response, "_decoder")
            decoder = original(response)
            if not known and observer.active and type(decoder).__name__ != "IdentityDecoder":
                decode = decoder.decode

                def count(data: bytes) -> Any:
                    decoded = decode(data)
                    if isinstance(decoded, bytes):
                        observer.on_decode(response, len(data), len(decoded))
                        return decoded
                    return count_parts(data, decoded)

                def count_parts(data: bytes, decoded: Iterator[bytes]) -> Iterator[bytes]:
                    observer.on_decode(response, len(data), 0)
                    for part in decoded:
                        observer.on_decode(response, 0, len(part))
                        yield part

                decoder.decode = count
            return decoder

        return choose

    return decorate


def wrap_core(patches: Patches, observer: HttpcoreCallObserver, core: str) -> None:
    """Wrap ``httpcore`` or its fork, which is imported by then."""
    for folder, prefix, verb in (("_sync", "", ""), ("_async", "Async", "async_")):
        hook = async_call_hook if prefix else call_hook
        close, handle = ("aclose" if prefix else "close"), f"handle_{verb}request"
        tunnel_hook = hook(observer.on_tunnel, observer.on_tunnel_end, scope=observer.tunnel)
        for module, name, method, decorator in (
            ("connection", "HTTPConnection", "_connect", hook(None, observer.on_connect_end)),
            ("http_proxy", "TunnelHTTPConnection", handle, tunnel_hook),
            ("socks_proxy", "Socks5Connection", handle, tunnel_hook),
            ("http11", "HTTP11Connection", handle, hook(observer.on_request, observer.on_response)),
            ("http2", "HTTP2Connection", handle, hook(observer.on_shared_request, observer.on_response)),
            ("http11", "HTTP11ConnectionByteStream", close, hook(observer.on_body_end)),
            ("http2", "HTTP2ConnectionByteStream", close, hook(observer.on_body_end)),
        ):
            owner = getattr(sys.modules.get(f"{core}.{folder}.{module}"), _class_name(name, prefix), None)
            if owner is not None:
                patches.wrap(owner, method, decorator)


def _class_name(name: str, prefix: str) -> str:
    """Return ``AsyncHTTP11Connection``, but ``HTTP11ConnectionByteStream`` for both folders."""
    return name if name.endswith("Stream") else prefix + name


def wrap_clients(patches: Patches, observer: HttpcoreCallObserver, module: Any) -> None:
    """Wrap httpx's clients and responses."""
    for kind, hook in ((module.Client, call_hook), (module.AsyncClient, async_call_hook)):
        send_hook = hook(observer.on_send, observer.on_send_end, scope=observer.sender)
        patches.wrap(kind, "_send_single_request", send_hook)
    patches.wrap(module.Response, "_get_content_decoder", wrap_decoder_choice(observer))
