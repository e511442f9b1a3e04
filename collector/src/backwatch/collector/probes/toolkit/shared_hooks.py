"""One set of hooks in a library for all probes that need them: its own, and those of what rides on it.

Whoever comes first wraps, whoever leaves last restores. What nobody claims is told only while the library's own probe
is there: another probe's need of the hooks does not make the app's other requests known.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from backwatch.collector.probes import Recorder
from backwatch.collector.probes.toolkit.patches import Patches


class _Watch(Protocol):
    recorder: Recorder | None
    active: bool

    def settle(self) -> None: ...


W = TypeVar("W", bound=_Watch)


class SharedHooks(Generic[W]):
    """The hooks while they are in place, and who asked for them.

    Args:
        wrap: Puts them there, and gives the watch that they report to.
    """

    def __init__(self, wrap: Callable[[Patches], W]) -> None:
        self._wrap = wrap
        self._patches = Patches()
        self._watch: W | None = None
        self._users: list[object] = []

    def attach(self, user: object, recorder: Recorder | None) -> None:
        """Wraps the library, which must be imported by then, for ``user``.

        Args:
            recorder: Where to tell what nobody claims: the library's own probe; ``None`` for every other user.
        """
        if self._watch is None:
            self._watch = self._wrap(self._patches)
        if recorder is not None:
            self._watch.recorder = recorder
        self._users.append(user)

    def detach(self, user: object, *, recording: bool = False) -> None:
        """Undoes :meth:`attach`; what still waits for its body is told as far as it has come."""
        watch = self._watch
        if watch is None or user not in self._users:
            return
        self._users.remove(user)
        watch.settle()
        if recording:
            watch.recorder = None
        if not self._users:
            self._patches.restore()
            watch.active = False
            self._watch = None
