"""SIGKILL for a detector at random moments and at each statement of its commits, and stale owners.

    make bench NAME=kills          ARGS="--kills=1000 --zombies=50 --store=postgresql://…"

Each round judges the same stream into a separate store. In the end the store must hold the results of one undisturbed
detector. The control is the same with the fence off: it must fail, or the comparison proves nothing.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from backwatch.collector.settings import DetectorSettings
from backwatch.detector.engine.step import Engine
from backwatch.detector.runtime.service import engine_for
from backwatch.detector.runtime.shard_worker import ShardWorker
from backwatch.store import tables
from backwatch.store.commit import Fenced
from backwatch.store.connect import open_store
from backwatch.store.migrate import upgrade
from backwatch.store.transactions import writing
from bench import rounds
from tests.detector import streams
from tests.system.killing import STATEMENTS, Found, copy_stream, everything, publish, run

PER_ROUND = 40


class Bench:
    """One published stream, the findings of an undisturbed detector, and stores to fill."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self._store = folder, store
        self._published = folder / "published"
        self._published.mkdir()
        publish(self._published)
        self._round = 0
        self.reference = self.run_plan([{}])[0]

    def store_url(self, folder: Path) -> str:
        """Return the URL of an empty store."""
        url = self._store or f"sqlite:///{folder / 'store.db'}"
        store = open_store(url, check=False)
        upgrade(store)
        with writing(store) as connection:
            for table in reversed(tables.metadata.sorted_tables):
                connection.execute(sa.delete(table))
        store.dispose()
        return url

    def run_plan(self, plan: list[dict[str, Any]]) -> tuple[Found, list[str]]:
        """Run the plan on a separate stream and store; return the findings and the exit of each detector."""
        self._round += 1
        folder = self.folder / f"round{self._round}"
        folder.mkdir()
        url = self.store_url(folder)
        ended = run(copy_stream(self._published, folder), url, plan)
        found = everything(url)
        shutil.rmtree(folder)
        return found, ended


def kill(bench: Bench, kills: int, seed: int) -> Counter[str]:
    """Kill detectors, half of them at the statements of their commits; return counts."""
    source, counts = random.Random(seed), Counter[str]()
    while counts["killed"] < kills:
        plan: list[dict[str, Any]] = [
            {"statement": source.randrange(STATEMENTS)} if i % 2 else {"after_s": source.uniform(0.1, 0.6)}
            for i in range(PER_ROUND)
        ]
        found, ended = bench.run_plan([*plan, {}])
        counts["rounds"] += 1
        counts["killed"] += ended.count("killed")
        counts["wrong"] += found != bench.reference
        print(f"{counts['killed']} killed, {counts['wrong']} of {counts['rounds']} rounds differ", flush=True)
    return counts


def stale_owners(engine: Engine, url: str, zombies: int, *, fence: bool = True) -> tuple[int, Found]:
    """Judge a stream portion by portion, with an owner that is stopped at each and resumes after its successor.

    Args:
        engine: The engine of this store's installation.
        url: An empty store.
        zombies: Number of owners that resume too late; 0: one owner alone judges all.
        fence: If off, a stale owner gets the number of the last commit, so that no check stops it.
    """
    store, settings, fenced = open_store(url), DetectorSettings(), 0
    found = streams.records(streams.eventful(5, 600), 6)
    size = len(found) // zombies + 1 if zombies else len(found)
    for at in range(0, len(found), size):
        stale, owner = (ShardWorker(0, engine, store, settings) for _ in range(2))
        for worker in (owner, stale) if zombies else (owner,):
            worker.apply(streams.entry(found[at : at + size], at))
            if worker is stale and not fence:
                worker.seq, worker._base = owner.seq, None  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
            try:
                worker.commit(time.time_ns())
            except Fenced:
                fenced += 1
    store.dispose()
    return fenced, everything(url)


def main() -> None:
    """Run and print; exit code 1 if calls were lost or doubled, or if the control found none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--zombies", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", default="", help="an empty PostgreSQL database; else SQLite")
    options = parser.parse_args()
    print(rounds.machine("numba", "sqlalchemy"))
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options.store)
        counts = kill(bench, options.kills, options.seed)
        store = open_store(bench.store_url(bench.folder))
        engine = engine_for(store, DetectorSettings())
        store.dispose()
        _, reference = stale_owners(engine, bench.store_url(bench.folder), 0)
        fenced, found = stale_owners(engine, bench.store_url(bench.folder), options.zombies)
        _, control = stale_owners(engine, bench.store_url(bench.folder), options.zombies, fence=False)
    result = {
        **counts, "zombies": options.zombies, "fenced": fenced, "zombies_wrong": int(found != reference),
        "control_fails": control != reference,
    }  # fmt: skip
    print(json.dumps(result))
    if counts["wrong"] or found != reference or control == reference:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
