"""The usual signs of call sites over versions of the state."""

import numpy as np

from backwatch.collector import names
from backwatch.detector.detectors.unusual_query import UnusualQuery


def test_usual_signs_survive_a_new_sign() -> None:
    (table,) = (table for table in UnusualQuery.tables if table.name == "query_attack")
    before = np.zeros(3, np.dtype([("seen", "u1", (len(names.SIGNS) - 1,))]))
    before["seen"][1] = np.arange(1, len(names.SIGNS))
    after = UnusualQuery().migrate(table, before, 1)
    assert after.dtype == table.dtype
    assert after["seen"][1].tolist() == [*range(1, len(names.SIGNS)), 0]
    assert not after["seen"][[0, 2]].any()
