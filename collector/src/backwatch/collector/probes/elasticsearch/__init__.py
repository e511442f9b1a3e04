"""Elasticsearch's client, 7.17 to 9, sync and async, over urllib3, requests or aiohttp; see ``search/calls.py``.

From 8 on what sends lies in ``elastic_transport``; before that the client is what OpenSearch's still is. One call per
request to a node, in place of the HTTP library's own.
"""

from typing import Any, ClassVar

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.attempt import Attempt
from backwatch.collector.probes.families.search import wraps
from backwatch.collector.probes.families.search.calls import Watch
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime.guard import never_breaks_the_host

SYSTEM = "elasticsearch"


def _report(
    watch: Watch, attempt: Attempt, _node: Any, args: tuple[Any, ...], options: dict[str, Any], result: Any,
    error: BaseException | None,
) -> None:  # fmt: skip
    """A node of ``elastic_transport`` returns every answer, errors too."""
    if error is not None:
        watch.failed(attempt, error)
        return
    target = args[1] if len(args) > 1 else options.get("target")
    watch.answered(attempt, target, result.meta.status, result.meta.headers.get, result[1])


_guarded = never_breaks_the_host(_report)


def _answer(result: Any) -> Any:
    return getattr(result, "body", None)


class ElasticsearchProbe(PatchingProbe[Watch]):
    """elasticsearch, and ``elastic_transport`` below it."""

    name: ClassVar[str] = "elasticsearch"
    module: ClassVar[str] = "elasticsearch"
    distributions: ClassVar[tuple[str, ...]] = ("elasticsearch>=7.17",)
    facts: ClassVar[frozenset[str]] = wraps.FACTS

    _below: "wraps.Below | None" = None

    def install(self, recorder: Recorder) -> None:
        """Wraps clients, transports and nodes."""
        import elasticsearch

        self._patches = Patches()
        self._below = wraps.Below(self)
        self._watch = Watch(recorder, SYSTEM, self._below.attach)
        if elasticsearch.VERSION < (8,):
            wraps.connections(self._patches, self._watch, "elasticsearch", "elasticsearch._async.http_aiohttp")
        else:
            self._nodes(self._patches, self._watch)

    @staticmethod
    def _nodes(patches: Patches, watch: Watch) -> None:
        import elastic_transport
        from elasticsearch._async.client._base import BaseClient as AsyncClient
        from elasticsearch._sync.client._base import BaseClient

        patches.wrap(BaseClient, "perform_request", wraps.client(watch, waits=False))
        patches.wrap(AsyncClient, "perform_request", wraps.client(watch, waits=True))
        for name, waits in (("Transport", False), ("AsyncTransport", True)):
            owner = getattr(elastic_transport, name)
            patches.wrap(owner, "perform_request", wraps.transport(watch, _answer, waits=waits))
        for name, waits in (
            ("Urllib3HttpNode", False), ("RequestsHttpNode", False), ("HttpxHttpNode", False),
            ("AiohttpHttpNode", True), ("HttpxAsyncHttpNode", True),
        ):  # fmt: skip
            owner = getattr(elastic_transport, name, None)
            patches.wrap(owner, "perform_request", wraps.node(watch, _guarded, waits=waits))

    def remove(self) -> None:
        """Restores them."""
        super().remove()
        if self._below is not None:
            self._below.detach()
