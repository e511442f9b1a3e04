"""Scenes whose app is the honest half of an entry of the attack pack, one for each driver."""

import importlib
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from backwatch.attack import entries
from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Place, Scene
from backwatch.attack.entries import Entry
from backwatch.attack.folders import only
from backwatch.attack.protocols.server import HostileServer

TRIES = 10
PAUSE_S = 1.0
"""Many times what a server needs to come back, on a busy machine as well: some clients try four times within a try."""


@cache
def entry_of(driver: str) -> type[Entry]:
    """One entry of a driver, the plainest: that whose service only changes its certificate, where there is one."""
    return next(kind for kind in _entries() if kind.driver == driver)


def drivers() -> tuple[str, ...]:
    """Every client library of the pack."""
    return tuple(sorted({kind.driver for kind in _entries()}))


@cache
def _entries() -> tuple[type[Entry], ...]:
    return tuple(sorted(entries.discover(), key=lambda one: (one.code != "A6", one.name())))


class EntryScene(Scene):
    """Does what an entry does before its service turns; what fails is tried again anew, as apps do."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._kind: Callable[[entries.Place], Entry] = only("entry", Entry)
        self._entry = self._begun()

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """The entry's, which nobody will turn."""
        return entry_of(driver).service(authority)

    @classmethod
    def sources(cls, driver: str, release: str) -> Mapping[str, str]:
        """Beside the scene's the entry's."""
        entry = Path(str(importlib.import_module(entry_of(driver).__module__).__file__))
        return {**super().sources(driver, release), "entry.py": entry.read_text()}

    def anew(self) -> None:
        """A new app in the old one's place, with connections of its own."""
        self._entry = self._begun()

    def work(self, spell: str, number: int) -> None:
        """The entry's."""
        for left in reversed(range(TRIES)):
            try:
                self._entry.work()
            except Exception:
                if not left or (spell, number) == ("past", 0):
                    raise
                self.anew()
                time.sleep(PAUSE_S)
            else:
                return

    def _begun(self) -> Entry:
        place = self.place
        answers = Path(place.answers)
        return self._kind(entries.Place(port=place.port, ca_file=place.ca_file, rounds=0, live=False, answers=answers))
