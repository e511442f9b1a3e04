"""Minutes that are unlike all others taken together, though no single number stands out.

A model is fitted off the path (``fit.py``) and enters as a numbered ``ModelVersion``. Its features are deviations
from the resource's own usual minute, so that one model serves resources of every size.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.forest import ARRAYS, UnusableModel, checked, explain, isolation
from backwatch.detector.baselines.level import LEVEL, update
from backwatch.detector.detectors import Array, Closed, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

FEATURES: Final = (
    "calls", "errors", "bytes_sent", "bytes_received", "rows_returned", "rows_affected", "duration", "new_statements",
)  # fmt: skip
"""In the model's order; all but the first are per call."""
COLUMNS: Final = (
    "calls",
    "errors",
    "bytes_sent",
    "bytes_received",
    "rows_returned",
    "rows_affected",
    "duration_ns",
    "new_statements",
)
NAMED: Final = 3
"""Features named as the cause of an odd minute."""
MOST: Final = 20.0
"""Deviations beyond which more is not odder."""


@kernel
def _amount(f: int, value: float, calls: int) -> float:
    """A feature on the log scale, time in microseconds; shares of errors and new statements are 1 in 50 a step."""
    if f == 0:
        return np.log1p(value)
    per_call = max(value, 0) / max(calls, 1)
    if f in (1, 7):
        return 5.0 * per_call
    return np.log1p(per_call / 1_000.0) if f == 6 else np.log1p(per_call)


@kernel
def _feature(f: int, sums: Array, slot: Array, end_ns: Array, suspects: Array, rows: Any, out: Array) -> None:
    for i in range(slot.shape[0]):
        score = update(rows, slot[i], _amount(f, sums[i, f], sums[i, 0]), end_ns[i], suspects[i] == 0)
        out[i, f] = min(max(score, -MOST), MOST)


def deviations(
    sums: NDArray[np.int64],
    slot: NDArray[np.int32],
    end_ns: NDArray[np.int64],
    suspects: NDArray[np.int64],
    rows: Sequence[Rows],
) -> NDArray[np.float64]:
    """The features of each minute, one minute after the other; NaN where the resource's usual is not known yet.

    Args:
        sums: [minutes, features], in the order of ``COLUMNS``.
        rows: For each feature, ``LEVEL`` rows by slot.
    """
    out = np.empty(sums.shape, np.float64)
    for f, mine in enumerate(rows):
        _feature(f, sums, slot, end_ns, suspects, mine, out)
    return out


@kernel
def _judge(
    found: Array,
    root: Array,
    feature: Array,
    threshold: Array,
    left: Array,
    right: Array,
    path: Array,
    usual_path: Array,
    score: Array,
    share: Array,
) -> None:
    for i in range(found.shape[0]):
        if np.isnan(found[i]).any():
            continue
        score[i] = isolation(found[i], root, feature, threshold, left, right, path, usual_path)
        explain(found[i], 0.0, root, feature, threshold, left, right, path, usual_path, share[i])


def stacked(columns: Mapping[str, NDArray[Any]] | Closed) -> NDArray[np.int64]:
    """A window's sums as the matrix that :func:`deviations` reads."""
    return np.stack([columns[name] for name in COLUMNS], axis=1).astype(np.int64)


def _leading(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Only the features that brought most, others NaN."""
    order = np.argsort(-share, axis=1, kind="stable")
    kept = np.full_like(share, np.nan)
    rows = np.arange(share.shape[0])[:, None]
    kept[rows, order[:, :NAMED]] = share[rows, order[:, :NAMED]]
    kept[~(kept > 0)] = np.nan
    return kept


class MultivariateAnomaly(Detector):
    """Tells how odd a minute is, and which features make it so.

    Provides:
        ``backwatch.odd.score``: Isolation score of the minute in (0, 1); NaN without a model, or before the resource's
            usual minute is known.
        ``backwatch.odd.excess``: How far the score is above what the model takes for ordinary; NaN as the score is.
        ``backwatch.odd.calls``: What the number of calls brought to the score; NaN unless among the leading three.
        ``backwatch.odd.errors``: What the share of errors brought to the score; NaN unless among the leading three.
        ``backwatch.odd.bytes_sent``: What bytes sent per call brought to the score; NaN unless among the leading three.
        ``backwatch.odd.bytes_received``: What bytes received per call brought to the score; NaN unless among the
            leading three.
        ``backwatch.odd.rows_returned``: What rows returned per call brought to the score; NaN unless among the leading
            three.
        ``backwatch.odd.rows_affected``: What rows changed per call brought to the score; NaN unless among the leading
            three.
        ``backwatch.odd.duration``: What the time per call brought to the score; NaN unless among the leading three.
        ``backwatch.odd.new_statements``: What the share of new statements brought to the score; NaN unless among the
            leading three.
    """

    id = "multivariate-anomaly"
    window_provides = ("backwatch.odd.score", "backwatch.odd.excess", *(f"backwatch.odd.{name}" for name in FEATURES))
    tables = tuple(Table(f"odd_window_{name}", RESOURCE, 1, LEVEL) for name in FEATURES)

    def window(self, closed: Closed, tables: Mapping[str, Rows]) -> dict[str, Array]:
        """As the class says."""
        count = closed.slot.shape[0]
        found = deviations(
            stacked(closed), closed.slot, closed.end_ns, closed["suspects"], [tables[one.name] for one in self.tables]
        )
        score, excess = np.full(count, np.nan), np.full(count, np.nan)
        share = np.zeros((count, len(FEATURES)))
        model = usable(closed.models.get(self.id))
        if model is not None:
            root, feature, threshold, left, right, path, usual_path, limit = model
            _judge(found, root, feature, threshold, left, right, path, usual_path, score, share)
            excess = score - limit[0]
        named = _leading(share)
        return {
            "backwatch.odd.score": score, "backwatch.odd.excess": excess,
            **{f"backwatch.odd.{name}": np.ascontiguousarray(named[:, f]) for f, name in enumerate(FEATURES)},
        }  # fmt: skip


def usable(arrays: Mapping[str, NDArray[Any]] | None) -> Sequence[NDArray[Any]] | None:
    """The model's arrays in the kernels' order; nothing where there is none, or none that can be used."""
    if arrays is None:
        return None
    try:
        model = checked(arrays, len(FEATURES))
    except UnusableModel:
        return None
    return [np.ascontiguousarray(model[name]) for name in ARRAYS]
