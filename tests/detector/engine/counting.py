"""Detectors that count calls, as releases with other tables or faults, and engines of them."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import Engine, EngineConfig
from backwatch.detector.rules.compiled_rules import RuleSet
from backwatch.detector.rules.fields import Vocabulary
from backwatch.detector.state.keys import RESOURCE, SITE
from backwatch.detector.state.tables import Table
from tests.detector.streams import SECOND

HOUR = 3_600 * SECOND
CONFIG = EngineConfig(key=b"a key of 16 byte", clear_after_ns=HOUR)
ROW = np.dtype([("calls", "<i8")])
WIDER = np.dtype([("calls", "<i8"), ("more", "<f8")])


class Counting(Detector):
    """Count calls per resource and per site."""

    id: ClassVar[str] = "counting"
    provides: ClassVar[tuple[str, ...]] = ("backwatch.counted",)
    tables: ClassVar[tuple[Table, ...]] = (Table("counting", RESOURCE, 1, ROW), Table("counting_site", SITE, 1, ROW))
    fails: ClassVar[bool] = False

    def facts(self, calls: Calls, slot: Mapping[str, Any], tables: Mapping[str, Any], learn: Array) -> dict[str, Array]:
        """Return the counts."""
        for table in self.tables:
            np.add.at(tables[table.name]["calls"], slot[table.keys.name], 1)
        if self.fails:
            raise RuntimeError
        return {"backwatch.counted": np.ones(calls.count)}


class Wider(Counting):
    """The next release, with one more field."""

    tables = (Table("counting", RESOURCE, 1, WIDER), Table("counting_site", SITE, 1, ROW))


class Moved(Counting):
    """A release that can read the older rows."""

    tables = (Table("counting", RESOURCE, 2, ROW), Table("counting_site", SITE, 1, ROW))

    def migrate(self, table: Table, rows: Any, from_version: int) -> Any:
        """Convert counts to tens."""
        assert (table.name, from_version) == ("counting", 1)
        rows["calls"] *= 10
        return rows


class Forgetful(Counting):
    """A release that cannot read the older rows."""

    tables = (Table("counting", RESOURCE, 2, ROW), Table("counting_site", SITE, 1, ROW))


class Other(Counting):
    """A second detector."""

    id = "other"
    provides = ("backwatch.other",)
    tables = (Table("other", RESOURCE, 1, ROW),)

    def facts(self, calls: Calls, slot: Mapping[str, Any], tables: Mapping[str, Any], learn: Array) -> dict[str, Array]:
        """Return a count too."""
        np.add.at(tables["other"]["calls"], slot[RESOURCE.name], 1)
        return {"backwatch.other": np.ones(calls.count)}


class Failing(Counting):
    """A detector that writes, then raises."""

    fails = True


class Short(Counting):
    """A detector that returns fewer facts than it declares."""

    def facts(self, calls: Calls, slot: Mapping[str, Any], tables: Mapping[str, Any], learn: Array) -> dict[str, Array]:
        """Return one value too few."""
        super().facts(calls, slot, tables, learn)
        return {"backwatch.counted": np.ones(calls.count - 1)}


def make_small_engine(*kinds: type[Detector]) -> Engine:
    """Return an engine of these detectors without rules, or the shipped engine without arguments."""
    if not kinds:
        return make_engine(CONFIG)
    return Engine(CONFIG, [kind() for kind in kinds], RuleSet([], Vocabulary.of(kinds)))
