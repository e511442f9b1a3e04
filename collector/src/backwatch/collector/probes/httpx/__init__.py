"""httpx: one call per request on the wire, blocking and asynchronous, HTTP/1.1 and 2; see ``httpcore/observer.py``.

The app's own transports (``ASGITransport``, ``MockTransport``) are no services: their responses are not recorded.
"""

from typing import ClassVar

from backwatch.collector.probes import ServiceKind
from backwatch.collector.probes.families.httpcore.probe import HttpcoreProbe


class HttpxProbe(HttpcoreProbe):
    """httpx."""

    name: ClassVar[str] = "httpx"
    module: ClassVar[str] = "httpx"
    label: ClassVar[str] = "httpx"
    service_kind: ClassVar[ServiceKind] = "HTTP, clouds, RPC"
    core: ClassVar[str] = "httpcore"
    distributions: ClassVar[tuple[str, ...]] = ("httpx>=0.22",)
