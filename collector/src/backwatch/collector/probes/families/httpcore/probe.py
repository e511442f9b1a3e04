"""The probe of httpx and of its fork, which differ only in names."""

import importlib
from abc import ABC
from types import ModuleType
from typing import ClassVar, Final

from backwatch.collector import names
from backwatch.collector.probes import Recorder
from backwatch.collector.probes.families.http.session import HTTP_FACTS
from backwatch.collector.probes.families.httpcore.hooks import wrap_clients, wrap_core
from backwatch.collector.probes.families.httpcore.observer import HttpcoreCallObserver
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.probes.toolkit.patching_probe import PatchingProbe
from backwatch.collector.runtime import import_hooks
from backwatch.collector.runtime.guard import never_breaks_the_host

FACTS: Final = HTTP_FACTS | {names.BYTES_ESTIMATED, names.PAYLOAD_WIRE, names.PAYLOAD_SIZE}


class HttpcoreProbe(PatchingProbe[HttpcoreCallObserver], ABC):
    """A client above httpcore.

    Attributes:
        core: The module below, which the client imports when the first one is made, and which is wrapped then.
    """

    core: ClassVar[str]
    facts = FACTS

    def install(self, recorder: Recorder) -> None:
        """Wrap the clients now, the connections below as soon as their module is imported."""
        patches = self._patches = Patches()
        observer = self._observer = HttpcoreCallObserver(recorder)
        wrap_clients(patches, observer, importlib.import_module(self.module))

        def wrap_connections(_module: ModuleType) -> None:
            if observer.active:
                wrap_core(patches, observer, self.core)

        wrap_connections.__qualname__ = f"the connections of {self.name}"
        import_hooks.on_import(self.core, never_breaks_the_host(wrap_connections))
