"""httpx2: one call per request on the wire, blocking and asynchronous, HTTP/1.1 and 2; see ``httpcore/observer.py``.

The app's own transports (``ASGITransport``, ``MockTransport``) are no services: their responses are not recorded.
"""

from typing import ClassVar

from backwatch.collector.probes import ServiceKind
from backwatch.collector.probes.families.httpcore.probe import HttpcoreProbe


class Httpx2Probe(HttpcoreProbe):
    """httpx2."""

    name: ClassVar[str] = "httpx2"
    module: ClassVar[str] = "httpx2"
    label: ClassVar[str] = "httpx2"
    service_kind: ClassVar[ServiceKind] = "HTTP, clouds, RPC"
    core: ClassVar[str] = "httpcore2"
    distributions: ClassVar[tuple[str, ...]] = ("httpx2>=2",)
