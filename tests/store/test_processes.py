"""The watched processes of apps in the store."""

from typing import Any

import pytest
import sqlalchemy as sa

from backwatch.store import processes
from backwatch.store.commit import SeenProcess
from backwatch.store.health import health
from backwatch.store.prune import DAY_NS, prune
from backwatch.store.transactions import reading
from tests.services.commits import Owner

NOW_NS = 100 * DAY_NS


def seen(instance: str = "1" * 16, state: str = "running", heard_ns: int = NOW_NS, **more: Any) -> SeenProcess:
    values: dict[str, Any] = {
        "instance": instance, "app": "shop", "host": "a", "pid": 7, "parent": "", "state": state, "since_ns": heard_ns,
        "started_ns": 1, "first_ns": 2, "heard_ns": heard_ns, "interval_ns": 15, "recorded": 12, "delivered": 9,
        "dropped": 3,
    }  # fmt: skip
    return SeenProcess(**{**values, **more})


def listed(store: sa.Engine, **more: Any) -> list[tuple[str, str, int]]:
    with reading(store) as connection:
        return [(one.instance[0], one.state, one.delivered) for one in processes.list_processes(connection, **more)]


def test_process_is_one_row_and_shows_its_newest_state(store: sa.Engine) -> None:
    owner = Owner(store)
    owner.commit(processes=[seen(), seen("2" * 16, app="other")])
    owner.commit(processes=[seen(state="silent", delivered=10)])
    assert listed(store) == [("1", "silent", 10), ("2", "running", 9)]
    assert listed(store, app="other") == [("2", "running", 9)]
    with reading(store) as connection:
        assert health(connection).processes == {"running": 1, "silent": 1}


def test_hostile_text_and_numbers_do_not_refuse_the_commit(store: sa.Engine) -> None:
    Owner(store).commit(processes=[seen(host="h\x00\ud800" * 200, app="a\x00", pid=2**70, started_ns=-(2**70))])
    assert len(listed(store)) == 1


def test_prune_forgets_old_processes_and_keeps_the_newest(store: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [seen(f"{i}" * 16, heard_ns=NOW_NS - i * 3 * DAY_NS) for i in range(5)]
    never_heard = seen("9" * 16, "undelivered", 0, since_ns=NOW_NS)
    Owner(store).commit(processes=[*rows, never_heard])
    assert prune(store, NOW_NS)["process"] == 2
    monkeypatch.setattr(processes, "MAX_KEPT", 2)
    prune(store, NOW_NS)
    assert {instance for instance, _, _ in listed(store)} == {"9", "0", "1"}
