"""aiohttp's connectors, requests and connections, wrapped once for all probes that need them.

Whoever comes first wraps, whoever leaves last restores. What nobody claims is told only while aiohttp's own probe is
there.
"""

import time
from collections.abc import Callable
from typing import Any

from backwatch.collector.probes import Recorder
from backwatch.collector.probes._aiohttp_calls import Watch
from backwatch.collector.probes._patches import Patches

_Function = Callable[..., Any]
_Make = Callable[[_Function], _Function]


def _connect(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def connecting(connector: Any, request: Any, *args: Any, **options: Any) -> Any:
            start_ns = time.time_ns()
            try:
                protocol = await original(connector, request, *args, **options)
            except BaseException as error:
                watch.connect_failed(connector, request, start_ns, error)
                raise
            watch.connected(connector, request, protocol, start_ns)
            return protocol

        return connecting

    return make


def _send(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def sending(request: Any, connection: Any, *args: Any, **options: Any) -> Any:
            exchange = watch.begin(request, connection)
            if exchange is None:
                return await original(request, connection, *args, **options)
            try:
                return await original(request, connection, *args, **options)
            except BaseException as error:
                watch.not_sent(connection, exchange, error)
                raise

        return sending

    return make


def _start(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        async def starting(response: Any, connection: Any, *args: Any, **options: Any) -> Any:
            try:
                result = await original(response, connection, *args, **options)
            except BaseException as error:
                watch.failed(connection, error)
                raise
            watch.answered(connection, response)
            return result

        return starting

    return make


def _release(watch: Watch) -> _Make:
    def make(original: _Function) -> _Function:
        def releasing(connection: Any) -> Any:
            watch.released(connection)
            return original(connection)

        return releasing

    return make


class _Shared:
    """The hooks while they are in place, and who asked for them."""

    watch: Watch | None = None
    patches: Patches
    users: "list[object]" = []  # noqa: RUF012  of the one object below


_shared = _Shared()


def attach(user: object, recorder: Recorder | None) -> None:
    """Wraps aiohttp for ``user``, which must be imported by then.

    Args:
        recorder: Where to tell what nobody claims: aiohttp's own probe; ``None`` for every other user.
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
    import aiohttp.client_reqrep
    import aiohttp.connector

    patches = _shared.patches = Patches()
    watch = _shared.watch = Watch(None)
    connector, messages = aiohttp.connector, aiohttp.client_reqrep
    for name in ("TCPConnector", "UnixConnector", "NamedPipeConnector"):
        patches.wrap(getattr(connector, name, None), "_create_connection", _connect(watch))
    for name in ("send", "_send"):  # public until aiohttp 4
        patches.wrap(messages.ClientRequest, name, _send(watch))
    patches.wrap(messages.ClientResponse, "start", _start(watch))
    patches.wrap(connector.Connection, "release", _release(watch))
    patches.wrap(connector.Connection, "close", _release(watch))
    return watch
