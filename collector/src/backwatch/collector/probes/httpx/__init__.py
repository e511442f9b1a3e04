"""httpx: one call per request on the wire, blocking and asynchronous, HTTP/1.1 and 2; see ``httpcore/observer.py``.

The app's own transports (``ASGITransport``, ``MockTransport``) are no services: their responses are not recorded.
"""

from backwatch.collector.probes.families.httpcore.probe import HttpcoreProbe


class HttpxProbe(HttpcoreProbe):
    """httpx."""

    name = "httpx"
    module = "httpx"
    label = "httpx"
    service_kind = "HTTP, clouds, RPC"
    core = "httpcore"
    distributions = ("httpx>=0.22",)
