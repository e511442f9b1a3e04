"""Precision and recall on labelled values that another program made."""

from collections import Counter

from backwatch.collector import names
from backwatch.collector.exposure.tally import Tally
from tests.collector.exposure.labelled_values import KINDS, ROWS, labelled_columns

COLUMNS = 12
MIN_PRECISION = 0.99
MIN_RECALL = 0.95


def kinds_of(values: list[object]) -> set[str]:
    """Return the kinds that are found in one column under a name that shows nothing."""
    tally = Tally()
    for value in values:
        tally.add_value("c1", value)
    return {kind for at, kind in enumerate(names.DATA_KINDS) if tally.kinds >> at & 1}


def test_values_are_recognised_with_few_errors() -> None:
    found, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    for column in labelled_columns(20261129, COLUMNS):
        kinds = kinds_of(column.values)
        if column.kind:
            (found if column.kind in kinds else missed)[column.format] += ROWS
        if kinds - {column.kind}:
            wrong[column.format] += ROWS
    positive = len(KINDS) * COLUMNS * ROWS
    assert positive >= 2_000
    assert found.total() / positive >= MIN_RECALL, missed
    assert found.total() / (found.total() + wrong.total()) >= MIN_PRECISION, wrong
    assert all(missed[name] <= COLUMNS * ROWS // 5 for name in KINDS), missed
