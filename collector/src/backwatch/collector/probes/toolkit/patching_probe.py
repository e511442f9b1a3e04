"""What nearly every probe is: one watch that the wrappers report to, and the patches by which they were put there."""

from abc import ABC
from typing import Generic, Protocol, TypeVar

from backwatch.collector.probes import Probe
from backwatch.collector.probes.toolkit.patches import Patches


class Silent(Protocol):
    """Where wrappers report."""

    def silence(self) -> None:
        """Nothing is told from now on: a wrapper that still stands somewhere is a mere passage."""
        ...


W = TypeVar("W", bound=Silent)


class PatchingProbe(Probe, ABC, Generic[W]):
    """A probe that sets ``_watch`` and ``_patches`` when it is installed."""

    _watch: W | None = None
    _patches: Patches | None = None

    def remove(self) -> None:
        """Puts the driver's own functions back; what they have made meanwhile goes on as a mere passage."""
        if self._watch is not None:
            self._watch.silence()
        if self._patches is not None:
            self._patches.restore()
