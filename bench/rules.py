"""Cost of a thousand additional rules: the shipped engine with and without them, on the same bytes.

    make bench NAME=rules            ARGS=--rounds=9, --rules=200

The rules are of common kinds: words and patterns on statements, sessions and resources, numbers call by call, and
combinations. None fires. Each is evaluated on every call, and the limits lie among the numbers of the calls. A flood
of new statements is measured separately: all rules read each of them.
"""

import argparse
import json
import statistics
import tempfile
import uuid
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backwatch.collector import names
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.step import EngineConfig
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
    "selection: {{backwatch.account: [absent{number}, missing-{number}], tls.established: false}}",
    "selection: {{server.address|endswith: .nowhere{number}.example, db.namespace: n{number}}}",
    "selection: {{db.operation.name: DELETE, {rows}|gt: {least}, {rows}|lt: {most}}}",
)
NEW = 2
"""Batches of new statements in a round."""


def new_statements(seed: int) -> bytes:
    """Return a batch in which each call has a unique statement."""
    made = ExportTraceServiceRequest.FromString(spans.request(seed))
    found = (
        span for resource_spans in made.resource_spans for scope in resource_spans.scope_spans for span in scope.spans
    )
    for number, span in enumerate(found):
        for attribute in span.attributes:
            if attribute.key == "db.query.text":
                text = attribute.value.string_value
                attribute.value.string_value = text.replace("public.", f"of_{seed}_{number}.")
    return made.SerializeToString()


def flood(judged: dict[str, Judged], count: int) -> dict[str, float]:
    """Return median CPU microseconds of a call whose statement is new."""
    values = [[new_statements(number) for number in range(at, at + NEW)] for at in range(0, (count + 1) * NEW, NEW)]
    left = {name: iter(values) for name in judged}
    found = rounds.alternate({name: lambda name=name: judged[name].judge(next(left[name])) for name in judged}, count)
    return {name: round(statistics.median(spent) / (NEW * spans.SPANS) * 1e6, 1) for name, spent in found.items()}


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rules", type=int, default=1_000, help="how many more")
    options = parser.parse_args()
    values = [spans.request(seed) for seed in range(BATCHES)]
    total = BATCHES * spans.SPANS
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rules):
            least = number % 190  # no whole number lies between this and the next
            detection = DETECTIONS[number % len(DETECTIONS)].format(
                number=number + 1, rows=names.ROWS_RETURNED, least=least, most=least + 1
            )
            text = DOCUMENT.format(id=uuid.UUID(int=number + (4 << 76) + (8 << 60)), number=number, detection=detection)
            Path(folder, f"{number}.yml").write_text(text)
        config = EngineConfig(key=b"0123456789abcdef")
        engines = {"shipped": make_engine(config), "with_more": make_engine(config, folder)}
    counts = {name: len(engine.rules.rules) for name, engine in engines.items()}
    if counts["with_more"] - counts["shipped"] != options.rules:
        raise SystemExit(f"bench: {counts['with_more'] - counts['shipped']} of {options.rules} rules were read")
    print(rounds.machine("numba", "google-re2"))
    judged = {name: Judged(engine) for name, engine in engines.items()}
    for variant in judged.values():
        variant.judge(values)
    found = rounds.alternate(
        {name: lambda variant=variant: variant.judge(values) for name, variant in judged.items()}, options.rounds
    )  # fmt: skip
    for name, spent in found.items():
        low, high = total / max(spent), total / min(spent)
        figure = int(total / statistics.median(spent))
        print(f"{name:10} {counts[name]:5,} rules {figure:>10,} spans/s/core  [{low:,.0f} .. {high:,.0f}]")
    cost = rounds.ratio(found["with_more"], found["shipped"]) - 1
    new_us = flood(judged, options.rounds)
    print("a call with a new statement: " + ", ".join(f"{name} {figure} us" for name, figure in new_us.items()))
    print(json.dumps({"rules": options.rules, "cost": round(cost, 3), "new_statement_us": new_us}))


if __name__ == "__main__":
    main()
