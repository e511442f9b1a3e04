"""The tokens of a batch's statements, for those calls that need them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.call_statement import DOCUMENT_SHAPE, SQL, VERBATIM, canonical
from backwatch.detector.statements.structure.encoding import TABLES, TOKEN_CELLS, encode
from backwatch.detector.statements.structure.roles import find_roles
from backwatch.detector.statements.structure.vocabulary import DOCUMENT

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of distinct statements.

    Attributes:
        of_call: int32 per call: the index of its statement below, -1 where none was asked for, or it is no SQL
            and no document.
        codes: uint16 [statements, TOKEN_CELLS].
        ids: uint32 [statements, TOKEN_CELLS].
        roles: uint8 [statements, TOKEN_CELLS].
        count: int32 [statements]: tokens of each.
    """

    of_call: NDArray[np.int32]
    codes: NDArray[np.uint16]
    ids: NDArray[np.uint32]
    roles: NDArray[np.uint8]
    count: NDArray[np.int32]

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array, Array]:
        """All of it, as kernels take it."""
        return self.of_call, self.codes, self.ids, self.roles, self.count


@kernel
def _fill(
    texts: tuple[Array, Array, Array],
    chosen: Array,
    rows: Array,
    work: tuple[Array, Array],
    tables: tuple[Array, Array, Array, Array],
    out: tuple[Array, Array, Array, Array],
) -> None:
    buffer, offsets, lengths = texts
    scratch, cells = work
    codes, ids, roles, count = out
    for at in range(rows.shape[0]):
        row = rows[at]
        size = canonical(buffer, chosen[row], offsets[row], lengths[row], scratch, cells)
        count[at] = encode(scratch, 0, size, tables, codes[at], ids[at])
        if chosen[row, 0] == SQL:
            find_roles(codes[at], count[at], roles[at])
        elif count[at] > 0:
            roles[at, :] = 0
            codes[at, 0] = ids[at, 0] = DOCUMENT


def tokens_of_calls(
    texts: tuple[Array, Array, Array],
    chosen: Array,
    fingerprint: Array,
    rows: Array,
    work: tuple[Array, Array],
    calls: int,
) -> Tokens:
    """Return the tokens of the statements of some calls; calls with one statement share them.

    Args:
        texts: The batch's buffer, offsets and lengths.
        chosen: Mode, dialect and columns of each call's statement.
        fingerprint: uint64 per call.
        rows: The calls whose statements are asked for.
        work: Scratch and marks for canonical text.
        calls: The number of calls of the batch.
    """
    of_call = np.full(calls, -1, np.int32)
    asked = rows[(chosen[rows, 0] == SQL) | ((chosen[rows, 0] == VERBATIM) & (chosen[rows, 1] == DOCUMENT_SHAPE))]
    _, first, inverse = np.unique(fingerprint[asked], return_index=True, return_inverse=True)
    distinct = asked[first].astype(np.int64)
    of_call[asked] = inverse.astype(np.int32)
    shape = (distinct.shape[0], TOKEN_CELLS)
    codes, ids, roles = np.empty(shape, np.uint16), np.empty(shape, np.uint32), np.empty(shape, np.uint8)
    count = np.zeros(distinct.shape[0], np.int32)
    if distinct.shape[0]:
        _fill(texts, chosen, distinct, work, TABLES, (codes, ids, roles, count))
    return Tokens(of_call, codes, ids, roles, count)
