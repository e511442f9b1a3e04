"""Django: requests as handlers serve them, forms as Django reads them, JSON from a body that the app has read."""

from typing import Any

from backwatch.collector.probes.toolkit.dbapi import argument
from backwatch.collector.probes.toolkit.hooks import Args, CallToken, Error, Kwargs, async_call_hook, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.request import request_input
from backwatch.collector.runtime.guard import never_breaks_the_host


def install(patches: Patches) -> None:
    """Wrap Django's handlers and requests; ``django.core.handlers.base`` is imported."""
    from django.core.handlers.base import BaseHandler
    from django.http.request import HttpRequest

    patches.wrap(BaseHandler, "get_response", call_hook(_on_request, request_input.on_request_end))
    patches.wrap(BaseHandler, "get_response_async", async_call_hook(_on_request, request_input.on_request_end))
    patches.wrap(HttpRequest, "_load_post_and_files", call_hook(None, _on_form_end))
    patches.wrap_getter(HttpRequest, "body", call_hook(None, _on_body_end))


def _query(request: Any) -> str:
    return str(request.META.get("QUERY_STRING", ""))


def _route(request: Any) -> object:
    """Return the pattern of the view, or its name where the pattern is empty: a site's first page."""
    match = request.resolver_match
    return "" if match is None else match.route or match.view_name


def _on_request(_handler: Any, args: Args, kwargs: Kwargs) -> Any:
    return request_input.begin(_query, _route, argument(args, kwargs, 0, "request"))


def _on_form_end(request: Any, _token: CallToken, _result: Any, error: Error) -> None:
    if error is None:
        request_input.add_attribute(request, "_post")


@never_breaks_the_host
def _on_body_end(request: Any, _token: CallToken, raw: Any, _error: Error) -> None:
    if raw and "json" in str(request.META.get("CONTENT_TYPE", "")):
        request_input.add_json(raw)
