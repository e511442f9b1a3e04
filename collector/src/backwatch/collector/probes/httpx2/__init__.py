"""httpx2: one call per request on the wire, blocking and asynchronous, HTTP/1.1 and 2; see ``httpcore/calls.py``.

Transports of the app's own (``ASGITransport``, ``MockTransport``) are no services: what they answer is not told.
"""

from typing import ClassVar

from backwatch.collector.probes.families.httpcore.probe import OnHttpcore


class Httpx2Probe(OnHttpcore):
    """httpx2."""

    name: ClassVar[str] = "httpx2"
    module: ClassVar[str] = "httpx2"
    core: ClassVar[str] = "httpcore2"
    distributions: ClassVar[tuple[str, ...]] = ("httpx2>=2",)
