"""Django: requests as handlers serve them, forms as Django reads them, JSON from a body that the app has read."""

from collections.abc import Awaitable, Callable
from typing import Any

from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.request import request_input
from backwatch.collector.runtime.guard import never_breaks_the_host


def install(patches: Patches) -> None:
    """Wrap Django's handlers and requests; ``django.core.handlers.base`` is imported."""
    from django.core.handlers.base import BaseHandler
    from django.http.request import HttpRequest

    patches.wrap(BaseHandler, "get_response", _answering)
    patches.wrap(BaseHandler, "get_response_async", _answering_async)
    patches.wrap(HttpRequest, "_load_post_and_files", _loading)
    patches.wrap_getter(HttpRequest, "body", _reading)


def _query(request: Any) -> str:
    return str(request.META.get("QUERY_STRING", ""))


def _answering(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_response(handler: Any, request: Any) -> Any:
        token = request_input.begin(_query, request)
        try:
            return original(handler, request)
        finally:
            request_input.end(token)

    return get_response


def _answering_async(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def get_response_async(handler: Any, request: Any) -> Any:
        token = request_input.begin(_query, request)
        try:
            return await original(handler, request)
        finally:
            request_input.end(token)

    return get_response_async


def _loading(original: Callable[..., Any]) -> Callable[..., Any]:
    def _load_post_and_files(request: Any) -> Any:
        answer = original(request)
        request_input.add_attribute(request, "_post")
        return answer

    return _load_post_and_files


def _reading(original: Callable[..., Any]) -> Callable[..., Any]:
    def body(request: Any) -> Any:
        raw = original(request)
        _add_json(request, raw)
        return raw

    return body


@never_breaks_the_host
def _add_json(request: Any, raw: bytes) -> None:
    if raw and "json" in str(request.META.get("CONTENT_TYPE", "")):
        request_input.add_json(raw)
