"""The watched processes of apps in the store."""

import time
from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.store import processes
from backwatch.store.commit import SeenProcess
from backwatch.store.health import health
from backwatch.store.prune import DAY_NS, prune
from backwatch.store.transactions import reading
from tests.services.commits import Owner

NOW_NS = time.time_ns()


def make_process(
    instance: str = "1" * 16, state: str = "running", heard_ns: int | None = None, **more: Any
) -> SeenProcess:
    heard_ns = time.time_ns() if heard_ns is None else heard_ns
    values: dict[str, Any] = {
        "instance": instance, "app": "shop", "host": "a", "pid": 7, "parent": "", "state": state, "since_ns": heard_ns,
        "started_ns": 1, "first_ns": 2, "heard_ns": heard_ns, "interval_ns": 15, "recorded": 12, "delivered": 9,
        "dropped": 3,
    }  # fmt: skip
    return SeenProcess(**{**values, **more})


def list_reported(store: sa.Engine, **more: Any) -> list[tuple[str, str, int]]:
    with reading(store) as connection:
        return [(one.instance[0], one.state, one.delivered) for one in processes.list_processes(connection, **more)]


def test_process_is_one_row_and_shows_its_newest_state(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(processes=[make_process(), make_process("2" * 16, app="other")])
    owner.commit(processes=[make_process(state="silent", delivered=10)])
    assert list_reported(store) == [("1", "silent", 10), ("2", "running", 9)]
    assert list_reported(store, app="other") == [("2", "running", 9)]
    with reading(store) as connection:
        assert health(connection).processes == {"running": 1, "silent": 1}


def test_hostile_text_and_numbers_do_not_refuse_the_commit(store: sa.Engine) -> None:
    Owner(store).commit(processes=[make_process(host="h\x00\ud800" * 200, app="a\x00", pid=2**70, started_ns=-(2**70))])
    assert len(list_reported(store)) == 1


def test_prune_forgets_old_processes_and_keeps_the_newest(store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [make_process(f"{i}" * 16, heard_ns=NOW_NS - i * 3 * DAY_NS) for i in range(5)]
    never_heard = make_process("9" * 16, "undelivered", 0, since_ns=NOW_NS)
    Owner(store).commit(processes=[*rows, never_heard])
    assert prune(store, NOW_NS)["process"] == 2
    monkeypatch.setattr(processes, "MAX_KEPT", 2)
    prune(store, NOW_NS)
    assert {instance for instance, _, _ in list_reported(store)} == {"9", "0"}


def test_process_not_heard_of_late_is_not_shown_as_running(store: sa.Engine) -> None:
    """A shard that forgot a process, or a detector that is gone, writes nothing of it any more."""
    hour_ns, now_ns = 3_600 * 10**9, time.time_ns()
    Owner(store).commit(processes=[
        make_process("1" * 16), make_process("2" * 16, heard_ns=now_ns - hour_ns),
        make_process("3" * 16, "silent", now_ns - hour_ns),
        make_process("4" * 16, heard_ns=now_ns - hour_ns // 3, interval_ns=600 * 10**9),
        make_process("5" * 16, heard_ns=now_ns - hour_ns, interval_ns=2**62),
    ])  # fmt: skip
    shown = {instance: state for instance, state, _ in list_reported(store, now_ns=now_ns)}
    assert shown == {"1": "running", "2": "unfollowed", "3": "silent", "4": "running", "5": "unfollowed"}
    with reading(store) as connection:
        counts = processes.count_by_state(connection, now_ns)
        assert counts == {"running": 2, "silent": 1, "unfollowed": 2} == health(connection).processes


@pytest.mark.parametrize("state", ["ended", "unfollowed", "running"])
def test_flood_of_processes_removes_no_missed_one_from_the_store(
    store: sa.Engine, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(processes, "MAX_KEPT", 10)
    monkeypatch.setattr(processes, "MAX_EXCESS", 5)
    owner = Owner(store)
    owner.commit(
        processes=[make_process("a" * 16, "silent", NOW_NS - 2 * DAY_NS), make_process("b" * 16, heard_ns=NOW_NS)]
    )
    for at in range(0, 100, 4):
        owner.commit(
            processes=[make_process(f"{i:016x}", state, NOW_NS - 100 + i) for i in range(at, at + 4)], now_ns=NOW_NS
        )
        assert len(list_reported(store)) <= 10 + 5 + 4
    with reading(store) as connection:
        found = {one.instance[0] for one in processes.list_processes(connection, now_ns=NOW_NS)}
    assert {"a", "b"} <= found
    prune(store, NOW_NS)
    assert len(list_reported(store)) == 10
