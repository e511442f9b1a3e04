"""Tables: what a detector remembers, one fixed-size row per slot of a key space."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.engine.keys import KeySpace


@dataclass(frozen=True, slots=True)
class Table:
    """One fixed-size row per slot of a key space; zeros are a new slot's row.

    Attributes:
        name: Unique over all detectors; by convention the detector's id with underscores.
        version: Raised when the meaning of a field changes; a new field alone needs none.
        dtype: A structured, little-endian, packed dtype. A field ``deadline_ns`` (``<i8``, 0: none) makes the engine
        call
            ``Detector.due`` once the watermark has passed it.
    """

    name: str
    keys: KeySpace
    version: int
    dtype: "np.dtype[np.void]"


Rows = NDArray[np.void]
"""A table's rows, indexed by slot."""
