"""httpx2: one call per request on the wire, blocking and asynchronous, HTTP/1.1 and 2; see ``httpcore/observer.py``.

The app's own transports (``ASGITransport``, ``MockTransport``) are no services: their responses are not recorded.
"""

from backwatch.collector.probes.families.httpcore.probe import HttpcoreProbe


class Httpx2Probe(HttpcoreProbe):
    """httpx2."""

    name = "httpx2"
    module = "httpx2"
    label = "httpx2"
    service_kind = "HTTP, clouds, RPC"
    core = "httpcore2"
    distributions = ("httpx2>=2",)
