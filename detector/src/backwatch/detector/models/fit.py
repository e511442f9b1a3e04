"""Fits the model of ``multivariate-anomaly`` from past minutes in the store.

Off the path of calls: scikit-learn is imported here alone, and what leaves are plain arrays.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.forest import ARRAYS, isolation_score, validate_model
from backwatch.detector.baselines.level import LEVEL
from backwatch.detector.detectors.multivariate_anomaly import COLUMNS, FEATURES, compute_deviations

TREE_COUNT: Final = 100
MINUTES_PER_TREE: Final = 256
"""Minutes per tree, as the paper has it."""
MIN_MINUTES: Final = 256
ORDINARY_SHARE: Final = 0.9999
"""Share of the history's own minutes that are not called odd: of one resource's, one a week."""
LIMIT_MINUTES: Final = 20_000
"""Minutes, the newest, from which that limit is taken."""
MAX_MINUTES: Final = 200_000


class Minute(Protocol):
    """Sums of one resource over one minute, as a rollup keeps them. It has every name of ``COLUMNS``, too."""

    @property
    def resource_id(self) -> str:
        """The resource."""
        ...

    @property
    def end_ns(self) -> int:
        """The end of the minute."""
        ...

    @property
    def suspects(self) -> int:
        """Suspect calls in it: such a minute teaches nothing."""
        ...


class TooLittleHistory(ValueError):
    """Not enough minutes to fit a model on."""


def fit(minutes: Sequence[Minute], seed: int = 0) -> dict[str, NDArray[Any]]:
    """Return a model as plain arrays, the same for the same minutes and seed.

    Raises:
        TooLittleHistory: Fewer than ``MIN_MINUTES`` quiet minutes are left once every resource's usual is known.
    """
    found = features(minutes)
    if found.shape[0] < MIN_MINUTES:
        raise TooLittleHistory(
            f"too little history: {found.shape[0]} of {MIN_MINUTES} quiet minutes that multivariate-anomaly needs; "
            "a resource's first half hour with calls does not count"
        )
    from sklearn.ensemble import IsolationForest

    make: Any = IsolationForest
    forest = make(n_estimators=TREE_COUNT, max_samples=MINUTES_PER_TREE, random_state=seed)
    forest.fit(found[-MAX_MINUTES:])
    arrays = _arrays(forest.estimators_, MINUTES_PER_TREE)
    forest_arrays = [arrays[name] for name in ARRAYS[:-1]]
    isolations = [isolation_score(row, *forest_arrays) for row in found[-LIMIT_MINUTES:]]
    arrays["limit"] = np.array([np.quantile(isolations, ORDINARY_SHARE)])
    return dict(validate_model(arrays, len(FEATURES)))


def features(minutes: Sequence[Minute]) -> NDArray[np.float64]:
    """Return the deviations of the quiet minutes, in order of time, as the detector computes them."""
    ordered = sorted(minutes, key=lambda minute: (minute.end_ns, minute.resource_id))
    place: dict[str, int] = {}
    slot = np.array([place.setdefault(item.resource_id, len(place)) for item in ordered], np.int32)
    sums = np.array([[getattr(item, name) for name in COLUMNS] for item in ordered], np.int64).reshape(-1, len(COLUMNS))
    end_ns = np.array([item.end_ns for item in ordered], np.int64)
    suspects = np.array([item.suspects for item in ordered], np.int64)
    out = compute_deviations(sums, slot, end_ns, suspects, [np.zeros(max(1, len(place)), LEVEL) for _ in FEATURES])
    return out[(suspects == 0) & ~np.isnan(out).any(axis=1)]


def _arrays(estimators: Sequence[Any], sample: int) -> dict[str, NDArray[Any]]:
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("feature", "threshold", "left", "right", "path")}
    roots: list[int] = []
    begin = 0
    for estimator in estimators:
        tree = estimator.tree_
        inner = tree.children_left >= 0
        roots.append(begin)
        parts["feature"].append(np.where(inner, tree.feature, -1))
        # scikit-learn compares in float32: the same threshold on float64 features would send a row the other way.
        parts["threshold"].append(np.where(inner, tree.threshold, 0.0))
        parts["left"].append(np.where(inner, tree.children_left + begin, 0))
        parts["right"].append(np.where(inner, tree.children_right + begin, 0))
        parts["path"].append(_depths(tree) + _usual(tree.n_node_samples))
        begin += tree.node_count
    whole = {name: np.concatenate(found) for name, found in parts.items()}
    return {
        "root": np.array(roots, np.int32),
        **{name: whole[name].astype(np.int32) for name in ("feature", "left", "right")},
        **{name: whole[name].astype(np.float64) for name in ("threshold", "path")},
        "usual_path": _usual(np.array([sample])),
    }


def _depths(tree: Any) -> NDArray[np.float64]:
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children stand behind their parents
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return depth


def _usual(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Mean path of an unsuccessful search among so many (Liu and others, equation 1)."""
    n = samples.astype(np.float64)
    more = np.maximum(n, 3)
    long = 2.0 * (np.log(more - 1.0) + np.euler_gamma) - 2.0 * (more - 1.0) / more
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, long))
