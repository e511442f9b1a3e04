"""aiohttp's connectors, requests and connections, wrapped once for all probes that need them."""

import time
from collections.abc import Callable
from typing import Any, Final

from backwatch.collector.probes.aiohttp.calls import Watch
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.shared_hooks import SharedHooks

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


def _wrapped(patches: Patches) -> Watch:
    import aiohttp.client_reqrep
    import aiohttp.connector

    watch = Watch(None)
    connector, messages = aiohttp.connector, aiohttp.client_reqrep
    for name in ("TCPConnector", "UnixConnector", "NamedPipeConnector"):
        patches.wrap(getattr(connector, name, None), "_create_connection", _connect(watch))
    for name in ("send", "_send"):  # public until aiohttp 4
        patches.wrap(messages.ClientRequest, name, _send(watch))
    patches.wrap(messages.ClientResponse, "start", _start(watch))
    patches.wrap(connector.Connection, "release", _release(watch))
    patches.wrap(connector.Connection, "close", _release(watch))
    return watch


HOOKS: Final = SharedHooks(_wrapped)
