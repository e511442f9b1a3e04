"""The usual probe: one call observer, and the patches whose hooks call it."""

from abc import ABC
from typing import Generic, Protocol, TypeVar

from backwatch.collector.probes import Probe
from backwatch.collector.probes.toolkit.patches import Patches


class Observer(Protocol):
    """Receives the hooks' calls."""

    def disable(self) -> None:
        """Record nothing from now on: a wrapper that is still in place only calls its original."""
        ...


ObserverT = TypeVar("ObserverT", bound=Observer)


class PatchingProbe(Probe, ABC, Generic[ObserverT]):
    """A probe that sets ``_observer`` and ``_patches`` when it is installed."""

    _observer: ObserverT | None = None
    _patches: Patches | None = None

    def remove(self) -> None:
        """Restore the driver's own functions. Objects that they made meanwhile go on, unobserved."""
        if self._observer is not None:
            self._observer.disable()
        if self._patches is not None:
            self._patches.restore()
