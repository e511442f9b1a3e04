"""OpenSearch's client, sync and async, over urllib3, requests or aiohttp; see ``search/calls.py``.

One call per request to a node, in place of the HTTP library's own.
"""

from typing import ClassVar

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.search import wraps
from backwatch.collector.probes.families.search.calls import Watch
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe

SYSTEM = "opensearch"


class OpensearchpyProbe(PatchingProbe[Watch]):
    """opensearch-py."""

    name: ClassVar[str] = "opensearchpy"
    module: ClassVar[str] = "opensearchpy"
    distributions: ClassVar[tuple[str, ...]] = ("opensearch-py>=2.0",)
    facts: ClassVar[frozenset[str]] = wraps.FACTS

    _below: wraps.Below | None = None

    def install(self, recorder: Recorder) -> None:
        """Wraps transports and connections."""
        self._patches = Patches()
        self._below = wraps.Below(self)
        self._watch = Watch(recorder, SYSTEM, self._below.attach)
        wraps.connections(self._patches, self._watch, "opensearchpy", "opensearchpy.connection.http_async")

    def remove(self) -> None:
        """Restores them."""
        super().remove()
        if self._below is not None:
            self._below.detach()
