"""What the probes of databases call: kinds in a statement's parameters, and in the rows that it returned.

Where only names count, the statement's own text has them (``statements.py``), but for ``SELECT *``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from backwatch.collector.exposure import mode
from backwatch.collector.exposure.cells import MAX_ROWS, Cell, cells_of_row
from backwatch.collector.exposure.observation import received_facts, sent_facts
from backwatch.collector.runtime.record import Facts

MAX_COLUMNS: Final = 48
"""Columns of a row that are read."""
_PLAIN: Final = frozenset((tuple, list, dict))


def reads_rows(sql: object) -> bool:
    """Return whether the rows of a statement, or the names of their columns, are read at all."""
    return mode.reads_values or (mode.reads_columns and sql.__class__ is str and "*" in sql)  # pyright: ignore[reportOperatorIssue]


def parameter_facts(sql: object, parameters: Any) -> Facts:
    """Return the kinds in the parameters of a statement: a tuple, list or dict, or a list of them."""
    if not mode.reads_values or parameters.__class__ not in _PLAIN:
        return ()
    return sent_facts(sql, lambda: _cells_of_parameters(parameters))


def row_facts(sql: object, columns: Callable[[], Sequence[Any]], rows: Callable[[], Iterable[Any]]) -> Facts:
    """Return the kinds in rows that a statement returned.

    Args:
        sql: The statement, as the app passed it.
        columns: Returns the names of the columns.
        rows: Returns the first rows; of each only what is exactly a tuple, list or dict is read.
    """
    return received_facts(sql, lambda: _cells_of_rows(columns(), rows()))


def description_names(description: Any) -> list[Any]:
    """Return the names in a cursor's description, as DB-API has it."""
    if description.__class__ is not tuple and description.__class__ is not list:
        return []
    return [column[0] for column in description[:MAX_COLUMNS] if column.__class__ is tuple and column]


def _cells_of_parameters(parameters: Any) -> Iterator[Cell]:
    is_many = parameters.__class__ is not dict and parameters and parameters[0].__class__ in _PLAIN
    for row in parameters[:MAX_ROWS] if is_many else (parameters,):
        yield from cells_of_row((), row)


def _cells_of_rows(columns: Sequence[Any], rows: Iterable[Any]) -> Iterator[Cell]:
    names = [_as_text(name) for name in columns[:MAX_COLUMNS]]
    yield from ((name, None) for name in names)
    if mode.reads_values:
        for row in islice(rows, MAX_ROWS):
            yield from cells_of_row(names, row)


def _as_text(name: Any) -> str:
    return name.decode("utf-8", "ignore") if name.__class__ is bytes else name if name.__class__ is str else ""
