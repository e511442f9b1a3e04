"""The state of one partition of the stream. No I/O: its owner feeds entries in and carries its deltas away."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.detectors import Detector
from backwatch.detector.engine import state
from backwatch.detector.engine.expected import Expected
from backwatch.detector.engine.keys import RESOURCE, SPACES
from backwatch.detector.engine.lateness import LATENESS
from backwatch.detector.engine.open_findings import OpenFindings
from backwatch.detector.engine.shown import Shown
from backwatch.detector.engine.space import Space
from backwatch.detector.engine.tables import Rows, Table
from backwatch.detector.engine.windows import WINDOWS

OVERFLOW = "overflow"
EVICTED = "evicted"
UNDONE = "detector"
UNCLEARED = "uncleared"
"""Kinds of loss: calls for whose key a space had no room, settled keys that made room, calls or minutes for which a
detector raised and was undone, findings that will not clear."""


@dataclass(slots=True)
class Scalars:
    """What is neither a row nor an array.

    Attributes:
        watermark_ns, boundary_ns: How far event time has come, and the last boundary that was acted on.
        relieved_ns: The boundary after which spaces were last relieved of stale slots.
        uncounted: Firings since the last boundary of which a correlation knows nothing, or nothing any more.
        untold: Losses since the last boundary, per app and kind: told at the next one.
        accepted: Alert id to the end of its acceptance in nanoseconds, 0 for no end.
    """

    watermark_ns: int = 0
    boundary_ns: int = 0
    relieved_ns: int = 0
    uncounted: int = 0
    untold: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    accepted: dict[str, int] = field(default_factory=dict[str, int])


class Shard:
    """Key spaces, tables, windows, open findings, models and clock of one partition.

    Args:
        counted: What correlations remember: a table each, in a key space of its own.
        of_one_statement: Hashes of the rules whose findings are each about one statement.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        counted: Sequence[Table] = (),
        of_one_statement: frozenset[int] = frozenset(),
    ) -> None:
        self._detectors = {table.name: detector for detector in detectors for table in detector.tables}
        tables: list[Table] = [
            WINDOWS,
            LATENESS,
            *(table for detector in detectors for table in detector.tables),
            *counted,
        ]
        spaces = (*SPACES, *(table.keys for table in counted))
        self.spaces = {space.name: Space(space, [table for table in tables if table.keys is space]) for space in spaces}
        self.scalars = Scalars()
        self.open = OpenFindings(of_one_statement, lambda: self.lose(UNCLEARED, 1))
        self.models: dict[str, Mapping[str, NDArray[Any]]] = {}
        self.expected = Expected()
        self.shown = Shown()
        self.resources: dict[int, tuple[str, str, str, str]] = {}
        """RESOURCE slot to its key's parts: app, system, endpoint, namespace."""
        self._fresh_resources: set[int] = set()
        self._fresh_models: set[str] = set()
        self.relearning: list[str] = []
        """Detectors whose tables could not be migrated and that learn anew."""

    def tables(self, detector: Detector) -> dict[str, Rows]:
        """This detector's tables by name."""
        return {table.name: self.spaces[table.keys.name].tables[table.name] for table in detector.tables}

    @property
    def windows(self) -> Rows:
        """The windows that are open, per resource."""
        return self.spaces[RESOURCE.name].tables[WINDOWS.name]

    @property
    def lateness(self) -> Rows:
        """Calls of the stretch that lasts, per resource."""
        return self.spaces[RESOURCE.name].tables[LATENESS.name]

    def delta(self) -> bytes:
        """What changed since the last delta or snapshot; marks it as carried away."""
        scalars = self._scalars(sorted(self._fresh_resources), everything=False)
        blob = state.pack(list(self._sections(everything=False)), scalars)
        self._fresh_resources.clear()
        self.expected.carried()
        self.shown.carried()
        self._fresh_models.clear()
        for space in self.spaces.values():
            space.dirty[:] = False
            space.sketch_dirty[:] = False
        self.open.dirty[:] = False
        return blob

    def snapshot(self) -> bytes:
        """The whole state."""
        scalars = self._scalars(sorted(self.resources), everything=True)
        return state.pack(list(self._sections(everything=True)), scalars)

    def name_resource(self, slot: int, parts: tuple[str, str, str, str]) -> None:
        """Remembers the text of a resource's key: windows and deadlines have no call to read it from."""
        self.resources[slot] = parts
        self._fresh_resources.add(slot)
        self.shown.forget(slot)

    def take_model(self, detector: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Uses this model from now on."""
        self.models[detector] = dict(arrays)
        self._fresh_models.add(detector)

    def lose(self, kind: str, count: int, app: str = "") -> None:
        """Counts a loss, to be told at the next boundary."""
        if count:
            mine = self.scalars.untold.setdefault(app, {})
            mine[kind] = mine.get(kind, 0) + count

    def overflow(self, space: Space) -> None:
        """Counts the calls for whose key this space had no room."""
        count = space.overflowed()
        if space.specs:  # where nothing is remembered, nothing is lost
            self.lose(f"{OVERFLOW}.{space.space.name}", count)

    def relieve(self) -> None:
        """Reclaims slots wherever a space is nearly full, and whatever hangs on them; what was settled is a loss."""
        now_ns = self.scalars.boundary_ns
        for name, space in self.spaces.items():
            stale = space.stale(now_ns)
            if stale.shape[0]:
                if space.specs:
                    self.lose(f"{EVICTED}.{name}", space.settled(stale, now_ns))
                self.reclaim(name, stale)

    def reclaim(self, name: str, slots: NDArray[np.int32]) -> None:
        """Free these slots of a space, and those of the spaces below that hang on them."""
        for child_name, child in self.spaces.items():
            if child.space.parent is self.spaces[name].space:
                self.reclaim(child_name, child.children_of(slots))
        self.spaces[name].reclaim(slots)

    def apply(self, blobs: Sequence[bytes]) -> None:
        """Takes a snapshot and then deltas, in order.

        Raises:
            CorruptState: One of them is damaged.
        """
        for blob in blobs:
            sections, scalars = state.unpack(blob)
            named = scalars.pop("resources")
            self.resources.update({int(slot): tuple(parts) for slot, parts in named.items()})
            self.shown.take(scalars.pop("shown", {}))
            self.expected.take(scalars.pop("announced", {}), scalars.pop("acceptances", {}))
            self.scalars = Scalars(**scalars)
            for detector in {one.name.split("/")[1] for one in sections if one.name.startswith("model/")}:
                self.models.pop(detector, None)  # a model comes whole
            for section in self._migrated(sections):
                self._take(section)
        for space in self.spaces.values():
            space.reindex()
        self.open.restore()

    def _scalars(self, resources: Sequence[int], *, everything: bool) -> dict[str, Any]:
        one = self.scalars
        return {
            "watermark_ns": one.watermark_ns, "boundary_ns": one.boundary_ns, "relieved_ns": one.relieved_ns,
            "uncounted": one.uncounted, "untold": one.untold, "accepted": one.accepted,
            "resources": {str(slot): self.resources[slot] for slot in resources},
            **self.expected.scalars(everything=everything), **self.shown.scalars(everything=everything),
        }  # fmt: skip

    def _sections(self, *, everything: bool) -> Iterator[state.Section]:
        for name, space in self.spaces.items():
            at = np.flatnonzero(space.keys if everything else space.dirty).astype(np.int32)
            head = np.zeros(at.shape[0], _HEAD)
            head["key"], head["parent"] = space.keys[at], space.parent[at]
            head["first_seen"], head["last_seen"] = space.first_seen[at], space.last_seen[at]
            yield state.Section(name=f"space/{name}", rows=head, at=at)
            for table in space.specs:
                rows = space.tables[table.name][at]
                yield state.Section(name=f"table/{table.name}", rows=rows, at=at, version=table.version)
            if space.sketch.shape[0]:
                cells = np.flatnonzero(space.sketch if everything else space.sketch_dirty).astype(np.int32)
                yield state.Section(name=f"sketch/{name}", rows=space.sketch[cells], at=cells)
        at = self.open.used() if everything else np.flatnonzero(self.open.dirty).astype(np.int32)
        yield state.Section(name="open", rows=self.open.rows(at), at=at)
        for detector in self.models if everything else sorted(self._fresh_models):
            arrays = self.models[detector]
            for name, array in arrays.items():
                yield state.Section(name=f"model/{detector}/{name}", rows=array)

    def _take(self, section: state.Section) -> None:
        kind, _, name = section.name.partition("/")
        at = section.at
        if kind == "space" and name in self.spaces:
            space = self.spaces[name]
            # Kept by an older release, a key is taken for one that was known for long.
            head = state.fitted(section.rows, _HEAD)
            space.keys[at], space.parent[at] = head["key"], head["parent"]
            space.first_seen[at], space.last_seen[at] = head["first_seen"], head["last_seen"]
        elif kind == "sketch" and name in self.spaces:
            self.spaces[name].sketch[at] = section.rows
        elif kind == "open" and at is not None:
            self.open.take(at, section.rows)
        elif kind == "model":
            detector, _, array = name.partition("/")
            self.models[detector] = {**self.models.get(detector, {}), array: section.rows}
        elif kind == "table":
            self._take_table(name, section)

    def _take_table(self, name: str, section: state.Section) -> None:
        for space in self.spaces.values():
            for table in space.specs:
                if table.name == name:
                    space.tables[name][section.at] = state.fitted(section.rows, table.dtype)

    def _migrated(self, sections: Sequence[state.Section]) -> list[state.Section]:
        """Tables in today's versions. Where a detector cannot migrate one, all of its tables begin anew."""
        specs = {table.name: table for space in self.spaces.values() for table in space.specs}
        anew: set[str] = set()
        found: list[state.Section] = []
        for section in sections:
            name = section.name.partition("/")[2]
            if not self._owner(section) or section.version == specs[name].version:
                found.append(section)
                continue
            try:
                rows = self._detectors[name].migrate(specs[name], section.rows.copy(), section.version)
                found.append(replace(section, rows=rows))
            except NotImplementedError:
                anew.add(self._owner(section))
                found.append(section)
        self.relearning += sorted(anew)
        return [self._emptied(section) if self._owner(section) in anew else section for section in found]

    def _owner(self, section: state.Section) -> str:
        kind, _, name = section.name.partition("/")
        return self._detectors[name].id if kind == "table" and name in self._detectors else ""

    def _emptied(self, section: state.Section) -> state.Section:
        table = section.name.partition("/")[2]
        dtype = next(one.dtype for space in self.spaces.values() for one in space.specs if one.name == table)
        return replace(section, rows=np.zeros(section.rows.shape, dtype))


_HEAD = np.dtype([("key", "<u8"), ("parent", "<i4"), ("last_seen", "<i8"), ("first_seen", "<i8")])
