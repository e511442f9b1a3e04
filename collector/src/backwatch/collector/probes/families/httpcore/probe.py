"""What the probes of httpx and of its fork have in common: everything but the names."""

import importlib
from types import ModuleType
from typing import ClassVar, Final

from backwatch.collector import names
from backwatch.collector.probes import Probe, Recorder
from backwatch.collector.probes.families.httpcore.calls import Watch
from backwatch.collector.probes.families.httpcore.hooks import wrap_clients, wrap_core
from backwatch.collector.probes.toolkit.patches import Patches
from backwatch.collector.runtime import import_hooks
from backwatch.collector.runtime.guard import never_breaks_the_host

FACTS: Final = names.OVER_TLS | {
    names.SYSTEM, names.SERVER_ADDRESS, names.SERVER_PORT, names.OPERATION, names.STATEMENT, names.HTTP_METHOD,
    names.HTTP_STATUS, names.URL_SECRET, names.ACCOUNT, names.AUTH_METHOD, names.SERVER_VERSION, names.BYTES_SENT,
    names.BYTES_RECEIVED, names.BYTES_ESTIMATED, names.ERROR_TYPE, names.REDIRECT_TARGET, names.PAYLOAD_WIRE,
    names.PAYLOAD_SIZE,
}  # fmt: skip


class OnHttpcore(Probe):
    """A client of httpcore's kind.

    Attributes:
        core: The module below it, which it imports when the first client is made: it is wrapped at that moment.
    """

    core: ClassVar[str]
    facts: ClassVar[frozenset[str]] = FACTS

    _patches: Patches | None = None
    _watch: Watch | None = None

    def install(self, recorder: Recorder) -> None:
        """Wraps the clients now, the connections below as soon as they are there."""
        patches = self._patches = Patches()
        watch = self._watch = Watch(recorder)
        wrap_clients(patches, watch, importlib.import_module(self.module))

        def below(_module: ModuleType) -> None:
            if self._patches is patches:
                wrap_core(patches, watch, self.core)

        below.__qualname__ = f"the connections of {self.name}"
        import_hooks.on_import(self.core, never_breaks_the_host(below))

    def remove(self) -> None:
        """Restores them; what still waits for the end of its body is told as far as it has come."""
        patches, self._patches = self._patches, None
        if patches is not None:
            patches.restore()
        if self._watch is not None:
            self._watch.active = False
            self._watch.settle()
