"""Elasticsearch's client, 7.17 to 9, sync and async, over urllib3, requests or aiohttp; see ``search/observer.py``.

From 8 on, ``elastic_transport`` sends the requests; before that the client is built as OpenSearch's still is. There is
one call per request to a node, in place of the HTTP library's own.
"""

from operator import attrgetter

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.search.hooks import (
    SearchProbe,
    wrap_client,
    wrap_connections,
    wrap_node,
    wrap_transport,
)
from backwatch.collector.probes.families.search.observer import SearchCallObserver
from backwatch.collector.probes.toolkit.patches import Patches

SYSTEM = "elasticsearch"


class ElasticsearchProbe(SearchProbe):
    """elasticsearch, and ``elastic_transport`` below it."""

    name = "elasticsearch"
    module = "elasticsearch"
    label = "elasticsearch"
    service_kind = "Caches and documents"
    distributions = ("elasticsearch>=7.17",)

    def install(self, recorder: Recorder) -> None:
        """Wrap clients, transports and nodes."""
        import elasticsearch

        if elasticsearch.VERSION < (8,):
            patches, observer = self._observe(recorder, SYSTEM, lambda result: result)
            wrap_connections(patches, observer, "elasticsearch", "elasticsearch._async.http_aiohttp")
        else:
            _wrap_elastic_transport(*self._observe(recorder, SYSTEM, attrgetter("body")))


def _wrap_elastic_transport(patches: Patches, observer: SearchCallObserver) -> None:
    import elastic_transport
    from elasticsearch._async.client._base import BaseClient as AsyncClient
    from elasticsearch._sync.client._base import BaseClient

    wrap_client(patches, observer, BaseClient, asynchronous=False)
    wrap_client(patches, observer, AsyncClient, asynchronous=True)
    for name, asynchronous in (("Transport", False), ("AsyncTransport", True)):
        wrap_transport(patches, observer, getattr(elastic_transport, name), asynchronous=asynchronous)
    for name, asynchronous in (
        ("Urllib3HttpNode", False), ("RequestsHttpNode", False), ("HttpxHttpNode", False),
        ("AiohttpHttpNode", True), ("HttpxAsyncHttpNode", True),
    ):  # fmt: skip
        owner = getattr(elastic_transport, name, None)
        wrap_node(patches, observer, owner, observer.on_node_response, asynchronous=asynchronous)
