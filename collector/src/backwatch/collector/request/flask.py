"""Flask: requests as one view and its hooks serve them, forms and JSON as Werkzeug's request object reads them."""

from typing import Any

from backwatch.collector.probes.toolkit.hooks import Args, CallToken, Error, Kwargs, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.request import request_input


def install(patches: Patches) -> None:
    """Wrap Flask and Werkzeug's request; Flask is imported."""
    import flask
    from werkzeug.wrappers import Request

    def on_request(_app: Any, _args: Args, _kwargs: Kwargs) -> Any:
        current: Any = flask.request._get_current_object()  # pyright: ignore[reportAttributeAccessIssue]  the proxy ends with the request
        return request_input.begin(_query, _route, current)

    patches.wrap(flask.Flask, "full_dispatch_request", call_hook(on_request, request_input.on_request_end))
    patches.wrap(Request, "_load_form_data", call_hook(None, _on_form_end))
    patches.wrap(Request, "get_json", call_hook(None, request_input.on_value_end))


def _query(request: Any) -> str:
    return str(request.environ.get("QUERY_STRING", ""))


def _route(request: Any) -> object:
    return getattr(request.url_rule, "rule", "")


def _on_form_end(request: Any, _token: CallToken, _result: Any, error: Error) -> None:
    if error is None:
        request_input.add_attribute(request, "form")
