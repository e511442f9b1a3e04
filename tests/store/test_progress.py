"""Progress of consumer groups in the store."""

import dataclasses

import sqlalchemy as sa

from backwatch.store.progress import PartitionProgress, read_progress, write_progress
from backwatch.store.prune import DAY_NS, prune
from backwatch.store.transactions import reading

ROW = PartitionProgress(
    consumer_group="backwatch-detector", topic="backwatch_calls", partition_id=3, next_offset=7, end_offset=9,
    advanced_ns=5, updated_ns=6, member="host:1",
)  # fmt: skip


def test_the_newest_progress_of_a_partition_replaces_the_older_one(store: sa.Engine) -> None:
    write_progress(store, [ROW, dataclasses.replace(ROW, partition_id=1)])
    later = dataclasses.replace(ROW, next_offset=9, advanced_ns=8, reason="why\x00" + "x" * 1_000)
    write_progress(store, [later])
    with reading(store) as connection:
        first, second = read_progress(connection)
    assert (first.partition_id, first.lag) == (1, 2)
    assert (second.next_offset, second.lag, second.advanced_ns) == (9, 0, 8)
    assert "\x00" not in second.reason
    assert len(second.reason) <= 500


def test_progress_unwritten_for_a_week_is_pruned(store: sa.Engine) -> None:
    now_ns = 8 * DAY_NS
    fresh = dataclasses.replace(ROW, partition_id=1, updated_ns=now_ns - DAY_NS)
    write_progress(store, [dataclasses.replace(ROW, updated_ns=now_ns - 7 * DAY_NS - 1), fresh])
    assert prune(store, now_ns)["partition_progress"] == 1
    with reading(store) as connection:
        assert read_progress(connection) == [fresh]
