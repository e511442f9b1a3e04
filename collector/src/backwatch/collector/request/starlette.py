"""Starlette and FastAPI: requests as the outermost app serves them, forms and JSON as Starlette reads them."""

from typing import Any

from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, Kwargs, async_call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.request import request_input
from backwatch.collector.runtime.guard import never_breaks_the_host


def install(patches: Patches) -> None:
    """Wrap Starlette's app and request; ``starlette.applications`` is imported."""
    from starlette.applications import Starlette
    from starlette.requests import Request

    on_read = async_call_hook(None, request_input.on_value_end)
    patches.wrap(Starlette, "__call__", async_call_hook(_on_request, request_input.on_request_end))
    patches.wrap(Request, "json", on_read)
    if not patches.wrap(Request, "_get_form", on_read):
        patches.wrap(Request, "form", on_read)  # before 0.26


def _query(scope: Any) -> bytes:
    return bytes(scope.get("query_string", b""))


def _route(scope: Any) -> object:
    """Return the path of the route. Starlette itself reports the endpoint only, whose name stands for the path."""
    path = getattr(scope.get("route"), "path", "")
    if path or (endpoint := scope.get("endpoint")) is None:
        return path
    return getattr(endpoint, "__qualname__", type(endpoint).__qualname__)


@never_breaks_the_host
def _on_request(_app: Any, args: Args, kwargs: Kwargs) -> Any:
    scope: Any = argument(args, kwargs, 0, "scope")
    return request_input.begin(_query, _route, scope) if scope.get("type") == "http" else None
