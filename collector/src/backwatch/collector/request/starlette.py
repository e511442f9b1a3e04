"""Starlette and FastAPI: requests as the outermost app serves them, forms and JSON as Starlette reads them."""

from collections.abc import Awaitable, Callable
from typing import Any

from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.request import request_input


def install(patches: Patches) -> None:
    """Wrap Starlette's app and request; ``starlette.applications`` is imported."""
    from starlette.applications import Starlette
    from starlette.requests import Request

    patches.wrap(Starlette, "__call__", _serving)
    patches.wrap(Request, "json", _reading)
    if not patches.wrap(Request, "_get_form", _reading):
        patches.wrap(Request, "form", _reading)  # before 0.26


def _query(scope: Any) -> bytes:
    return bytes(scope.get("query_string", b""))


def _serving(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def serve(app: Any, scope: Any, receive: Any, send: Any) -> Any:
        if scope.get("type") != "http":
            return await original(app, scope, receive, send)
        token = request_input.begin(_query, scope)
        try:
            return await original(app, scope, receive, send)
        finally:
            request_input.end(token)

    return serve


def _reading(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def read(*args: Any, **kwargs: Any) -> Any:
        value = await original(*args, **kwargs)
        request_input.add(value)
        return value

    return read
