"""The state of one partition of the stream. No I/O: its owner feeds entries in and carries its deltas away."""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.detectors import Detector
from backwatch.detector.engine.lateness import LATENESS
from backwatch.detector.engine.open_findings import ROW as OPEN
from backwatch.detector.engine.open_findings import OpenFindings
from backwatch.detector.engine.windows import WINDOWS
from backwatch.detector.identity.approved import APPROVED, ApprovedCalls
from backwatch.detector.identity.expected import ExpectedIdentities
from backwatch.detector.identity.identity_snapshot import ShownIdentities
from backwatch.detector.presence.processes import Processes
from backwatch.detector.state import snapshot as state_snapshot
from backwatch.detector.state.key_space import Space
from backwatch.detector.state.keys import RESOURCE, SPACES
from backwatch.detector.state.tables import CHANGED, Rows, Table

OVERFLOW = "overflow"
EVICTED = "evicted"
UNDONE = "detector"
UNCLEARED = "uncleared"
"""Kinds of loss: calls for whose key a space had no room, settled keys that made room, calls or minutes for which a
detector raised and was undone, findings that will not clear."""


@dataclass(slots=True)
class Scalars:
    """State that is neither a row nor an array.

    Attributes:
        watermark_ns, boundary_ns: How far event time has come, and the last boundary that was acted on.
        relieved_ns: The boundary after which spaces were last relieved of stale slots.
        uncounted: Firings since the last boundary of which a correlation knows nothing, or nothing any more.
        unreported: Losses since the last boundary, per app and kind; reported at the next one. ``untold`` in snapshots.
        crowded: Whether so many findings were open at the last boundary that every new key folds.
        loss_alerts: Alerts about losses that fired of late: id, shortened, to the last time.
    """

    watermark_ns: int = 0
    boundary_ns: int = 0
    relieved_ns: int = 0
    uncounted: int = 0
    unreported: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    crowded: bool = False
    loss_alerts: dict[str, int] = field(default_factory=dict[str, int])


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
        # Through a weak reference: a shard in a reference cycle would keep its tables until the collector runs.
        weak = weakref.ref(self)
        self.open = OpenFindings(of_one_statement, lambda: _note_uncleared(weak()))
        self.models: dict[str, Mapping[str, NDArray[Any]]] = {}
        self.expected = ExpectedIdentities()
        self.approved = ApprovedCalls()
        self.shown = ShownIdentities()
        self.processes = Processes()
        self.resources: dict[int, tuple[str, str, str, str]] = {}
        """RESOURCE slot to its key's parts: app, system, endpoint, namespace."""
        self._fresh_resources: set[int] = set()
        self._fresh_models: set[str] = set()
        self.relearning: list[str] = []
        """Detectors whose tables could not be migrated and that learn anew."""

    def tables(self, detector: Detector) -> dict[str, Rows]:
        """Return this detector's tables by name."""
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
        """Return the changes since the last delta or snapshot, and mark them as saved."""
        scalars = self._scalars(sorted(self._fresh_resources), everything=False)
        blob = state_snapshot.pack(self._sections(everything=False), scalars)
        self._fresh_resources.clear()
        self.expected.mark_saved()
        self.approved.mark_saved()
        self.shown.mark_saved()
        self.processes.mark_saved()
        self._fresh_models.clear()
        for space in self.spaces.values():
            space.clear_changed()
            space.dirty[:] = False
            space.sketch_dirty[np.flatnonzero(space.sketch_dirty)] = False  # writes to no page that is not in use
        self.open.dirty[:] = False
        return blob

    def snapshot(self) -> bytes:
        """Return the whole state."""
        scalars = self._scalars(sorted(self.resources), everything=True)
        return state_snapshot.pack(self._sections(everything=True), scalars)

    def name_resource(self, slot: int, parts: tuple[str, str, str, str]) -> None:
        """Remember the text of a resource's key: a closing window has no call to read it from."""
        self.resources[slot] = parts
        self._fresh_resources.add(slot)
        self.shown.forget(slot)

    def take_model(self, detector: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Use this model from now on."""
        self.models[detector] = dict(arrays)
        self._fresh_models.add(detector)

    def lose(self, kind: str, count: int, app: str = "") -> None:
        """Count a loss, to be reported at the next boundary."""
        if count:
            mine = self.scalars.unreported.setdefault(app, {})
            mine[kind] = mine.get(kind, 0) + count

    def overflow(self, space: Space) -> None:
        """Count the calls for whose key this space had no room."""
        count = space.take_overflow()
        if space.specs:  # where nothing is remembered, nothing is lost
            self.lose(f"{OVERFLOW}.{space.space.name}", count)

    def relieve(self) -> None:
        """Reclaim slots, with their dependent slots, wherever a space is nearly full. Settled keys count as a loss."""
        now_ns = self.scalars.boundary_ns
        for name, space in self.spaces.items():
            stale = space.find_stale(now_ns)
            if stale.shape[0]:
                if space.specs:
                    self.lose(f"{EVICTED}.{name}", space.count_settled(stale, now_ns))
                self.reclaim(name, stale)

    def reclaim(self, name: str, slots: NDArray[np.int32]) -> None:
        """Free these slots of a space, and the slots of child spaces that depend on them."""
        for child_name, child in self.spaces.items():
            if child.space.parent is self.spaces[name].space:
                self.reclaim(child_name, child.children_of(slots))
        self.spaces[name].reclaim(slots)

    def apply(self, blobs: Sequence[bytes]) -> None:
        """Load a snapshot and then deltas, in order.

        Raises:
            CorruptState: One of them is damaged.
        """
        for blob in blobs:
            scalars, sections = state_snapshot.read(blob)
            try:
                self._take_blob(scalars, sections)
            except state_snapshot.CorruptState:
                raise
            except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
                raise state_snapshot.CorruptState(f"a state blob is damaged: {str(error)[:200]}") from None
        for space in self.spaces.values():
            space.reindex()
        self.open.restore()

    def _take_blob(self, scalars: dict[str, Any], sections: Iterator[state_snapshot.Section]) -> None:
        named = scalars.pop("resources")
        self.resources.update({int(slot): tuple(parts) for slot, parts in named.items()})
        self.shown.take(scalars.pop("shown", {}))
        self.processes.take(scalars.pop("presence", {}))
        self.expected.take(scalars.pop("announced", {}), scalars.pop("acceptances", {}), scalars.pop("accepted", {}))
        self.scalars = Scalars(unreported=scalars.pop("untold", {}), **scalars)
        models: dict[str, dict[str, NDArray[Any]]] = {}
        anew: set[str] = set()
        for section in sections:
            kind, _, name = section.name.partition("/")
            if kind == "approved":
                self.approved.take(name, state_snapshot.fit_rows(section.rows, APPROVED))
            elif kind == "model":
                detector, _, array = name.partition("/")
                models.setdefault(detector, {})[array] = section.rows
            else:
                self._take(self._migrate(section, anew))
        self.models |= models  # a model comes whole
        for table in [table for table, detector in self._detectors.items() if detector.id in anew]:
            rows = next(space.tables[table] for space in self.spaces.values() if table in space.tables)
            rows[:] = np.zeros(1, rows.dtype)
        self.relearning += sorted(anew)

    def _scalars(self, resources: Sequence[int], *, everything: bool) -> dict[str, Any]:
        scalars = self.scalars
        return {
            "watermark_ns": scalars.watermark_ns, "boundary_ns": scalars.boundary_ns,
            "relieved_ns": scalars.relieved_ns, "uncounted": scalars.uncounted, "untold": scalars.unreported,
            "crowded": scalars.crowded, "loss_alerts": scalars.loss_alerts,
            "resources": {str(slot): self.resources[slot] for slot in resources},
            **self.expected.scalars(everything=everything), **self.shown.scalars(everything=everything),
            **self.processes.scalars(everything=everything),
        }  # fmt: skip

    def _sections(self, *, everything: bool) -> Iterator[state_snapshot.Section | state_snapshot.Source]:
        for name, space in self.spaces.items():
            at = np.flatnonzero(space.keys if everything else space.dirty).astype(np.int32)
            yield state_snapshot.Source(name=f"space/{name}", dtype=_HEAD, gather=partial(_heads, space), at=at)
            for table in space.specs:
                rows = space.tables[table.name]
                changed = at if everything or not table.marks_changes else at[rows[CHANGED][at] != 0]
                yield _source(f"table/{table.name}", rows, changed, table.version)
            if space.sketch.shape[0]:
                cells = np.flatnonzero(space.sketch if everything else space.sketch_dirty).astype(np.int32)
                yield _source(f"sketch/{name}", space.sketch, cells)
        at = self.open.find_open_rows() if everything else np.flatnonzero(self.open.dirty).astype(np.int32)
        yield state_snapshot.Source(name="open", dtype=OPEN, gather=self.open.rows, at=at)
        for app, rows in self.approved.changes(everything=everything).items():
            yield state_snapshot.Section(name=f"approved/{app}", rows=rows)
        for detector in self.models if everything else sorted(self._fresh_models):
            arrays = self.models[detector]
            for name, array in arrays.items():
                yield state_snapshot.Section(name=f"model/{detector}/{name}", rows=array)

    def _take(self, section: state_snapshot.Section) -> None:
        kind, _, name = section.name.partition("/")
        at = section.at
        if at is None:
            return
        if kind == "space" and name in self.spaces:
            _take_heads(self.spaces[name], at, section.rows)
        elif kind == "sketch" and name in self.spaces:
            self.spaces[name].sketch[at] = section.rows
        elif kind == "open":
            self.open.take(at, section.rows)
        elif kind == "table":
            self._take_table(name, at, section.rows)

    def _take_table(self, name: str, at: NDArray[np.int32], rows: NDArray[Any]) -> None:
        for space in self.spaces.values():
            for table in space.specs:
                if table.name == name:
                    _make_room(space, at)
                    space.tables[name][at] = state_snapshot.fit_rows(rows, table.dtype)

    def _migrate(self, section: state_snapshot.Section, anew: set[str]) -> state_snapshot.Section:
        """Return a table in the current version.

        Where a detector cannot migrate one, all of its tables begin anew.
        """
        owner, name = self._owner(section), section.name.partition("/")[2]
        if not owner:
            return section
        table = next(table for table in self._detectors[name].tables if table.name == name)
        if section.version == table.version:
            return section
        try:
            return replace(section, rows=self._detectors[name].migrate(table, section.rows, section.version))
        except NotImplementedError:
            anew.add(owner)
            return replace(section, at=np.empty(0, np.int32), rows=np.empty(0, table.dtype))

    def _owner(self, section: state_snapshot.Section) -> str:
        kind, _, name = section.name.partition("/")
        return self._detectors[name].id if kind == "table" and name in self._detectors else ""


def _note_uncleared(shard: Shard | None) -> None:
    if shard is not None:
        shard.lose(UNCLEARED, 1)


def _source(name: str, rows: NDArray[Any], at: NDArray[np.int32], version: int = 0) -> state_snapshot.Source:
    def gather(at: NDArray[np.int32]) -> NDArray[Any]:
        found = rows[at]
        if rows.dtype.names and CHANGED in rows.dtype.names:
            found[CHANGED] = 0  # a mark of this process, and no state
        return found

    return state_snapshot.Source(name=name, dtype=rows.dtype, gather=gather, at=at, version=version)


def _heads(space: Space, at: NDArray[np.int32]) -> NDArray[np.void]:
    head = np.zeros(at.shape[0], _HEAD)
    head["key"], head["parent"] = space.keys[at], space.parent[at]
    head["first_seen"], head["last_seen"] = space.first_seen[at], space.last_seen[at]
    return head


def _take_heads(space: Space, at: NDArray[np.int32], rows: NDArray[Any]) -> None:
    _make_room(space, at)
    # Kept by an older release, a key is taken for one that was known for long.
    head = state_snapshot.fit_rows(rows, _HEAD)
    above = space.space.parent.capacity if space.space.parent else 2
    if head.shape[0] and not (0 <= int(head["parent"].min()) <= int(head["parent"].max()) < above):
        raise state_snapshot.CorruptState(f"a state blob is damaged: parents of {space.space.name} have no slot")
    space.keys[at], space.parent[at] = head["key"], head["parent"]
    space.first_seen[at], space.last_seen[at] = head["first_seen"], head["last_seen"]


def _make_room(space: Space, at: NDArray[np.int32]) -> None:
    if at.shape[0]:
        if int(at.min()) < 0:
            raise IndexError(f"a slot of {space.space.name} is negative")
        space.ensure_rows(int(at.max()) + 1)


_HEAD = np.dtype([("key", "<u8"), ("parent", "<i4"), ("last_seen", "<i8"), ("first_seen", "<i8")])
