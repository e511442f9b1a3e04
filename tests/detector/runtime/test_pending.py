"""Findings of several steps, merged into the rows of one commit."""

import numpy as np
import pytest

from backwatch.detector.columns.key_texts import Key, alert_id
from backwatch.detector.engine.findings import Findings, Firings
from backwatch.detector.runtime.pending import PendingCommit
from tests.detector.small_engine import RULES

RULE = RULES.rules[0]
TIMES = (100, 90, 95, 120)
KEY = Key(text="k", app="shop", resource="postgresql db:5432/shop", label="k", resource_id="")


def findings(times: tuple[int, ...]) -> Findings:
    fired = Firings(
        rule=RULE, alert_id=alert_id(RULE.name, KEY.text), key=KEY, decoded=None, rows=np.empty(0, np.int32),
        times=np.array(times, np.int64), facts={},
    )  # fmt: skip
    return Findings(events=[fired])


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_start_time_does_not_depend_on_commits(cut: int) -> None:
    pending = PendingCommit(0)
    for times in (TIMES[:cut], TIMES[cut:]):
        if times:
            pending.add(findings(times))
    alone = PendingCommit(0)
    alone.add(findings(TIMES[:cut]))
    for one in (pending, alone):
        [[raised]] = [turn.raised for turn in one.rounds()]
        assert raised.begin_ns == 100
    assert raised.first_ns == min(TIMES[:cut])
