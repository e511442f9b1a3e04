"""Sums by resource equal those of a plain loop, whatever the order and the addresses."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backwatch.detector.engine.seen import sum_seen

CALLS = st.lists(
    st.tuples(st.sampled_from([1, 3, 33, 65, 2**63 + 1]), st.integers(0, 1), st.integers(0, 5), st.booleans()),
    max_size=40,
)


@settings(deadline=None)
@given(CALLS)
def test_sums_of_each_address_equal_a_plain_loop(calls: list[tuple[int, int, int, bool]]) -> None:
    expected: dict[int, tuple[int, int, int, int]] = {}
    for row, (address, slot, time_ns, error) in enumerate(calls):
        if slot:
            newest, first_ns, count, errors = expected.get(address, (row, time_ns, 0, 0))
            newest = row if time_ns > calls[newest][2] else newest
            expected[address] = newest, min(first_ns, time_ns), count + 1, errors + error
    addresses, slots, times, errors_ = zip(*calls, strict=True) if calls else ((), (), (), ())
    address, out = np.array(addresses, np.uint64), np.empty((4, len(calls)), np.int64)
    count = sum_seen(
        address, np.array(slots, np.int32), np.array(times, np.int64), np.array(errors_, np.bool_), out
    )  # fmt: skip
    assert {int(address[out[0, at]]): tuple(out[:, at].tolist()) for at in range(count)} == expected
