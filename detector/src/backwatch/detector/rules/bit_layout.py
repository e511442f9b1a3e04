"""The position of each conjunct in a row of bits. Conjuncts that read the same facts are adjacent.

A row starts with summary words, one bit for each nonzero word that follows; then comes one bit per conjunct, in words
of 64. Conjuncts that depend on statements alone share words, so that most statements have zeros there and their calls
skip them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.rules.conjuncts import Conjunct


class BitLayout:
    """Positions of conjuncts in a row of bits.

    Attributes:
        conjunct_of: int32 per bit: the conjunct at this position.
        bit_of: int64 per conjunct: its position.
        words: Words of 64 bits, without the summaries.
        width: Words of a row, with its summaries.
    """

    def __init__(self, conjuncts: Sequence[Conjunct], learning: NDArray[np.bool_]) -> None:
        def facts_read(at: int) -> tuple[bool, list[str], list[str], int]:
            conjunct = conjuncts[at]
            return not learning[at], sorted(conjunct.terms), sorted({test.column for test in conjunct.tests}), at

        order = sorted(range(len(conjuncts)), key=facts_read)
        self.words = max(1, -(-len(order) // 64))
        self._summaries = -(-self.words // 64)
        self.width = self._summaries + self.words
        self.conjunct_of = np.array(order, np.int32)
        self.bit_of = np.argsort(self.conjunct_of)

    def row(self, chosen: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """Return the row in which the bits of chosen conjuncts are set.

        Args:
            chosen: One flag per conjunct.
        """
        words = _pack(chosen[self.conjunct_of], self.words)
        return np.concatenate([_pack(words != 0, self._summaries), words])


def _pack(chosen: NDArray[np.bool_], words: int) -> NDArray[np.uint64]:
    padded = np.zeros(words * 64, np.bool_)
    padded[: chosen.shape[0]] = chosen
    return np.packbits(padded, bitorder="little").view("<u8").astype(np.uint64)
