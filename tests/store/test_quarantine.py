"""Quarantine is bounded in bytes and rows: a stream full of unreadable records does not fill the store's disk."""

import pytest
import sqlalchemy as sa

from backwatch.store import prune, quarantine, queries, tables
from backwatch.store.commit import QuarantinedRecord
from backwatch.store.prune import DAY_NS
from backwatch.store.transactions import reading
from tests.services.commits import Owner


def unreadable(offset: int, value: bytes = b"x", reason: str = "cut") -> QuarantinedRecord:
    return QuarantinedRecord(partition=0, offset=offset, reason=reason, value=value, appended_ns=1)


def list_kept(store: sa.Engine) -> list[int]:
    """Offsets that are kept, in their order."""
    column = tables.quarantine.c.record_offset
    with reading(store) as connection:
        return list(connection.scalars(sa.select(column).order_by(column)))


def test_a_large_unreadable_record_is_cut_and_its_length_noted(store: sa.Engine) -> None:
    value = b"\xff" * 5_000_000
    Owner(store).commit(quarantined=[unreadable(1, value, "r" * 900), unreadable(2, value[:65_536])])
    with reading(store) as connection:
        first, second = connection.execute(sa.select(tables.quarantine).order_by(tables.quarantine.c.record_offset))
    assert (bytes(first.value), bytes(second.value)) == (value[:65_536], value[:65_536])
    assert first.reason.endswith("r (the first 65,536 of 5,000,000 bytes are kept)")
    assert len(first.reason) <= quarantine.MAX_REASON_CHARACTERS
    assert second.reason == "cut"


def test_unreadable_records_beyond_the_bound_are_counted_and_not_kept(
    store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_RECORDS", 5)
    owner = Owner(store)
    for first in (0, 3, 6):
        owner.commit(quarantined=[unreadable(first + at) for at in range(3)], losses={"quarantine": 3})
    assert list_kept(store) == [0, 1, 2, 3, 4]
    with reading(store) as connection:
        assert queries.health(connection).losses == {"quarantine": 9}


def test_pruning_makes_room_for_the_unreadable_records_of_another_day(
    store: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_RECORDS", 20)
    monkeypatch.setattr(quarantine, "MAX_SETTLED_RECORDS", 12)
    monkeypatch.setattr(prune, "_BITE", 3)
    owner = Owner(store)
    owner.commit(quarantined=[unreadable(at) for at in range(40)], now_ns=1)
    assert prune.prune(store, DAY_NS)["quarantine"] == 0
    assert prune.prune(store, DAY_NS + 2)["quarantine"] == 8
    assert list_kept(store) == [*range(8, 20)]
    owner.commit(quarantined=[unreadable(100 + at) for at in range(40)], now_ns=DAY_NS + 2)
    assert list_kept(store) == [*range(8, 20), *range(100, 108)]
