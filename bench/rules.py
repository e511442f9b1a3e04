"""What a thousand rules more cost the detector: the shipped engine beside the same with them, on the same bytes.

    make bench NAME=rules            ARGS=--rounds=9, --rules=200

The rules are of the kinds that people write: words and patterns on statements, sessions and resources, numbers call by
call, and combinations. None is meant to fire; each is held against every call.
"""

import argparse
import json
import statistics
import tempfile
import uuid
from pathlib import Path

from backwatch.detector.engine.step import EngineConfig
from backwatch.detector.rulebook import make_engine
from bench import rounds, spans
from bench.detector_throughput import BATCHES, Judged

DOCUMENT = """
title: One of Many
id: {id}
name: one-of-many-{number}
status: experimental
description: Detects what is in no call of the bench.
references: [https://attack.mitre.org/techniques/T1190/]
tags: [attack.initial-access, attack.t1190]
logsource: {{product: opentelemetry, category: backing_service_call}}
detection:
  {detection}
  condition: selection
level: low
backwatch: {{key: resource, blind_spots: It is a bench., remediation: Nothing is to be done.}}
"""
DETECTIONS = (
    "selection: {{db.query.text|contains: nobody_{number}}}",
    "selection: {{db.query.text|re|i: '\\bfrom\\s+nobody_{number}\\b'}}",
    "selection: {{backwatch.account: [nobody{number}, no-one-{number}], tls.established: false}}",
    "selection: {{server.address|endswith: .nowhere{number}.example, db.namespace: n{number}}}",
    "selection: {{db.operation.name: DELETE, backwatch.rows.affected|gt: {number}000000000}}",
)


def main() -> None:
    """Runs and prints; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rules", type=int, default=1_000, help="how many more")
    options = parser.parse_args()
    values = [spans.request(seed) for seed in range(BATCHES)]
    total = BATCHES * spans.SPANS
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rules):
            detection = DETECTIONS[number % len(DETECTIONS)].format(number=number + 1)
            text = DOCUMENT.format(id=uuid.UUID(int=number + (4 << 76) + (8 << 60)), number=number, detection=detection)
            Path(folder, f"{number}.yml").write_text(text)
        config = EngineConfig(key=b"0123456789abcdef")
        engines = {"shipped": make_engine(config), "with_more": make_engine(config, folder)}
    counts = {name: len(engine.rules.rules) for name, engine in engines.items()}
    if counts["with_more"] - counts["shipped"] != options.rules:
        raise SystemExit(f"bench: {counts['with_more'] - counts['shipped']} of {options.rules} rules were read")
    print(rounds.machine("numba", "google-re2"))
    judged = {name: Judged(engine) for name, engine in engines.items()}
    for one in judged.values():
        one.judge(values)
    found = rounds.alternated(
        {name: lambda one=one: one.judge(values) for name, one in judged.items()}, options.rounds
    )  # fmt: skip
    for name, spent in found.items():
        low, high = total / max(spent), total / min(spent)
        figure = int(total / statistics.median(spent))
        print(f"{name:10} {counts[name]:5,} rules {figure:>10,} spans/s/core  [{low:,.0f} .. {high:,.0f}]")
    cost = rounds.ratio(found["with_more"], found["shipped"]) - 1
    print(json.dumps({"rules": options.rules, "cost": round(cost, 3)}))


if __name__ == "__main__":
    main()
