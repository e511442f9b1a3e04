"""httpx: one call per request on the wire, blocking and asynchronous, HTTP/1.1 and 2; see ``httpcore/calls.py``.

Transports of the app's own (``ASGITransport``, ``MockTransport``) are no services: what they answer is not told.
"""

from typing import ClassVar

from backwatch.collector.probes.families.httpcore.probe import OnHttpcore


class HttpxProbe(OnHttpcore):
    """httpx."""

    name: ClassVar[str] = "httpx"
    module: ClassVar[str] = "httpx"
    core: ClassVar[str] = "httpcore"
    distributions: ClassVar[tuple[str, ...]] = ("httpx>=0.22",)
