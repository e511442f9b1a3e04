"""The standard library's HTTP client: ``http.client``, and all that uses it (``urllib.request``, ``xmlrpc.client`` …).

``http.client`` is the layer that has the facts: each hop of a redirect is a request of its own there, a proxy belongs
to the connection, and the body ends there. So urllib needs no probe of its own, as requests needs none beside
urllib3's. The connections of urllib3's classes are reported by urllib3's probe alone.
"""

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.client import HttpClientCallObserver
from backwatch.collector.probes.families.http.session import HTTP_FACTS
from backwatch.collector.probes.toolkit.hooks import call_hook
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe


class HttpProbe(PatchingProbe[HttpClientCallObserver]):
    """``http.client``, and urllib on it."""

    name = "http"
    module = "http.client"
    label = "http.client, urllib"
    service_kind = "HTTP, clouds, RPC"
    distributions = ()
    facts = HTTP_FACTS

    def install(self, recorder: Recorder) -> None:
        """Wrap connections, and the end of a response."""
        from http import client  # while this runs ``http`` may not have its attribute ``client`` yet

        self._patches = patches = Patches()
        self._observer = observer = HttpClientCallObserver(recorder)
        connect_hook = call_hook(observer.on_connect, observer.on_connect_end)
        send_hook = call_hook(observer.on_send, observer.on_send_end, scope=observer.current)
        response_hook = call_hook(observer.on_get_response, observer.on_response, scope=observer.current)
        patches.wrap(client.HTTPConnection, "connect", connect_hook)
        secure = getattr(client, "HTTPSConnection", None)  # a Python without TLS has none
        if secure is not None:
            patches.wrap(secure, "connect", connect_hook)
        patches.wrap(client.HTTPConnection, "endheaders", send_hook)
        patches.wrap(client.HTTPConnection, "getresponse", response_hook)
        patches.wrap(client.HTTPResponse, "_close_conn", call_hook(observer.on_body_end))
