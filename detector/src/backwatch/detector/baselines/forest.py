"""An isolation forest as plain arrays, scored tree by tree.

scikit-learn fits it offline (``fit.py``); this module does not need scikit-learn. One row costs 4 µs this way,
4 ms with ``score_samples``. Source: F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation Forest", ICDM 2008.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import Array, kernel

ARRAYS: Final = ("root", "feature", "threshold", "left", "right", "path", "usual_path", "limit")
"""Arrays of a model: first node of each tree; per node its feature, threshold, children and, at a leaf, the path's
length."""
MAX_NODES: Final = 1 << 20
MAX_DEPTH: Final = 64


class UnusableModel(ValueError):
    """Arrays that are not a forest."""


def validate_model(arrays: Mapping[str, NDArray[Any]], features: int) -> Mapping[str, NDArray[Any]]:
    """Return the arrays if they are a forest over so many features.

    Raises:
        UnusableModel: A name is missing, a length or an index is wrong, a number is not finite.
    """
    try:
        root, feature, threshold, left, right, path, usual, limit = (np.asarray(arrays[name]) for name in ARRAYS)
    except KeyError as error:
        raise UnusableModel(f"the model has no array {error}") from None
    nodes = feature.shape[0]
    whole = all(array.dtype == np.int32 for array in (root, feature, left, right))
    same = all(array.shape == (nodes,) for array in (threshold, left, right, path)) and usual.shape == limit.shape == (
        1,
    )
    if not (whole and same and 0 < nodes <= MAX_NODES and root.shape[0] > 0):
        raise UnusableModel("the model's arrays do not fit together")
    inner = feature >= 0
    leads = np.concatenate([left[inner], right[inner]])
    in_range = (root >= 0).all() and (root < nodes).all() and (leads >= 0).all() and (leads < nodes).all()
    finite = np.isfinite(threshold[inner]).all() and np.isfinite(path).all() and np.isfinite([usual[0], limit[0]]).all()
    if not (in_range and (feature < features).all() and finite and usual[0] > 0):
        raise UnusableModel("the model's arrays hold an invalid index or number")
    return arrays


@kernel
def isolation_score(
    x: Array, root: Array, feature: Array, threshold: Array, left: Array, right: Array, path: Array, usual_path: Array
) -> float:
    """Return the anomaly score of one row, in (0, 1); 0.5 is ordinary."""
    total = 0.0
    for t in range(root.shape[0]):
        node = root[t]
        for _ in range(MAX_DEPTH):
            if feature[node] < 0:
                break
            node = left[node] if x[feature[node]] <= threshold[node] else right[node]
        total += path[node]
    return 2.0 ** (-total / root.shape[0] / usual_path[0])


@kernel
def explain_score(
    x: Array,
    usual: float,
    root: Array,
    feature: Array,
    threshold: Array,
    left: Array,
    right: Array,
    path: Array,
    usual_path: Array,
    share: Array,
) -> None:
    """Compute each feature's contribution to the score: the loss if that feature alone were usual."""
    whole = isolation_score(x, root, feature, threshold, left, right, path, usual_path)
    for f in range(x.shape[0]):
        kept = x[f]
        x[f] = usual
        share[f] = whole - isolation_score(x, root, feature, threshold, left, right, path, usual_path)
        x[f] = kept
