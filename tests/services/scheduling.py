"""Test scheduling on xdist's workers: each idle worker gets the next unit, the longest units first.

A unit is a file, because files share module-scoped fixtures and fixed names on servers. Two markers change that:

- ``spread``: any test of this file may run in any worker at any time.
- ``xdist_group(name)``: all tests of this group run in one worker, one after another.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

LAST = 4


def unit_of(item: pytest.Item) -> str:
    """Return the name of the unit that a test belongs to."""
    group = item.get_closest_marker("xdist_group")
    if group:
        return str(group.args[0])
    return item.nodeid if item.get_closest_marker("spread") else _file_of(item.nodeid)


def sort_slowest_first(items: list[pytest.Item]) -> None:
    """Sort tests by unit: slow files first, then heavy ones, whole systems, the rest, and short units last.

    The last units decide how long one worker waits for the others, and a test of a file that is ``spread`` is short.
    """
    ranks: dict[str, int] = {}
    for item in items:
        unit = unit_of(item)
        ranks[unit] = min(ranks.get(unit, LAST), _rank(item))
    items.sort(key=lambda item: ranks[unit_of(item)])


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("slow"):
        return 0
    if item.get_closest_marker("spread"):
        return LAST
    if item.get_closest_marker("heavy"):
        return 1
    return 2 if item.nodeid.startswith("tests/system/") else 3


def write_units(items: Sequence[pytest.Item], path: Path) -> None:
    """Write the unit of each test, for the controlling process, which collects nothing itself."""
    path.write_text(json.dumps({item.nodeid: unit_of(item) for item in items}))


class UnitScheduling(LoadScopeScheduling):
    """Deal whole units to idle workers, in the order of collection."""

    def __init__(self, config: pytest.Config, log: Any, units_file: Path) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self._units_file = units_file
        self._units: dict[str, str] = {}

    def schedule(self) -> None:
        """Read the units that the first worker wrote, then deal them."""
        if not self._units:
            self._units = json.loads(self._units_file.read_text())
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._units.get(nodeid, _file_of(nodeid))


def _file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]
