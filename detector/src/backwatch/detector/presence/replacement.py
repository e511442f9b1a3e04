"""Replacement of missed processes: one process by another, or a whole family by another family.

A family is the processes of an app on a host that one process forked. Where all of a family goes, as at ``kill -9`` of
a server with its workers, the restarted family replaces it, though no worker of it has its predecessor's parent.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import Final

from backwatch.detector.presence.processes import RUNNING, SILENT, Processes, ProcessState

ELSEWHERE_NS: Final = 300 * 10**9
"""A process on another host takes the place of one that fell silent if it began at most so long before, and the silent
one at least so long before it: a release."""
OVERDUE_HALVES: Final = 3
"""Half intervals without a heartbeat after which a process no longer proves that its family runs.

Processes that end together are missed up to one interval apart, since each has a phase of its own. When the first is
missed, all of them are overdue by more than this.
"""

Fresh = list[tuple[int, str]]
"""Processes that may take a place: time of the first heartbeat, instance."""


def start_in_place(kept: Processes, instance: str) -> list[str]:
    """Return the silent processes on its host whose place this one takes, which begins."""
    row = kept.rows[instance]
    silent = kept.index.in_state(SILENT, row.app, row.host)
    if row.takes_place or not silent:
        return []
    running = _running_families(kept, row.app, row.host)
    lost = [
        (other.heard_ns, instance) for instance in silent
        if (other := kept.rows[instance]).heard_ns < row.first_ns
        and (other.parent == row.parent or other.parent not in running)
    ]  # fmt: skip
    if not lost:
        return []
    row.takes_place = True
    heard_ns, chosen = max(lost)
    family = kept.rows[chosen].parent
    if not family or family == row.parent or _new_families(kept, row.app, row.host, ()).get(row.parent, 0) <= heard_ns:
        return [chosen]
    return sorted(instance for _, instance in lost if kept.rows[instance].parent == family)


def find_replaced(kept: Processes, lost: Sequence[str], missed: Collection[str]) -> set[str]:
    """Return those of the processes lost at a boundary whose place others take.

    Args:
        kept: All processes; those that take a place are marked.
        lost: Which ones, in a fixed order.
        missed: All that are missed at this boundary: they run no more, whether they were looked at or not.
    """
    by_app: dict[str, list[str]] = {}
    for instance in lost:
        by_app.setdefault(kept.rows[instance].app, []).append(instance)
    return {instance for app, mine in by_app.items() for instance in _OfApp(kept, app, missed).find_replaced(mine)}


class _OfApp:
    """The replacements in one app at one boundary. Each process that may take a place is looked at once per list."""

    def __init__(self, kept: Processes, app: str, missed: Collection[str]) -> None:
        self._kept, self._app, self._missed = kept, app, missed
        self._everywhere: Fresh = sorted(
            (row.first_ns, instance) for instance in kept.index.in_state(RUNNING, app)
            if instance not in missed and not (row := kept.rows[instance]).takes_place
        )  # fmt: skip
        self._on_host: dict[tuple[str, bool], Fresh] = {}
        """Host, and whether it is a worker: whether another process forked it."""
        self._of_family: dict[tuple[str, str], Fresh] = {}
        for first in self._everywhere:
            row = kept.rows[first[1]]
            self._on_host.setdefault((row.host, bool(row.parent)), []).append(first)
            self._of_family.setdefault((row.host, row.parent), []).append(first)
        self._running: dict[str, set[str]] = {}
        self._newest: dict[str, int] = {}

    def find_replaced(self, lost: Sequence[str]) -> set[str]:
        """Return which of them are replaced, by the likeliest process first: a restarted server replaces no worker."""
        found: set[str] = set()
        for take in (self._by_sibling, self._by_its_like, self._as_a_family, self._by_any_on_host, self._elsewhere):
            found |= {instance for instance in lost if instance not in found and take(self._kept.rows[instance])}
        return found

    def _by_sibling(self, row: ProcessState) -> bool:
        return self._claim(self._of_family.get((row.host, row.parent), []), row.heard_ns - row.interval_ns)

    def _by_its_like(self, row: ProcessState) -> bool:
        return self._by_another_family(row, is_worker=bool(row.parent))

    def _by_any_on_host(self, row: ProcessState) -> bool:
        return self._by_another_family(row, is_worker=not row.parent)

    def _by_another_family(self, row: ProcessState, *, is_worker: bool) -> bool:
        if self._family_runs(row):
            return False
        return self._claim(self._on_host.get((row.host, is_worker), []), row.heard_ns - row.interval_ns)

    def _as_a_family(self, row: ProcessState) -> bool:
        """Return whether its whole family ended and another one started, perhaps with fewer workers."""
        if not row.parent or self._family_runs(row):
            return False
        if row.host not in self._newest:
            families = _new_families(self._kept, self._app, row.host, self._missed)
            self._newest[row.host] = max(families.values(), default=0)
        return self._newest[row.host] > row.heard_ns - row.interval_ns

    def _elsewhere(self, row: ProcessState) -> bool:
        since_ns = max(row.heard_ns - ELSEWHERE_NS, row.first_ns + ELSEWHERE_NS)
        return self._claim(self._everywhere, since_ns, not_on=row.host)

    def _family_runs(self, row: ProcessState) -> bool:
        if row.host not in self._running:
            self._running[row.host] = _running_families(self._kept, self._app, row.host)
        return row.parent in self._running[row.host]

    def _claim(self, fresh: Fresh, since_ns: int, not_on: str | None = None) -> bool:
        at = bisect_left(fresh, (since_ns + 1, ""))
        while at < len(fresh):
            instance = fresh[at][1]
            row = self._kept.rows[instance]
            if row.takes_place:
                del fresh[at]
            elif row.host == not_on:
                at += 1
            else:
                row.takes_place = True
                self._kept.touch(instance)
                del fresh[at]
                return True
        return False


def _running_families(kept: Processes, app: str, host: str) -> set[str]:
    """Return the parents of the processes that run on this host and were heard recently."""
    found: set[str] = set()
    for instance in kept.index.in_state(RUNNING, app, host):
        row = kept.rows[instance]
        if 2 * (kept.observed_ns - max(row.observed_ns, kept.gap_ns)) <= OVERDUE_HALVES * row.interval_ns:
            found.add(row.parent)
    return found


def _new_families(kept: Processes, app: str, host: str, missed: Collection[str]) -> dict[str, int]:
    """Return the families that run on this host: parent to the first heartbeat of its oldest running process."""
    found: dict[str, int] = {}
    for instance in kept.index.in_state(RUNNING, app, host):
        row = kept.rows[instance]
        if row.parent and instance not in missed:
            found[row.parent] = min(row.first_ns, found.get(row.parent, row.first_ns))
    return found
