"""Work at boundaries, which no call causes: windows close, late apps are reported, findings clear.

Done in order of event time, so that going from one boundary to another in one stride or in many gives the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.detectors import Array, ClosedWindows, Detector
from backwatch.detector.engine import lateness, windows
from backwatch.detector.engine.clock import BOUNDARY_NS, WINDOW_NS
from backwatch.detector.engine.findings import ClosedWindow, Findings
from backwatch.detector.engine.log_entries import Loss
from backwatch.detector.engine.shard import UNDONE, Shard
from backwatch.detector.engine.verdicts import Verdicts
from backwatch.detector.rules.correlation_state import LOST
from backwatch.store.commit import ClearedAlert


class Watermark:
    """Advances a shard's watermark."""

    def __init__(self, detectors: Sequence[Detector], verdicts: Verdicts, clear_after_ns: int) -> None:
        self._windowed = [detector for detector in detectors if detector.window_provides]
        self._verdicts = verdicts
        self._clear_after_ns = clear_after_ns
        self._own_ns = {
            verdicts.table.hashes[number]: rule.clear_after_s * 10**9
            for number, rule in enumerate(verdicts.table.rules)
            if rule.clear_after_s is not None
        }

    def advance(self, shard: Shard, watermark_ns: int, findings: Findings) -> None:
        """Process every boundary up to this watermark."""
        before = shard.scalars.boundary_ns
        boundary_ns = watermark_ns // BOUNDARY_NS * BOUNDARY_NS
        if boundary_ns <= before:
            return
        if shard.scalars.uncounted:
            lost, shard.scalars.uncounted = Loss(LOST, shard.scalars.uncounted, before + BOUNDARY_NS), 0
            self._verdicts.judge_loss(shard, lost, findings)
        self._report_losses(shard, before + BOUNDARY_NS, findings)
        if boundary_ns // WINDOW_NS > before // WINDOW_NS:
            used = np.flatnonzero(shard.spaces["resource"].keys).astype(np.int32)
            passed_ns = before
            for end_ns, slots in windows.find_closing(used, shard.windows, boundary_ns):
                self._late(shard, passed_ns, end_ns, findings)
                self._clear(shard, end_ns, findings)
                self._close(shard, end_ns, slots, findings)
                passed_ns = max(passed_ns, end_ns - 1)
            self._late(shard, passed_ns, boundary_ns + 1, findings)
        self._clear(shard, boundary_ns, findings)

    def _close(self, shard: Shard, end_ns: int, slots: NDArray[np.int32], findings: Findings) -> None:
        sums = windows.take(shard.windows, slots, end_ns)
        shard.spaces["resource"].dirty[slots] = True
        closed = ClosedWindows(
            slot=slots, end_ns=np.full(slots.shape[0], end_ns, np.int64), columns=sums, models=shard.models
        )
        for i, slot in enumerate(slots.tolist()):
            parts = shard.resources[slot]
            values_by_name = {name: int(values[i]) for name, values in sums.items()}
            findings.windows.append(ClosedWindow(end_ns=end_ns, parts=parts, sums=values_by_name))
        lateness.count_on_time(slots, sums["calls"], shard.lateness)
        facts: dict[str, NDArray[np.float64]] = {}
        for detector in self._windowed:
            tables = shard.tables(detector)
            before = {table.name: tables[table.name].take(slots) for table in detector.tables}
            try:
                found = detector.window(closed, tables)
                facts |= check_facts(found, detector.window_provides, slots.shape[0])
            except Exception as error:  # noqa: BLE001  one detector's fault must not silence the others
                for table in detector.tables:
                    tables[table.name][slots] = before[table.name]
                note_undone(shard, detector, int(slots.shape[0]), error, findings)
        self._verdicts.judge_windows(shard, closed, facts, findings)
        self._report_losses(shard, end_ns, findings)

    def _late(self, shard: Shard, after_ns: int, before_ns: int, findings: Findings) -> None:
        mark_ns = lateness.mark_between(after_ns, before_ns)
        if mark_ns:
            for app, count in lateness.over(shard.lateness, shard.resources, shard.spaces["resource"].dirty):
                self._verdicts.judge_loss(shard, Loss(lateness.LATE, count, mark_ns, app), findings)

    def _report_losses(self, shard: Shard, time_ns: int, findings: Findings) -> None:
        unreported, shard.scalars.unreported = shard.scalars.unreported, {}
        for app, kinds in sorted(unreported.items()):
            for kind, count in sorted(kinds.items()):
                self._verdicts.judge_loss(shard, Loss(kind, count, time_ns, app), findings)

    def _clear(self, shard: Shard, now_ns: int, findings: Findings) -> None:
        """Clear what is due, and move the shard to this boundary: windows that end at it are judged as of it."""
        for time_ns, alert, _ in shard.open.due(shard.scalars.boundary_ns, now_ns, self._clear_after_ns, self._own_ns):
            findings.events.append(ClearedAlert(alert_id=alert.hex(), time_ns=time_ns))
        shard.scalars.boundary_ns = now_ns
        shard.scalars.crowded = shard.open.is_crowded


def note_undone(shard: Shard, detector: Detector, count: int, error: Exception, findings: Findings) -> None:
    """Note that a detector raised and was undone for ``count`` calls, or for minutes of resources. It is a loss."""
    findings.faults.append((detector.id, type(error).__name__))
    shard.lose(f"{UNDONE}.{detector.id}", count)


def check_facts(found: Mapping[str, Any], provides: Sequence[str], count: int) -> dict[str, Array]:
    """Return the facts that a detector declares, and no others.

    Raises:
        ValueError: A fact is missing, or is not one number per row.
    """
    for name in provides:
        shape = getattr(found.get(name), "shape", None)
        if shape != (count,) or found[name].dtype.kind not in "biuf":
            raise ValueError(f"{name} is not one number per row")
    return {name: found[name] for name in provides}
