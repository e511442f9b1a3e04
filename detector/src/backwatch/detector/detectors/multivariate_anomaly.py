"""Minutes whose numbers together are unlike all others, though no single number stands out.

A model is fitted offline (``fit.py``) and enters as a numbered ``ModelVersion``. Its features are deviations
from the resource's own usual minute, so that one model serves resources of every size.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.forest import ARRAYS, UnusableModel, explain_score, isolation_score, validate_model
from backwatch.detector.baselines.level import LEVEL, migrate_levels, update
from backwatch.detector.detectors import Array, ClosedWindows, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

FEATURES: Final = (
    "calls", "errors", "bytes_sent", "bytes_received", "rows_returned", "rows_affected", "duration", "new_statements",
)  # fmt: skip
"""Features in the model's order; all but the first are per call."""
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
MAX_NAMED_FEATURES: Final = 3
"""Features in the evidence of an anomalous minute."""
MAX_DEVIATION: Final = 20.0
"""Cap of a feature's deviation."""


@kernel
def _amount(f: int, value: float, calls: int) -> float:
    """Return a feature on the log scale; a step of the shares of errors and new statements is 1 in 50."""
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
        out[i, f] = min(max(score, -MAX_DEVIATION), MAX_DEVIATION)


def compute_deviations(
    sums: NDArray[np.int64],
    slot: NDArray[np.int32],
    end_ns: NDArray[np.int64],
    suspects: NDArray[np.int64],
    rows: Sequence[Rows],
) -> NDArray[np.float64]:
    """Compute the features of each minute, in order; NaN where the resource's usual minute is not known yet.

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
        score[i] = isolation_score(found[i], root, feature, threshold, left, right, path, usual_path)
        explain_score(found[i], 0.0, root, feature, threshold, left, right, path, usual_path, share[i])


def to_matrix(columns: Mapping[str, NDArray[Any]] | ClosedWindows) -> NDArray[np.int64]:
    """Return a window's sums as a matrix for :func:`compute_deviations`."""
    return np.stack([columns[name] for name in COLUMNS], axis=1).astype(np.int64)


def _keep_leading(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep the features with the largest contributions; set others to NaN."""
    order = np.argsort(-share, axis=1, kind="stable")
    kept = np.full_like(share, np.nan)
    rows = np.arange(share.shape[0])[:, None]
    kept[rows, order[:, :MAX_NAMED_FEATURES]] = share[rows, order[:, :MAX_NAMED_FEATURES]]
    kept[~(kept > 0)] = np.nan
    return kept


class MultivariateAnomaly(Detector):
    """Scores a minute's numbers together with a fitted isolation forest."""

    id = "multivariate-anomaly"
    derives = (
        derived_fact(
            "backwatch.odd.score",
            "Isolation score of the minute in (0, 1); NaN without a model, or before the resource's usual "
            "minute is known.",
            scope="window",
        ),
        derived_fact(
            "backwatch.odd.excess",
            "Isolation score beyond the model's limit for ordinary minutes; NaN as the score is.",
            scope="window",
        ),
        derived_fact(
            "backwatch.odd.calls",
            "Contribution of the number of calls to the score; NaN unless among the leading three.",
            scope="window",
        ),
        derived_fact(
            "backwatch.odd.errors",
            "Contribution of the share of errors to the score; NaN unless among the leading three.",
            scope="window",
        ),
        derived_fact(
            "backwatch.odd.bytes_sent",
            "Contribution of bytes sent per call to the score; NaN unless among the leading three.",
            scope="window",
        ),
        derived_fact(
            "backwatch.odd.bytes_received",
            "Contribution of bytes received per call to the score; NaN unless among the leading three.",
            scope="window",
        ),
        derived_fact(
            "backwatch.odd.rows_returned",
            "Contribution of rows returned per call to the score; NaN unless among the leading three.",
            scope="window",
        ),
        derived_fact(
            "backwatch.odd.rows_affected",
            "Contribution of rows changed per call to the score; NaN unless among the leading three.",
            scope="window",
        ),
        derived_fact(
            "backwatch.odd.duration",
            "Contribution of the time per call to the score; NaN unless among the leading three.",
            scope="window",
        ),
        derived_fact(
            "backwatch.odd.new_statements",
            "Contribution of the share of new statements to the score; NaN unless among the leading three.",
            scope="window",
        ),
    )
    tables = tuple(Table(f"odd_window_{name}", RESOURCE, 2, LEVEL) for name in FEATURES)

    def window(self, closed: ClosedWindows, tables: Mapping[str, Rows]) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        count = closed.slot.shape[0]
        found = compute_deviations(
            to_matrix(closed),
            closed.slot,
            closed.end_ns,
            closed["suspects"],
            [tables[table.name] for table in self.tables],
        )
        score, excess = np.full(count, np.nan), np.full(count, np.nan)
        share = np.zeros((count, len(FEATURES)))
        model = load_model(closed.models.get(self.id))
        if model is not None:
            root, feature, threshold, left, right, path, usual_path, limit = model
            _judge(found, root, feature, threshold, left, right, path, usual_path, score, share)
            excess = score - limit[0]
        named = _keep_leading(share)
        return {
            "backwatch.odd.score": score, "backwatch.odd.excess": excess,
            **{f"backwatch.odd.{name}": np.ascontiguousarray(named[:, f]) for f, name in enumerate(FEATURES)},
        }  # fmt: skip

    def migrate(self, table: Table, rows: Rows, from_version: int) -> Rows:  # noqa: ARG002  one older version
        """Keep levels of version 1."""
        return migrate_levels(rows)


def load_model(arrays: Mapping[str, NDArray[Any]] | None) -> Sequence[NDArray[Any]] | None:
    """Return the model's arrays in the kernels' order; ``None`` without a valid model."""
    if arrays is None:
        return None
    try:
        model = validate_model(arrays, len(FEATURES))
    except UnusableModel:
        return None
    return [np.ascontiguousarray(model[name]) for name in ARRAYS]
