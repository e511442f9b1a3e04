"""Scenes whose app is the honest half of a scenario. There is one for each driver."""

import importlib
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from backwatch.attack import scenarios
from backwatch.attack.authority import Authority
from backwatch.attack.baseline.workloads import Workload, WorkloadConfig
from backwatch.attack.protocols.server import HostileServer
from backwatch.attack.scenarios import Scenario

TRIES = 10
PAUSE_S = 1.0
"""Many times longer than a server needs to restart on a busy machine: some clients try four times within a try."""


@cache
def scenario_of(driver: str) -> type[Scenario]:
    """Return the plainest scenario of a driver: the one that only swaps the certificate, if any."""
    return next(kind for kind in _scenarios() if kind.driver == driver)


def drivers() -> tuple[str, ...]:
    """Return every client library of the pack."""
    return tuple(sorted({kind.driver for kind in _scenarios()}))


@cache
def _scenarios() -> tuple[type[Scenario], ...]:
    return tuple(sorted(scenarios.discover(), key=lambda scenario: (scenario.code != "A6", scenario.name())))


class ScenarioWorkload(Workload):
    """Does what a scenario does before its server turns hostile. Failed work is retried with a new app."""

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self._kind: Callable[[scenarios.AppConfig], Scenario] = _own_scenario()
        self._scenario = self._begin()

    @classmethod
    def service(cls, driver: str, authority: Authority) -> HostileServer:
        """Return the scenario's server, which stays honest."""
        return scenario_of(driver).service(authority)

    @classmethod
    def sources(cls, driver: str, release: str) -> Mapping[str, str]:
        """Return the workload's files, and the scenario's."""
        kind = scenario_of(driver)
        return {
            **super().sources(driver, release), "scenario.py": kind.source(), "run_index": str(kind.run_index),
        }  # fmt: skip

    def restart_app(self) -> None:
        """Replace the app with a new one, with connections of its own."""
        self._scenario = self._begin()

    def work(self, phase: str, number: int) -> None:
        """Do the scenario's work."""
        for left in reversed(range(TRIES)):
            try:
                self._scenario.work()
            except Exception:
                if not left or (phase, number) == ("past", 0):
                    raise
                self.restart_app()
                time.sleep(PAUSE_S)
            else:
                return

    def _begin(self) -> Scenario:
        config = self.config
        answers = Path(config.answers)
        return self._kind(
            scenarios.AppConfig(port=config.port, ca_file=config.ca_file, rounds=0, live=False, answers=answers)
        )


def _own_scenario() -> type[Scenario]:
    """Return the scenario beside the app, on the client that it runs on."""
    index = int(Path(str(sys.modules["__main__"].__file__)).with_name("run_index").read_text())
    return scenarios.variants(importlib.import_module("scenario"))[index]
