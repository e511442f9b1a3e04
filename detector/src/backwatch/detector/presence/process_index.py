"""Indexes over the process rows of a shard, so that no heartbeat searches all of them."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

_SLACK: Final = 16
"""Stale entries that a heap may hold beyond twice its names."""

SETTLED: Final = 0
"""It is neither running nor missed: it makes room first."""
FRESH: Final = 1
"""It was heard for the first time a moment ago, or only ever reported: newcomers displace each other."""
MISSED: Final = 2
FOLLOWED: Final = 3
"""It runs and has been heard for a while: it makes room for no newcomer, or a flood of names would end its watch."""
LEAVING: Final = (SETTLED, FRESH, MISSED)
"""Those that make room, the first ones first."""


class IndexedRow(Protocol):
    """The columns of a process row that the indexes read."""

    app: str
    host: str
    state: str
    heard_ns: int


class Ranking:
    """Names by rank, least first and by name among equals. Each operation takes logarithmic time on average."""

    def __init__(self) -> None:
        self._ranks: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._ranks)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ranks)

    def put(self, name: str, rank: int) -> None:
        """Add a name, or give it another rank."""
        if self._ranks.get(name) == rank:
            return
        self._ranks[name] = rank
        heapq.heappush(self._heap, (rank, name))
        if len(self._heap) > 2 * len(self._ranks) + _SLACK:
            self._heap = [(known, instance) for instance, known in self._ranks.items()]
            heapq.heapify(self._heap)

    def drop(self, name: str) -> None:
        """Remove a name."""
        self._ranks.pop(name, None)

    def least(self) -> str | None:
        """Return the name of the least rank."""
        while self._heap:
            rank, name = self._heap[0]
            if self._ranks.get(name) == rank:
                return name
            heapq.heappop(self._heap)
        return None


class _Rows:
    """The rows of an app, or of an app on one host."""

    __slots__ = ("everything", "in_state", "leaving")

    def __init__(self) -> None:
        self.everything: set[str] = set()
        self.leaving = tuple(Ranking() for _ in LEAVING)
        """By standing, those that make room, the least recently heard first."""
        self.in_state: dict[str, set[str]] = {}

    def put(self, instance: str, row: IndexedRow, standing: int) -> None:
        self.everything.add(instance)
        self.in_state.setdefault(row.state, set()).add(instance)
        for at, ranking in zip(LEAVING, self.leaving, strict=True):
            if at == standing:
                ranking.put(instance, row.heard_ns)
            else:
                ranking.drop(instance)

    def drop(self, instance: str, state: str) -> None:
        self.everything.discard(instance)
        for ranking in self.leaving:
            ranking.drop(instance)
        self.in_state[state].discard(instance)
        if not self.in_state[state]:
            del self.in_state[state]


class ProcessIndex:
    """Finds processes by app, host and state, and the one that makes room.

    Args:
        standing_of: Returns SETTLED, FRESH, MISSED or FOLLOWED for a row.
    """

    def __init__(self, standing_of: Callable[[Any], int]) -> None:
        self._standing_of = standing_of
        self._places: dict[str, tuple[str, str, str]] = {}
        self._apps: dict[str, _Rows] = {}
        self._hosts: dict[tuple[str, str], _Rows] = {}
        self._settled = Ranking()
        self._sizes = {standing: Ranking() for standing in (FRESH, MISSED)}
        """Apps by the number of their rows of this standing, the most first."""

    def put(self, instance: str, row: IndexedRow) -> None:
        """Take a row in, or what has changed of it."""
        place = row.app, row.host, row.state
        if self._places.get(instance, place) != place:
            self.drop(instance)
        self._places[instance] = place
        standing = self._standing_of(row)
        self._apps.setdefault(row.app, _Rows()).put(instance, row, standing)
        self._hosts.setdefault((row.app, row.host), _Rows()).put(instance, row, standing)
        self._count(row.app)
        if standing == SETTLED:
            self._settled.put(instance, row.heard_ns)
        else:
            self._settled.drop(instance)

    def drop(self, instance: str) -> None:
        """Take a row out."""
        place = self._places.pop(instance, None)
        if place is None:
            return
        app, host, state = place
        self._settled.drop(instance)
        rows = self._hosts[app, host]
        rows.drop(instance, state)
        if not rows.everything:
            del self._hosts[app, host]
        rows = self._apps[app]
        rows.drop(instance, state)
        self._count(app)
        if not rows.everything:
            del self._apps[app]

    def _count(self, app: str) -> None:
        for standing, sizes in self._sizes.items():
            if many := len(self._apps[app].leaving[standing]):
                sizes.put(app, -many)
            else:
                sizes.drop(app)

    def apps(self) -> Iterator[str]:
        """Iterate over the apps that have a process."""
        return iter(self._apps)

    def of(self, app: str, host: str | None = None) -> Iterable[str]:
        """Return the processes of an app, on one host or on all. Their order is not defined."""
        rows = self._apps.get(app) if host is None else self._hosts.get((app, host))
        return rows.everything if rows is not None else ()

    def in_state(self, state: str, app: str, host: str | None = None) -> "set[str] | frozenset[str]":
        """Return the processes of an app in this state, on one host or on all."""
        rows = self._apps.get(app) if host is None else self._hosts.get((app, host))
        return rows.in_state.get(state, _NONE) if rows is not None else _NONE

    def places(self) -> Iterator[tuple[str, str, str]]:
        """Iterate over app, host and state of each process, each once."""
        for (app, host), rows in self._hosts.items():
            for state in rows.in_state:
                yield app, host, state

    def count(self, app: str, host: str) -> int:
        """Return the number of processes of an app on a host."""
        rows = self._hosts.get((app, host))
        return len(rows.everything) if rows is not None else 0

    def first_to_leave(self, app: str, host: str) -> str | None:
        """Return the process that makes room for another one of this app on this host; ``None`` if all are followed."""
        rows = self._hosts.get((app, host))
        return next(filter(None, (heap.least() for heap in rows.leaving)), None) if rows is not None else None

    def first_of_all_to_leave(self) -> str | None:
        """Return the process that makes room: a settled one, else one of the app that has the most unfollowed ones."""
        if (settled := self._settled.least()) is not None:
            return settled
        for standing, sizes in self._sizes.items():
            if (largest := sizes.least()) is not None:
                return self._apps[largest].leaving[standing].least()
        return None


_NONE: Final = frozenset[str]()
