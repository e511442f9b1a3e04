"""Declared bounds of tables, caches and queues: each stands beside its structure, and one generated page lists them."""

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
