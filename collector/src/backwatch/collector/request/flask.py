"""Flask: requests as one view and its hooks serve them, forms and JSON as Werkzeug's request object reads them."""

from collections.abc import Callable
from typing import Any

from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.request import request_input


def install(patches: Patches) -> None:
    """Wrap Flask and Werkzeug's request; Flask is imported."""
    import flask
    from werkzeug.wrappers import Request

    def wrap_dispatch(original: Callable[..., Any]) -> Callable[..., Any]:
        def full_dispatch_request(*args: Any, **kwargs: Any) -> Any:
            token = request_input.begin(_query, flask.request)
            try:
                return original(*args, **kwargs)
            finally:
                request_input.end(token)

        return full_dispatch_request

    patches.wrap(flask.Flask, "full_dispatch_request", wrap_dispatch)
    patches.wrap(Request, "_load_form_data", _loading)
    patches.wrap(Request, "get_json", _reading)


def _query(request: Any) -> str:
    return str(request.environ.get("QUERY_STRING", ""))


def _loading(original: Callable[..., Any]) -> Callable[..., Any]:
    def _load_form_data(request: Any) -> Any:
        answer = original(request)
        request_input.add_attribute(request, "form")
        return answer

    return _load_form_data


def _reading(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_json(*args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        request_input.add(value)
        return value

    return get_json
