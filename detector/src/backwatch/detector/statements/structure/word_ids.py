"""Lists of words, as the ids that tokens have, and whether a token is one of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.encoding import tokens_of
from backwatch.detector.statements.structure.vocabulary import ordered_words


def ids_of(text: str) -> NDArray[np.uint32]:
    """Return the ids of words, ascending."""
    return np.array(sorted(int(tokens_of(word)[1][-1]) for word in ordered_words(text)), np.uint32)


@kernel
def is_in(value: Any, ids: Any) -> bool:
    """Return whether an id is among those of ``ids_of``."""
    at = np.searchsorted(ids, value)
    return bool(at < ids.shape[0] and ids[at] == value)
