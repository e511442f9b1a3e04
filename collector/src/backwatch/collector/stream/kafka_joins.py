"""A group member whose join survives the pause between two polls.

The client's own coordinator (3.0.12) drops a join that ends between two polls, and starts another one, which makes the
whole group rebalance again. Where only changed metadata asked for the join, it even takes the group for joined: the
member then has no partition, sends no heartbeat and never comes back.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

from kafka.coordinator.consumer import ConsumerCoordinator


class _JoinTask:
    """A join under way, which counts as done only where its result is of no use."""

    def __init__(self, future: Any, valid_s: float) -> None:
        self._future = future
        self._valid_s = valid_s
        self._succeeded_s = 0.0
        future.add_callback(self._on_success)

    def _on_success(self, _assignment: object) -> None:
        self._succeeded_s = time.monotonic()

    @property
    def is_done(self) -> bool:
        """Return whether it failed, or succeeded so long ago that the broker has dropped this member since."""
        if not self._future.is_done:
            return False
        return self._future.failed() or time.monotonic() - self._succeeded_s > self._valid_s

    def add_callback(self, call: Callable[[Any], object]) -> None:
        """Call back on success, at once where it has succeeded."""
        self._future.add_callback(call)

    def add_errback(self, call: Callable[[Any], object]) -> None:
        """Call back on failure."""
        self._future.add_errback(call)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._future.__await__()


class PatientCoordinator(ConsumerCoordinator):  # pyright: ignore[reportUntypedBaseClass]
    """The client's coordinator, which finishes each join that it began."""

    _kept_join: _JoinTask | None = None

    @property
    def _join_task(self) -> _JoinTask | None:
        return self._kept_join

    @_join_task.setter
    def _join_task(self, future: Any) -> None:
        valid_s = self.config["session_timeout_ms"] / 1000
        self._kept_join = None if future is None else _JoinTask(future, valid_s)

    def need_rejoin(self) -> bool:
        """Return whether the member is to join: always while it is none."""
        member: Any = self
        return not member.stable() or super().need_rejoin()


def finish_joins(consumer: Any) -> None:
    """Have a new consumer finish each join that it begins."""
    consumer._coordinator.__class__ = PatientCoordinator
