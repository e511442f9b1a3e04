"""State of the injection detector over versions."""

import numpy as np

from backwatch.collector import names
from backwatch.detector.detectors.query_attack import QueryAttack


def test_usual_signs_survive_a_new_sign() -> None:
    (table,) = QueryAttack.tables
    before = np.zeros(3, np.dtype([("seen", "u1", (len(names.SIGNS) - 1,))]))
    before["seen"][1] = np.arange(1, len(names.SIGNS))
    after = QueryAttack().migrate(table, before, 1)
    assert after.dtype == table.dtype
    assert after["seen"][1].tolist() == [*range(1, len(names.SIGNS)), 0]
    assert not after["seen"][[0, 2]].any()
