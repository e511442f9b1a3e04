"""Write the streams of the app: ``python -m bench.campaigns --out DIR``."""

import argparse
import collections
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from bench.campaigns import databases, prober, records, sqlmap_runs
from bench.campaigns.app import App
from bench.campaigns.attacks import TARGETS, Attack, Run
from bench.campaigns.byhand.stream import write_by_hand
from bench.campaigns.dialect import DIALECTS
from bench.campaigns.honest import HonestStream
from bench.campaigns.records import Record


def campaign(app: App, attack: Attack, runs: list[Run], until: float, random: Random) -> list[list[Record]]:
    """Carry out the runs one after another, until the time is over; return the records of each."""
    found: list[list[Record]] = []
    for number, run in enumerate(runs):
        if time.monotonic() > until:
            print(f"{app.dialect.name}: {len(runs) - number} runs left out for want of time", flush=True)
            break
        begun = time.monotonic()
        found.append(attack(app, run, random))
        for record in found[-1]:
            record["run"] = number
        errors = sum(record["error"] for record in found[-1])
        print(
            f"{app.dialect.name} run {number}/{len(runs)} {run.tid} {run.technique} {run.tamper} {' '.join(run.goal)}: "
            f"{len(found[-1])} statements, {errors} errors, {time.monotonic() - begun:.0f} s", flush=True,
        )  # fmt: skip
    return found


def mix(honest: list[Record], runs: list[list[Record]], random: Random) -> Iterator[Record]:
    """Spread honest records over the runs: some between two of them, some within each."""
    spans = sum(len(run) for run in runs) + 10 * len(runs) + 1
    each = len(honest) / spans
    source = iter(honest)
    owed = 0.0
    for run in runs:
        for record in (*itertools.repeat(None, 10), *run):
            owed += each * 2 * random.random()
            yield from itertools.islice(source, int(owed))
            owed -= int(owed)
            if record is not None:
                yield record
    yield from source


def make(name: str, options: argparse.Namespace) -> None:
    """Write both files of a dialect: the campaign, and the injections written by hand."""
    random = Random(f"{options.seed}-{name}")
    with databases.serve(name) as database:
        app = App(database)
        stream = HonestStream(app, random)
        train, test = list(stream.train(options.train)), list(stream.test(options.test))
        save(options.out / f"library_{name}_byhand.jsonl.gz", [*train, *write_by_hand(app, test, random)])
        attack: Attack = prober.attack
        runs = [Run(tid=tid, field=field, position=position) for tid, field, position in TARGETS]
        if options.sqlmap:
            attack = sqlmap_runs.SqlmapAttack(options.sqlmap)
            runs = list(sqlmap_runs.plan(options.sqlmap, app.dialect, options.run_s, random))
        found = campaign(app, attack, runs[: options.runs], time.monotonic() + options.budget_s, random)
        save(options.out / f"library_{name}.jsonl.gz", [*train, *mix(test, found, random)])


def save(path: Path, found: list[Record]) -> None:
    """Write a file and print its counts."""
    records.write(path, found)
    counts = collections.Counter((record["phase"], record["label"], record["kind"]) for record in found)
    print(path, *(f"{' '.join(key)}: {count}" for key, count in sorted(counts.items())), sep="\n  ", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Parse the options and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--dialects", default=",".join(DIALECTS), help="default: %(default)s")
    parser.add_argument("--sqlmap", type=Path, help="sqlmap's command; without it, a small prober attacks")
    parser.add_argument("--train", type=int, default=5_200, help="honest statements of the training phase")
    parser.add_argument("--test", type=int, default=3_200, help="honest statements of the test phase")
    parser.add_argument("--run-s", type=float, default=30, help="seconds of one sqlmap run")
    parser.add_argument("--runs", type=int, help="runs per dialect, at most")
    parser.add_argument("--budget-s", type=float, default=3_600, help="seconds of attacks per dialect")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.dialects.split(","):
        make(name, options)


if __name__ == "__main__":
    main()
