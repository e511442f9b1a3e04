"""The declaration of a bound of a table, cache or queue; a generated page lists all of them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound of one structure that hostile or heavy traffic can fill.

    Attributes:
        name: The structure, as an operator knows it.
        limit: The bound; several where the structure has one per level; text where it is derived.
        unit: What is counted.
        at_limit: What happens to the next item.
        counted_as: The counter, loss or alert that shows it; empty: no result depends on it.
    """

    name: str
    limit: float | str | Sequence[float]
    unit: str
    at_limit: str
    counted_as: str = ""
