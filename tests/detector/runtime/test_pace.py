"""Portions keep their order, alternate between partitions, and adapt to the last duration."""

from hypothesis import given
from hypothesis import strategies as st

from backwatch.collector.stream import Record
from backwatch.detector.runtime.pace import MAX_PORTION_BYTES, MIN_PORTION_BYTES, TARGET_S, Pace


def record(partition: int, offset: int, size: int = 10) -> Record:
    return Record(partition=partition, offset=offset, key=b"", value=bytes(size), appended_ns=1, backfill=False)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200_000)), max_size=60), st.integers(1, 9))
def test_each_partition_keeps_its_order_and_loses_nothing(sizes: list[tuple[int, int]], most: int) -> None:
    records = [record(partition, offset, size) for offset, (partition, size) in enumerate(sizes)]
    pace, found = Pace(), dict[int, list[int]]()
    for partition, portion in pace.portions(records, lambda _: most):
        assert 1 <= len(portion) <= most
        assert len(portion) == 1 or sum(len(one.value) for one in portion) <= pace.portion_bytes
        found.setdefault(partition, []).extend(one.offset for one in portion)
    for partition, offsets in found.items():
        assert offsets == [one.offset for one in records if one.partition == partition]
    assert sum(map(len, found.values())) == len(records)


def test_flooded_partition_delays_another_by_one_portion() -> None:
    records = [*(record(0, i) for i in range(100)), record(1, 0)]
    assert [partition for partition, _ in Pace().portions(records, lambda _: 10)].index(1) == 1


def test_slow_portion_shrinks_the_next_and_quick_portions_grow_it() -> None:
    pace = Pace()
    pace.note([record(0, 0, 1 << 20)], 20 * TARGET_S)
    assert pace.portion_bytes == MIN_PORTION_BYTES
    for _ in range(20):
        pace.note([record(0, 0, pace.portion_bytes)], TARGET_S / 10)
    assert pace.portion_bytes == MAX_PORTION_BYTES
