"""SIGKILL at every statement of the commit's transaction: nothing is lost, nothing doubled."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from backwatch.store import queries, tables
from backwatch.store.commit import QuarantinedRecord, ResourceActivity, Rollup
from backwatch.store.connect import open_store
from backwatch.store.transactions import reading
from tests.services.commits import Owner, make_cleared, make_raised

COMMITS = 3
NEVER = 1_000


def _do(owner: Owner, turn: int) -> None:
    """Commit number ``turn``, which touches every table that a commit can touch."""
    zero = dict.fromkeys(
        ("errors", "suspects", "bytes_sent", "bytes_received", "rows_returned", "rows_affected", "duration_ns"), 0
    )
    owner.commit(
        make_raised("a", at_ns=10 * turn + 60, count=30), make_raised(f"new {turn}", at_ns=10 * turn),
        make_cleared("a", at_ns=10 * turn + 61),
        snapshot=b"whole" if turn == 1 else None, delta=b"" if turn == 1 else b"%d" % turn,
        seen=[ResourceActivity(resource_id="r", app="shop", system="redis", endpoint="c", namespace="",
                               first_ns=1, last_ns=2, calls=1, errors=0, facts={})],
        rollups=[Rollup(resource_id="r", end_ns=turn, calls=1, new_statements=1, **zero)],
        quarantined=[QuarantinedRecord(partition=0, offset=turn, reason="cut", value=b"x", appended_ns=1)],
        losses={"gap": 1}, counters={"spans": 1},
    )  # fmt: skip


def _run(url: str, die_at: int, after: bool) -> None:
    """Goes on from where the store is, and dies before or after its statement number ``die_at``."""
    engine = open_store(url)
    owner = Owner(engine)
    seen = 0

    def count(connection: sa.Connection, *_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "after_cursor_execute" if after else "before_cursor_execute", count)
    event.listen(engine, "commit", count)
    for turn in range(owner.seq, COMMITS):
        _do(owner, turn)
    os._exit(0 if die_at == NEVER else 3)


def _child(url: str, die_at: int, *, after: bool) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=_run, args=(url, die_at, after))
    process.start()
    process.join(60)
    return process.exitcode


def _everything(engine: sa.Engine) -> dict[str, list[tuple[Any, ...]]]:
    with reading(engine) as connection:
        return {
            table.name: sorted(tuple(row) for row in connection.execute(sa.select(table)))
            for table in tables.metadata.sorted_tables
        }


@pytest.fixture
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    """Contents of the store if no process is killed."""
    engine = open_store(f"sqlite:///{tmp_path_factory.mktemp('undisturbed') / 'store.db'}")
    owner = Owner(engine)
    for turn in range(COMMITS):
        _do(owner, turn)
    yield _everything(engine)
    engine.dispose()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_detector_killed_at_each_statement_leaves_what_an_undisturbed_one_leaves(
    store_url: str,
    undisturbed: dict[str, list[tuple[Any, ...]]],
    after: bool,
) -> None:
    open_store(store_url).dispose()
    kills = 0
    for die_at in range(1, NEVER):
        code = _child(store_url, die_at, after=after)
        kills += code == -signal.SIGKILL
        if code == 3:
            break
    engine = open_store(store_url)
    assert undisturbed == _everything(engine)
    engine.dispose()
    assert kills >= 15  # at least as many as a commit has statements


def test_a_killed_commit_is_seen_whole_or_not_at_all(store_url: str) -> None:
    open_store(store_url).dispose()
    engine = open_store(store_url)
    states: set[tuple[int, int]] = set()
    for die_at in (2, 5, 9, 14, NEVER):
        _child(store_url, die_at, after=False)
        with reading(engine) as connection:
            states.add((queries.shard_rows(connection)[0].seq, queries.health(connection).losses.get("gap", 0)))
    engine.dispose()
    assert all(seq == losses for seq, losses in states)
    assert max(seq for seq, _ in states) == COMMITS
