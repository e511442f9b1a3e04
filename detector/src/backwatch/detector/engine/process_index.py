"""Indexes over the process rows of a shard, so that no heartbeat searches all of them."""

import heapq
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

_SLACK: Final = 16
"""Stale entries that a heap may hold beyond twice its names."""


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
            self._heap = [(known, one) for one, known in self._ranks.items()]
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

    __slots__ = ("in_state", "oldest", "settled")

    def __init__(self) -> None:
        self.oldest = Ranking()
        self.settled = Ranking()
        """Those that are neither running nor missed: they make room first."""
        self.in_state: dict[str, set[str]] = {}

    def put(self, instance: str, row: IndexedRow, *, settled: bool) -> None:
        self.oldest.put(instance, row.heard_ns)
        self.in_state.setdefault(row.state, set()).add(instance)
        if settled:
            self.settled.put(instance, row.heard_ns)

    def drop(self, instance: str, state: str) -> None:
        self.oldest.drop(instance)
        self.settled.drop(instance)
        self.in_state[state].discard(instance)
        if not self.in_state[state]:
            del self.in_state[state]


class ProcessIndex:
    """Finds processes by app, host and state, and the one that makes room.

    Args:
        known: States of a process that runs or is missed; all others make room first.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._places: dict[str, tuple[str, str, str]] = {}
        self._apps: dict[str, _Rows] = {}
        self._hosts: dict[tuple[str, str], _Rows] = {}
        self._sizes = Ranking()
        self._settled = Ranking()

    def put(self, instance: str, row: IndexedRow) -> None:
        """Take a row in, or what has changed of it."""
        place = row.app, row.host, row.state
        if self._places.get(instance, place) != place:
            self.drop(instance)
        self._places[instance] = place
        settled = row.state not in self._known
        self._apps.setdefault(row.app, _Rows()).put(instance, row, settled=settled)
        self._hosts.setdefault((row.app, row.host), _Rows()).put(instance, row, settled=settled)
        self._sizes.put(row.app, -len(self._apps[row.app].oldest))
        if settled:
            self._settled.put(instance, row.heard_ns)

    def drop(self, instance: str) -> None:
        """Take a row out."""
        place = self._places.pop(instance, None)
        if place is None:
            return
        app, host, state = place
        self._settled.drop(instance)
        rows = self._hosts[app, host]
        rows.drop(instance, state)
        if not len(rows.oldest):
            del self._hosts[app, host]
        rows = self._apps[app]
        rows.drop(instance, state)
        self._sizes.put(app, -len(rows.oldest))
        if not len(rows.oldest):
            del self._apps[app]
            self._sizes.drop(app)

    def apps(self) -> Iterator[str]:
        """Iterate over the apps that have a process."""
        return iter(self._apps)

    def of(self, app: str, host: str | None = None) -> Iterable[str]:
        """Return the processes of an app, on one host or on all, in no order that anything may depend on."""
        rows = self._apps.get(app) if host is None else self._hosts.get((app, host))
        return rows.oldest if rows is not None else ()

    def in_state(self, state: str, app: str, host: str | None = None) -> "set[str] | frozenset[str]":
        """Return the processes of an app that are in this state, on one host or on all."""
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
        return len(rows.oldest) if rows is not None else 0

    def first_to_leave(self, app: str, host: str) -> str | None:
        """Return the process of an app on a host that makes room for another one there."""
        rows = self._hosts.get((app, host))
        return rows and (rows.settled.least() or rows.oldest.least())

    def first_of_all_to_leave(self) -> str | None:
        """Return the process that makes room: one that settled, or the largest app's least recently heard."""
        largest = self._sizes.least()
        return self._settled.least() or (largest and self._apps[largest].oldest.least())


_NONE: Final = frozenset[str]()
