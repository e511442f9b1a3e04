"""Tables: what a detector remembers, one fixed-size row per slot of a key space."""

import mmap
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.state.keys import KeySpace

CHANGED: Final = "changed"


@dataclass(frozen=True, slots=True)
class Table:
    """One fixed-size row per slot of a key space; zeros are a new slot's row.

    Attributes:
        name: Unique over all detectors; by convention the detector's id with underscores.
        version: Raised when the meaning of a field changes; a new field alone needs none.
        dtype: A structured, little-endian, packed dtype. Large rows that seldom change have a field ``changed``
            (``u1``), which is set where a row is changed: a delta holds these rows instead of all that were touched.
    """

    name: str
    keys: KeySpace
    version: int
    dtype: "np.dtype[np.void]"

    @property
    def marks_changes(self) -> bool:
        """Whether rows say themselves that they were changed."""
        return CHANGED in (self.dtype.names or ())


Rows = NDArray[np.void]
"""A table's rows, indexed by slot."""


def zero_pages(shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return zeros whose pages are allocated when written to: for large arrays that are mostly unused.

    ``np.zeros`` promises no such thing: where the allocator reuses memory, it clears, and so touches, every page.
    """
    count, kind = prod(shape) if isinstance(shape, tuple) else shape, np.dtype(dtype)
    if not count:
        return np.zeros(shape, kind)
    # Private: a shared mapping is a file in memory, whose pages are allocated even where they are only read.
    pages = mmap.mmap(-1, count * kind.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, kind).reshape(shape)
