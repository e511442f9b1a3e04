"""OpenSearch's client, sync and async, over urllib3, requests or aiohttp; see ``search/observer.py``.

There is one call per request to a node, in place of the HTTP library's own.
"""

from typing import ClassVar

from backwatch.collector.probes import Recorder, ServiceKind
from backwatch.collector.probes.families.search.hooks import SearchProbe, wrap_connections

SYSTEM = "opensearch"


class OpensearchpyProbe(SearchProbe):
    """opensearch-py."""

    name: ClassVar[str] = "opensearchpy"
    module: ClassVar[str] = "opensearchpy"
    label: ClassVar[str] = "opensearch-py"
    service_kind: ClassVar[ServiceKind] = "Caches and documents"
    distributions: ClassVar[tuple[str, ...]] = ("opensearch-py>=2.0",)

    def install(self, recorder: Recorder) -> None:
        """Wrap transports and connections."""
        patches, observer = self._observe(recorder, SYSTEM, lambda result: result)
        wrap_connections(patches, observer, "opensearchpy", "opensearchpy.connection.http_async")
