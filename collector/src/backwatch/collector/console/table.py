"""Tables on a terminal, each column as wide as its widest cell."""

from collections.abc import Iterator, Sequence


def align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line for each row; all rows have the same number of cells.

    >>> list(align([("name", "facts"), ("psycopg", "31")]))
    ['name     facts', 'psycopg  31']
    """
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip()
