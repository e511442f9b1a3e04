"""Calls get the bit rows of their entries, independent of earlier entries."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from backwatch.detector.rules import rule_index
from backwatch.detector.rules.rule_index import EntryIndex


def bits_of(_: str, facts: Mapping[str, Any]) -> NDArray[np.uint64]:
    return np.array([facts["entry"] % 5, 7], np.uint64)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=20), max_size=8), st.integers(3, 40))
@example([[1, 2, 3, 4], [5, 6, 1, 2], [1, 2, 3]], 3)
def test_each_call_gets_its_entrys_bits_after_the_index_is_cleared(runs: list[list[int]], full: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rule_index, "MAX_ENTRIES", full)
        index = EntryIndex("statement", 2)
        for entries in runs:
            address = np.array(entries, np.uint64) << np.uint64(40)  # all in one cell, to exercise probing
            rows = index.rows(address, bits_of, lambda row, of=entries: {"entry": of[row]})
            assert index.bits[rows].tolist() == [[entry % 5, 7] for entry in entries]
        assert index.bits.shape[0] == 64, "five distinct rows are kept once each"


def test_many_distinct_rows_are_kept() -> None:
    index = EntryIndex("statement", 1)
    address = np.arange(1, 5_001, dtype=np.uint64)
    rows = index.rows(address, lambda _, facts: np.array([facts["entry"]], np.uint64), lambda row: {"entry": row})
    assert index.bits[rows, 0].tolist() == list(range(5_000))


def test_unreadable_entry_is_read_again() -> None:
    index = EntryIndex("statement", 2)
    address = np.array([9, 8], np.uint64)

    def broken(_: int) -> Mapping[str, Any]:
        raise KeyError("unreadable")

    with pytest.raises(KeyError):
        index.rows(address, bits_of, broken)
    rows = index.rows(address, bits_of, lambda row: {"entry": row + 1})
    assert index.bits[rows].tolist() == [[1, 7], [2, 7]]
