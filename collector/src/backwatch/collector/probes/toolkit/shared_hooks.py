"""One set of hooks in a library for all probes that need them: its own, and those of the libraries above it.

The first user wraps the library, the last one to leave restores it. Calls without a claim are recorded only while the
library's own probe is installed: another probe's need of the hooks does not make the app's other requests known.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.patches import Patches


class _Calls(Protocol):
    recorder: Recorder | None


class _Observer(Protocol):
    active: bool

    @property
    def calls(self) -> _Calls: ...

    def flush(self) -> None: ...


ObserverT = TypeVar("ObserverT", bound=_Observer)


class SharedHooks(Generic[ObserverT]):
    """The hooks while they are in place, and their users.

    Args:
        wrap: Puts the hooks in place, and returns the observer that they call.
    """

    def __init__(self, wrap: Callable[[Patches], ObserverT]) -> None:
        self._wrap = wrap
        self._patches = Patches()
        self._observer: ObserverT | None = None
        self._users: list[object] = []

    def attach(self, user: object, recorder: Recorder | None) -> None:
        """Wrap the library, which must be imported by then, for ``user``.

        Args:
            recorder: Receives the calls without a claim, for the library's own probe; ``None`` for every other user.
        """
        if self._observer is None:
            self._observer = self._wrap(self._patches)
        if recorder is not None:
            self._observer.calls.recorder = recorder
        self._users.append(user)

    def detach(self, user: object, *, recording: bool = False) -> None:
        """Undo :meth:`attach`, and record calls whose bodies have not ended."""
        observer = self._observer
        if observer is None or user not in self._users:
            return
        self._users.remove(user)
        observer.flush()
        if recording:
            observer.calls.recorder = None
        if not self._users:
            self._patches.restore()
            observer.active = False
            self._observer = None
