"""What an enforced profile holds of a call: the columns that the engine adds, and statements that need no approval."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.batch import Tokens
from backwatch.detector.statements.structure.housekeeping import is_housekeeping

STATEMENT_APPROVAL: Final = "approval.statement"
DESTINATION_APPROVAL: Final = "approval.destination"
"""Columns, int8, of calls whose app has an enforced profile."""
NOT_JUDGED: Final = 0
HELD: Final = 1
NOT_HELD: Final = 2
HELD_NOWHERE: Final = 3
"""Values of these columns: no profile speaks of it; the profile holds it; it does not. The last one is of a destination
that the profile holds for no place at all, from a place for which it holds none."""


class _Columns(Protocol):
    @property
    def count(self) -> int: ...
    @property
    def columns(self) -> Mapping[str, NDArray[Any]]: ...


def find_approved(calls: _Columns, name: str) -> NDArray[np.bool_]:
    """Return which calls an enforced profile holds, by one of the two columns."""
    approval = calls.columns.get(name)
    return np.zeros(calls.count, np.bool_) if approval is None else approval == HELD


@kernel
def _mark_housekeeping(tokens: Any, rows: Any, out: Any) -> None:
    of_call, codes, ids, _, count = tokens
    for at in range(rows.shape[0]):
        statement = of_call[rows[at]]
        out[at] = statement >= 0 and is_housekeeping(codes[statement], ids[statement], count[statement])


def find_housekeeping(tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of these calls send a statement of a transaction or a driver's own: no profile needs to hold it."""
    out = np.zeros(rows.shape[0], np.bool_)
    _mark_housekeeping(tokens.arrays, rows, out)
    return out
