"""What looking into a reply may still cost: one sum for all of its values, and an even share of it for each."""

from dataclasses import dataclass
from typing import Final

WINDOW_BYTES: Final = 65_536
MAX_OPCODES: Final = 3_000
_VALUES: Final = 3
"""A whole reply may cost as much as so many values that each take all they can."""


@dataclass(slots=True)
class Budget:
    """What one value may still cost; whoever looks takes off what was used.

    Attributes:
        opcodes: Opcodes of pickles that are followed.
        lines: Bytes in which the ends of a pickle's lines are looked for: fast, yet not free.
        searched: Bytes of a pickle that are searched where it goes on.
        read: Bytes of texts that are searched, and those that come out of compression or base64.
    """

    opcodes: int = MAX_OPCODES
    lines: int = 16 * WINDOW_BYTES
    searched: int = WINDOW_BYTES // 2
    read: int = 2 * WINDOW_BYTES


class SharedBudget:
    """The sum for a reply. What a value leaves goes to those after it, so that the small ones should come first."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        one = Budget()
        self._left = Budget(one.opcodes * _VALUES, one.lines * _VALUES, one.searched * _VALUES, one.read * _VALUES)

    def allocate(self, among: int) -> Budget:
        """Takes out what one of so many values may cost.

        >>> SharedBudget().allocate(9).opcodes
        1000
        """
        left, most = self._left, Budget()
        given = Budget(
            min(most.opcodes, left.opcodes // among),
            min(most.lines, left.lines // among),
            min(most.searched, left.searched // among),
            min(most.read, left.read // among),
        )
        self._add(given, -1)
        return given

    def return_unused(self, rest: Budget) -> None:
        """Puts back what a value did not need."""
        self._add(rest, 1)

    def _add(self, budget: Budget, sign: int) -> None:
        left = self._left
        left.opcodes += sign * max(0, budget.opcodes)
        left.lines += sign * max(0, budget.lines)
        left.searched += sign * max(0, budget.searched)
        left.read += sign * max(0, budget.read)
