"""OpenSearch's client, sync and async, over urllib3, requests or aiohttp; see ``search/observer.py``.

There is one call per request to a node, in place of the HTTP library's own.
"""

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.search.hooks import SearchProbe, wrap_connections

SYSTEM = "opensearch"


class OpensearchpyProbe(SearchProbe):
    """opensearch-py."""

    name = "opensearchpy"
    module = "opensearchpy"
    label = "opensearch-py"
    service_kind = "Caches and documents"
    distributions = ("opensearch-py>=2.0",)

    def install(self, recorder: Recorder) -> None:
        """Wrap transports and connections."""
        patches, observer = self._observe(recorder, SYSTEM, lambda result: result)
        wrap_connections(patches, observer, "opensearchpy", "opensearchpy.connection.http_async")
