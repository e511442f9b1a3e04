"""urllib3's connections and pools, wrapped once for all probes that need them."""

from collections.abc import Callable
from typing import Any, Final

from backwatch.collector.probes.families.http.calls import Watch
from backwatch.collector.probes.families.http.wraps import connect, let_go
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.shared_hooks import SharedHooks

_Function = Callable[..., Any]


def _request(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def requesting(pool: Any, *args: Any, **options: Any) -> Any:
            given = dict(zip(("conn", "method", "url", "body", "headers"), args, strict=False)) | options
            connection = given.get("conn")
            started = watch.begin(pool, connection, given.get("method"), given.get("url"), given.get("headers"))
            if started is None:
                return original(pool, *args, **options)
            try:
                response = original(pool, *args, **options)
            except BaseException as error:
                watch.failed(connection, started, error)
                raise
            watch.answered(connection, started, response)
            return response

        return requesting

    return make


def _release(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def releasing(pool: Any, *args: Any, **options: Any) -> Any:
            watch.released(args[0] if args else options.get("conn"))
            return original(pool, *args, **options)

        return releasing

    return make


def _decode(watch: Watch) -> Callable[[_Function], _Function]:
    def make(original: _Function) -> _Function:
        def decoding(response: Any, data: Any, decode_content: Any = None, *args: Any, **options: Any) -> Any:
            plain: Any = b""
            try:
                plain = original(response, data, decode_content, *args, **options)
            finally:
                watch.decoded(response, decode_content, data, plain)
            return plain

        return decoding

    return make


def _wrapped(patches: Patches) -> Watch:
    import http.client

    import urllib3.connection
    import urllib3.connectionpool
    import urllib3.response

    watch = Watch(None, urllib3.connection.HTTPSConnection)
    patches.wrap(urllib3.connection.HTTPConnection, "connect", connect(watch))
    patches.wrap(urllib3.connection.HTTPSConnection, "connect", connect(watch))
    patches.wrap(urllib3.connectionpool.HTTPConnectionPool, "_make_request", _request(watch))
    patches.wrap(urllib3.connectionpool.HTTPConnectionPool, "_put_conn", _release(watch))
    watch.unpacks = patches.wrap(urllib3.response.HTTPResponse, "_decode", _decode(watch))
    patches.wrap(http.client.HTTPResponse, "_close_conn", let_go(watch))
    return watch


HOOKS: Final = SharedHooks(_wrapped)
