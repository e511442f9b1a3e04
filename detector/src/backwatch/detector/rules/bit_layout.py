"""Where each conjunct sits in the rows of bits: those that read the same sit together.

A row is one bit per conjunct in words of 64, after summary words that say, bit by bit, which of those words are not
zero. Where conjuncts that hang on statements alone share words, a statement that none of them is about has zeros
there, and its calls never look at them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.rules.conjuncts import Conjunct


class BitLayout:
    """The seats of these conjuncts.

    Attributes:
        conjunct_of: int32 per bit: whose seat it is.
        bit_of: int64 per conjunct: its seat.
        words: Words of 64 seats.
        width: Words of a row of bits, with its summaries.
    """

    def __init__(self, conjuncts: Sequence[Conjunct], learning: NDArray[np.bool_]) -> None:
        def reads(at: int) -> tuple[bool, list[str], list[str], int]:
            one = conjuncts[at]
            return not learning[at], sorted(one.terms), sorted({test.column for test in one.tests}), at

        order = sorted(range(len(conjuncts)), key=reads)
        self.words = max(1, -(-len(order) // 64))
        self._summaries = -(-self.words // 64)
        self.width = self._summaries + self.words
        self.conjunct_of = np.array(order, np.int32)
        self.bit_of = np.argsort(self.conjunct_of)

    def row(self, chosen: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """The row of bits in which these conjuncts' are set.

        Args:
            chosen: One per conjunct.
        """
        words = _packed(chosen[self.conjunct_of], self.words)
        return np.concatenate([_packed(words != 0, self._summaries), words])


def _packed(chosen: NDArray[np.bool_], words: int) -> NDArray[np.uint64]:
    padded = np.zeros(words * 64, np.bool_)
    padded[: chosen.shape[0]] = chosen
    return np.packbits(padded, bitorder="little").view("<u8").astype(np.uint64)
