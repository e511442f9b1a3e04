"""Tokens of a statement by their position, also beyond its edges."""

from typing import Any

from backwatch.detector.kernels.compiled import inline
from backwatch.detector.statements.structure.known import EDGE_AFTER, EDGE_BEFORE


@inline
def id_at(ids: Any, i: int, count: int) -> int:
    """Return the id of a token, or of the edge of the text."""
    if i < 0:
        return EDGE_BEFORE
    return int(ids[i]) if i < count else EDGE_AFTER


@inline
def code_at(codes: Any, i: int, count: int) -> int:
    """Return the code of a token; 0 beyond the text."""
    return int(codes[i]) if 0 <= i < count else 0
