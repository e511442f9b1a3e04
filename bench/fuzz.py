"""Mutated OTLP messages through decoder, router and engine; floods of distinct values; bombs.

    make bench NAME=fuzz                           ARGS="--messages 20000000"

Prints one line of JSON per stage: messages, refused, calls, unexpected faults, the slowest message (of the step: the
slowest batch of 500), growth of the process's memory. Each stage is a separate process, so that the bench can report
the exit code and seed of a crash. The decoder's bytes end or begin at an inaccessible page. The router gets a tenth of
the messages, the step a twentieth. ``BACKWATCH_TEST_DATA`` adds recorded messages to the seeds.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

STAGES: Final = {"decoder": 1, "router": 10, "step": 20}
PORTION: Final = 500_000
LIMIT_S: Final = 1.0
"""What no bomb may take."""
DISTINCT: Final = (1_001, 10_001, 100_001)


def rss_bytes() -> int:
    """Return the process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


def fuzz(stage: str, count: int, seed: int) -> dict[str, Any]:
    """Run one stage in portions, each with its own mutants."""
    from tests.detector import fuzzing
    from tests.detector.ingest import otlp_mutator

    run: dict[str, Callable[..., Any]] = {
        "decoder": fuzzing.fuzz_decoder, "router": fuzzing.fuzz_router, "step": fuzzing.fuzz_step,
    }  # fmt: skip
    given = {"engine": _engine()} if stage == "step" else {}
    run[stage](otlp_mutator.corpus(200, seed), 1_000, seed, **given)  # compiled and warm
    total, before = fuzzing.Report(), rss_bytes()
    for at in range(0, count, PORTION):
        values = otlp_mutator.corpus(1_000, seed + at, largest=8_000)
        part = run[stage](values, min(PORTION, count - at), seed + at + 1, **given)
        total.messages += part.messages
        total.refused += part.refused
        total.calls += part.calls
        total.seconds += part.seconds
        total.slowest_s = max(total.slowest_s, part.slowest_s)
        for what, times in part.unexpected.items():
            total.unexpected[what] = total.unexpected.get(what, 0) + times
        print(f"{stage}: {total.messages} of {count}, seed {seed + at + 1}", file=sys.stderr, flush=True)
    return {"stage": stage, **asdict(total), "rss_growth_mb": (rss_bytes() - before) >> 20}


def _engine() -> Any:
    from backwatch.detector.engine.factory import make_engine
    from backwatch.detector.engine.step import EngineConfig

    return make_engine(EngineConfig(key=bytes(16)))


def distinct_values() -> list[dict[str, Any]]:
    """Step ever more distinct values of every attribute; time must grow linearly."""
    from backwatch.collector import names
    from backwatch.detector.decoding import schema
    from tests.detector.floods import flood

    engine = _engine()
    flood(engine, schema.TEXTS[0], 1_001)
    found: list[dict[str, Any]] = []
    for name in (*schema.TEXTS, *schema.NUMBERS):
        if name == names.SPAN_NAME:
            continue
        before, spent = rss_bytes(), [flood(engine, name, count) for count in DISTINCT]
        each_us = [seconds / count * 1e6 for seconds, count in zip(spent, DISTINCT, strict=True)]
        growth = max(later / earlier for earlier, later in pairwise(each_us))
        found.append({
            "attribute": name, "us_each": [round(us) for us in each_us], "worst_growth": round(growth, 2),
            "rss_growth_mb": (rss_bytes() - before) >> 20,
        })  # fmt: skip
    return found


def bombs() -> list[dict[str, Any]]:
    """Route, decode and step each bomb, and print its cost."""
    from backwatch.detector.decoding.decoder import decode
    from backwatch.detector.engine.log_entries import StreamRecords
    from backwatch.detector.ingest.routing import route
    from tests.detector.floods import bombs as made

    engine = _engine()
    found: list[dict[str, Any]] = []
    shard = engine.new_shard()

    def step(value: bytes) -> Any:
        return engine.step(
            shard, StreamRecords(values=[value], appended_ns=np.ones(1, np.int64), backfill=np.zeros(1, np.bool_),
                           offsets=np.zeros(1, np.int64))
        )  # fmt: skip

    for name, value in made().items():
        route(value[:100])
        step(value[:100])
        row: dict[str, Any] = {"bomb": name, "bytes": len(value)}
        for what, work in (("route", route), ("decode", lambda value: decode([value])), ("step", step)):
            before, begun = rss_bytes(), time.perf_counter()
            kept = work(value)
            row[f"{what}_s"] = round(time.perf_counter() - begun, 3)
            row[f"{what}_mb"] = (rss_bytes() - before) >> 20
            del kept
        found.append(row)
    return found


def main() -> None:
    """Run each stage as a process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stage", choices=[*STAGES, "distinct", "bombs"], help="this one alone")
    parser.add_argument("--here", action="store_true", help="in this process")
    args = parser.parse_args()
    if args.here:
        if args.stage == "distinct":
            rows = distinct_values()
        elif args.stage == "bombs":
            rows = bombs()
        else:
            rows = [fuzz(args.stage, max(1, args.messages // STAGES[args.stage]), args.seed)]
        for row in rows:
            print(json.dumps(row), flush=True)
        return
    failed = False
    for stage in [args.stage] if args.stage else [*STAGES, "distinct", "bombs"]:
        given = ["--here", "--stage", stage, "--messages", str(args.messages), "--seed", str(args.seed)]
        code = subprocess.run([sys.executable, "-m", "bench.fuzz", *given], check=False).returncode
        if code:
            failed = True
            print(json.dumps({"stage": stage, "died": code, "seed": args.seed}), flush=True)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
