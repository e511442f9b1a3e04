"""aiohttp's client, wrapped once for all probes that need it."""

from typing import Final

from backwatch.collector.probes.aiohttp.observer import AiohttpCallObserver
from backwatch.collector.probes.toolkit.hooks import async_call_hook, call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.shared_hooks import SharedHooks


def _wrap_aiohttp(patches: Patches) -> AiohttpCallObserver:
    import aiohttp.client_reqrep
    import aiohttp.connector

    observer = AiohttpCallObserver(None)
    connector, messages = aiohttp.connector, aiohttp.client_reqrep
    for name in ("TCPConnector", "UnixConnector", "NamedPipeConnector"):
        patches.wrap(
            getattr(connector, name, None), "_create_connection", async_call_hook(None, observer.on_connect_end)
        )
    for name in ("send", "_send"):  # public until aiohttp 4
        patches.wrap(messages.ClientRequest, name, async_call_hook(observer.on_send, observer.on_send_end))
    patches.wrap(messages.ClientResponse, "start", async_call_hook(None, observer.on_response))
    patches.wrap(connector.Connection, "release", call_hook(observer.on_release))
    patches.wrap(connector.Connection, "close", call_hook(observer.on_release))
    return observer


HOOKS: Final = SharedHooks(_wrap_aiohttp)
