"""Wrappers that urllib3's connections and the standard library's, on which they rest, have in common."""

from collections.abc import Callable
from typing import Any

from backwatch.collector.probes.families.http.calls import Watch

_Function = Callable[..., Any]


def connect(watch: Watch) -> Callable[[_Function], _Function]:
    """Around a connection's ``connect``."""

    def make(original: _Function) -> _Function:
        def connecting(connection: Any, *args: Any, **options: Any) -> Any:
            link = watch.connecting(connection)
            if link is None:
                return original(connection, *args, **options)
            try:
                result = original(connection, *args, **options)
            except BaseException as error:
                watch.connect_failed(connection, link, error)
                raise
            watch.connected(connection, link)
            return result

        return connecting

    return make


def let_go(watch: Watch) -> Callable[[_Function], _Function]:
    """Around a response's ``_close_conn``: its body ends."""

    def make(original: _Function) -> _Function:
        def letting_go(body: Any) -> Any:
            watch.body_ends(body)
            return original(body)

        return letting_go

    return make
