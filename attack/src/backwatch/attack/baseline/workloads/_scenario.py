"""Scenes whose app is the honest half of an entry of the attack pack, one for each driver."""

import importlib
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from backwatch.attack import scenarios
from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Place, Scene
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

TRIES = 10
PAUSE_S = 1.0
"""Many times what a server needs to come back, on a busy machine as well: some clients try four times within a try."""


@cache
def scenario_of(driver: str) -> type[Scenario]:
    """One entry of a driver, the plainest: that whose service only changes its certificate, where there is one."""
    return next(kind for kind in _scenarios() if kind.driver == driver)


def drivers() -> tuple[str, ...]:
    """Every client library of the pack."""
    return tuple(sorted({kind.driver for kind in _scenarios()}))


@cache
def _scenarios() -> tuple[type[Scenario], ...]:
    return tuple(sorted(scenarios.discover(), key=lambda one: (one.code != "A6", one.name())))


class ScenarioScene(Scene):
    """Does what an entry does before its service turns; what fails is tried again anew, as apps do."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._kind: Callable[[scenarios.AppConfig], Scenario] = _own_scenario()
        self._scenario = self._begun()

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """The entry's, which nobody will turn."""
        return scenario_of(driver).service(authority)

    @classmethod
    def sources(cls, driver: str, release: str) -> Mapping[str, str]:
        """Beside the scene's the entry's."""
        kind = scenario_of(driver)
        return {
            **super().sources(driver, release), "scenario.py": kind.source(), "run_index": str(kind.run_index),
        }  # fmt: skip

    def anew(self) -> None:
        """A new app in the old one's place, with connections of its own."""
        self._scenario = self._begun()

    def work(self, spell: str, number: int) -> None:
        """The entry's."""
        for left in reversed(range(TRIES)):
            try:
                self._scenario.work()
            except Exception:
                if not left or (spell, number) == ("past", 0):
                    raise
                self.anew()
                time.sleep(PAUSE_S)
            else:
                return

    def _begun(self) -> Scenario:
        place = self.place
        answers = Path(place.answers)
        return self._kind(
            scenarios.AppConfig(port=place.port, ca_file=place.ca_file, rounds=0, live=False, answers=answers)
        )


def _own_scenario() -> type[Scenario]:
    """Return the scenario beside the app, on the client that it runs on."""
    index = int(Path(str(sys.modules["__main__"].__file__)).with_name("run_index").read_text())
    return scenarios.variants(importlib.import_module("scenario"))[index]
