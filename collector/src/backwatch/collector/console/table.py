"""Rows of words as lines of a terminal, each column as wide as its widest cell."""

from collections.abc import Iterator, Sequence


def align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row; all rows have as many cells.

    >>> list(align([("name", "facts"), ("psycopg", "31")]))
    ['name     facts', 'psycopg  31']
    """
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip()
