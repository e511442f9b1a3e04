"""urllib3's connections and pools, wrapped once for all probes that need them."""

from typing import Final

from backwatch.collector.probes.families.http.observer import HttpCallObserver
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.shared_hooks import SharedHooks


def _wrap_urllib3(patches: Patches) -> HttpCallObserver:
    import http.client

    import urllib3.connection
    import urllib3.connectionpool
    import urllib3.response

    observer = HttpCallObserver(None, urllib3.connection.HTTPSConnection)
    for connection in (urllib3.connection.HTTPConnection, urllib3.connection.HTTPSConnection):
        patches.wrap(connection, "connect", call_hook(observer.on_connect, observer.on_connect_end))
    pool = urllib3.connectionpool.HTTPConnectionPool
    request_hook = call_hook(observer.on_request, observer.on_response, scope=observer.current)
    patches.wrap(pool, "_make_request", request_hook)
    patches.wrap(pool, "_put_conn", call_hook(observer.on_release))
    decode_hook = call_hook(observer.on_decode, observer.on_decode_end)
    observer.sees_decoding = patches.wrap(urllib3.response.HTTPResponse, "_decode", decode_hook)
    patches.wrap(http.client.HTTPResponse, "_close_conn", call_hook(observer.on_body_end))
    return observer


HOOKS: Final = SharedHooks(_wrap_urllib3)
