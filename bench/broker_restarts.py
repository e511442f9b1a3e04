"""Broker restarts under apps and detectors: are calls lost, counted twice, or judged late?

    make bench NAME=broker_restarts      ARGS="--restarts=20", "--quick"

Real apps under ``backwatch run`` make calls; two detectors of one group judge them into PostgreSQL. The broker is
killed (SIGKILL) or asked to stop (SIGTERM) in turn, stays away for 1 to 15 s, and comes back on its ports and log.
In the end each call of an app is in the store once. The last line is JSON: restarts, calls made, judged, lost,
doubled, losses in the store, and the longest time after a restart until each app was judged up to 10 s ago, in
seconds.
"""

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics
from backwatch.store import tables
from backwatch.store.connect import open_store
from backwatch.store.health import health
from backwatch.store.migrate import upgrade
from backwatch.store.transactions import reading
from tests.services.authority import Authority
from tests.services.brokers import kafka_broker
from tests.services.databases import fresh_database, postgresql
from tests.system.commands import BACKWATCH, Running, environment, run_in_background

ROOT: Final = Path(__file__).parents[1]
PARTITIONS: Final = 4
APPS: Final = 4
PER_SECOND: Final = 50.0
AWAY_S: Final = (1.0, 15.0)
BACK_S: Final = 120.0
"""After a restart, within which the calls of all apps must be judged again."""
FRESH_S: Final = 10.0
"""Age of an app's last judged call at which it counts as followed."""


class Apps:
    """Run observed apps inside the block."""

    def __init__(self, stream: str, folder: Path) -> None:
        self.processes = [self._start(stream, folder / f"app{number}.log", number) for number in range(APPS)]

    @staticmethod
    def _start(stream: str, log: Path, number: int) -> "subprocess.Popen[str]":
        settings = {"BACKWATCH_STREAM_URL": stream, "BACKWATCH_APP": f"shop-{number}"}
        with log.open("wb") as errors:
            return subprocess.Popen(
                [BACKWATCH, "run", "--", sys.executable, "-m", "tests.system.counting_app", str(PER_SECOND)],
                cwd=ROOT, env=environment(settings), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors,
            )  # fmt: skip

    def stop(self) -> int:
        """End the apps and return the number of their calls."""
        made = 0
        for process in self.processes:
            output, _ = process.communicate("end\n", timeout=60)
            made += int(output)
        return made


@contextlib.contextmanager
def detectors(stream: str, store: str, folder: Path) -> Generator[list[Running]]:
    """Run two detectors of one group inside the block."""
    with contextlib.ExitStack() as stack:
        found: list[Running] = []
        for number in range(2):
            own = folder / f"detector{number}"
            own.mkdir()
            settings = {"BACKWATCH_STREAM_URL": stream, "BACKWATCH_STORE_URL": store}
            found.append(stack.enter_context(run_in_background(own, "detect", "--no-router", **settings)))
        for process in found:
            process.wait_for_output("detecting")
        yield found


def count_judged(store: sa.Engine) -> int:
    """Return the calls of all apps' statements in the store."""
    with reading(store) as connection:
        return int(connection.scalar(sa.select(sa.func.sum(tables.resource.c.calls))) or 0)


def oldest_s(store: sa.Engine) -> float:
    """Return the age of the last judged call of the slowest app, in seconds."""
    with reading(store) as connection:
        last_ns = connection.execute(sa.select(sa.func.max(tables.resource.c.last_ns)).group_by(tables.resource.c.app))
        found = [int(row[0]) for row in last_ns]
    return (time.time_ns() - min(found)) / 1e9 if len(found) == APPS else float("inf")


def until_fresh(store: sa.Engine, group: list[Running], what: str) -> float:
    """Wait until each app's calls of a few seconds ago are judged; return the seconds."""
    begun_s = time.monotonic()
    while (age_s := oldest_s(store)) > FRESH_S:
        if time.monotonic() - begun_s > BACK_S:
            for process in group:
                print(process.output()[-6_000:])
            raise SystemExit(f"bench: {what}: an app was last judged {age_s:.0f} s ago, {BACK_S:.0f} s after")
        time.sleep(0.5)
    return time.monotonic() - begun_s


def run(restarts: int, seed: int, folder: Path) -> dict[str, Any]:
    """Restart the broker so often; return the figures."""
    source, ca = random.Random(seed), Authority(folder)
    with (
        kafka_broker.install(ca) as broker,
        contextlib.ExitStack() as on,
        postgresql.serve(ca) as server,
        fresh_database.postgresql(server) as store_url,
    ):
        stream = broker.server.url
        on.enter_context(broker.run())
        ensure_topics(StreamSettings(url=stream, partitions=PARTITIONS), (names.TOPIC_CALLS, names.TOPIC_SPANS))
        store = open_store(store_url)
        upgrade(store)
        with detectors(stream, store_url, folder) as group:
            apps, longest_s = Apps(stream, folder), 0.0
            time.sleep(5)
            for number in range(restarts):
                on.close()
                time.sleep(source.uniform(*AWAY_S))
                stop, grace_s = (("KILL", 3.0), ("TERM", 30.0))[number % 2]
                on.enter_context(broker.run(stop, grace_s))
                longest_s = max(longest_s, until_fresh(store, group, f"restart {number + 1}"))
                print(
                    f"{number + 1} restarts, {count_judged(store):,} calls judged, longest {longest_s:.1f} s",
                    flush=True,
                )
                time.sleep(source.uniform(0.0, 5.0))
            made = apps.stop()
            until_s = time.monotonic() + BACK_S
            while count_judged(store) < made and time.monotonic() < until_s:
                time.sleep(0.5)
            time.sleep(5)  # double counts arrive, too
            for process in group:
                assert "Traceback" not in process.output(), process.output()[-3_000:]
        with reading(store) as connection:
            losses = health(connection).losses
        count = count_judged(store)
        store.dispose()
    return {
        "restarts": restarts, "made": made, "judged": count, "lost": max(0, made - count),
        "doubled": max(0, count - made), "losses": losses, "longest_s": round(longest_s, 1),
    }  # fmt: skip


def main() -> None:
    """Run the bench on its own servers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two restarts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(2 if given.quick else given.restarts, given.seed, Path(folder))
    print(json.dumps(figures))
    raise SystemExit(1 if figures["lost"] or figures["doubled"] else 0)


if __name__ == "__main__":
    main()
