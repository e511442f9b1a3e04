"""urllib3's connections and pools, wrapped once for all probes that need them: its own, and those of what rides on it.

Whoever comes first wraps, whoever leaves last restores. What nobody claims is told only while urllib3's own probe is
there: another probe's need of the hooks does not make the app's other requests known.
"""

from collections.abc import Callable
from typing import Any

from backwatch.collector.probes import Recorder
from backwatch.collector.probes._http_calls import Watch
from backwatch.collector.probes._http_wraps import connect, let_go
from backwatch.collector.probes._patches import Patches

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


class _Shared:
    """The hooks while they are in place, and who asked for them."""

    watch: Watch | None = None
    patches: Patches
    users: "list[object]" = []  # noqa: RUF012  of the one object below


_shared = _Shared()


def attach(user: object, recorder: Recorder | None) -> None:
    """Wraps urllib3 for ``user``, which must be imported by then.

    Args:
        recorder: Where to tell what nobody claims: urllib3's own probe; ``None`` for every other user.
    """
    watch = _shared.watch or _wrapped()
    if recorder is not None:
        watch.recorder = recorder
    _shared.users.append(user)


def detach(user: object, *, recording: bool = False) -> None:
    """Undoes ``attach``; what still waits for its body is told as far as it has come."""
    watch = _shared.watch
    if watch is None or user not in _shared.users:
        return
    _shared.users.remove(user)
    watch.settle()
    if recording:
        watch.recorder = None
    if not _shared.users:
        _shared.patches.restore()
        watch.active = False
        _shared.watch = None


def _wrapped() -> Watch:
    import http.client

    import urllib3.connection
    import urllib3.connectionpool
    import urllib3.response

    patches = _shared.patches = Patches()
    watch = _shared.watch = Watch(None, urllib3.connection.HTTPSConnection)
    patches.wrap(urllib3.connection.HTTPConnection, "connect", connect(watch))
    patches.wrap(urllib3.connection.HTTPSConnection, "connect", connect(watch))
    patches.wrap(urllib3.connectionpool.HTTPConnectionPool, "_make_request", _request(watch))
    patches.wrap(urllib3.connectionpool.HTTPConnectionPool, "_put_conn", _release(watch))
    watch.unpacks = patches.wrap(urllib3.response.HTTPResponse, "_decode", _decode(watch))
    patches.wrap(http.client.HTTPResponse, "_close_conn", let_go(watch))
    return watch
