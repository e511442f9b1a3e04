"""Budgets that bound the inspection of a response: one total for all of its values, an even share for each."""

from dataclasses import dataclass
from typing import Final

WINDOW_BYTES: Final = 65_536
MAX_OPCODES: Final = 3_000
_TOTAL_FACTOR: Final = 3
"""The total of a response, as a multiple of the maximum budget of one value."""


@dataclass(slots=True)
class ValueBudget:
    """The remaining budget of one value; the inspection subtracts what it uses.

    Attributes:
        opcodes: Pickle opcodes to follow.
        lines: Bytes to search for the ends of a pickle's lines: fast, but not free.
        searched: Bytes to search behind the followed part of a pickle.
        read: Bytes of texts to search, and bytes that decompression or base64 produces.
    """

    opcodes: int = MAX_OPCODES
    lines: int = 16 * WINDOW_BYTES
    searched: int = WINDOW_BYTES // 2
    read: int = 2 * WINDOW_BYTES


class SharedBudget:
    """The total budget of a response. Unused budget goes to later values, so small values should come first."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        value, factor = ValueBudget(), _TOTAL_FACTOR
        self._left = ValueBudget(
            value.opcodes * factor, value.lines * factor, value.searched * factor, value.read * factor
        )

    def allocate(self, values: int) -> ValueBudget:
        """Take out the budget of one value when ``values`` are left.

        >>> SharedBudget().allocate(9).opcodes
        1000
        """
        left, most = self._left, ValueBudget()
        given = ValueBudget(
            min(most.opcodes, left.opcodes // values),
            min(most.lines, left.lines // values),
            min(most.searched, left.searched // values),
            min(most.read, left.read // values),
        )
        self._add(given, -1)
        return given

    def return_unused(self, rest: ValueBudget) -> None:
        """Put back the budget that a value did not use."""
        self._add(rest, 1)

    def _add(self, budget: ValueBudget, sign: int) -> None:
        left = self._left
        left.opcodes += sign * max(0, budget.opcodes)
        left.lines += sign * max(0, budget.lines)
        left.searched += sign * max(0, budget.searched)
        left.read += sign * max(0, budget.read)
