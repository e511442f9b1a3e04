"""Detection quality for injected operators and code in statements that are no SQL, with nothing learnt.

    make bench NAME=nosql_quality
    BACKWATCH_TEST_DATA=… make bench NAME=nosql_quality        with the labelled filters of that folder, too

Each statement is a span of an app of its own, as a third-party SDK sends it, so that nothing is known of it. The
shipped ``backwatch replay`` judges all. No source is fitted: each line is a source that is left out.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import rounds
from bench.nosql import attacks, honest

LOUD = frozenset(("medium", "high", "critical"))
START_NS = 1_767_603_600 * 10**9
Record = tuple[bool, str, str, str]
"""Whether it is an attack, source, system and text."""


def read_records() -> Iterator[Record]:
    """Yield the written statements, and the labelled ones if there are any."""
    yield from ((False, *statement) for statement in honest.statements())
    yield from ((True, *statement) for statement in attacks.statements())
    folder = os.environ.get("BACKWATCH_TEST_DATA", "")
    if folder:
        text = gzip.decompress((Path(folder) / "queries" / "nosql.jsonl.gz").read_bytes())
        for line in text.splitlines():
            record = json.loads(line)
            yield record["label"] == "attack", f"labelled, {record['kind']}", record["dialect"], record["text"]


def _span(number: int, record: Record) -> dict[str, Any]:
    facts = {
        "db.system.name": record[2], "db.query.text": record[3], "db.namespace": f"n{number}",
        "db.collection.name": "users", "server.address": f"{record[2]}.internal",
    }  # fmt: skip
    at = START_NS + number * 10**8
    return {
        "traceId": f"{number:032x}", "spanId": f"{number:016x}", "name": "query", "kind": 3,
        "startTimeUnixNano": str(at), "endTimeUnixNano": str(at + 10**6),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in facts.items()],
    }  # fmt: skip


def judge(records: list[Record]) -> tuple[set[int], set[int]]:
    """Return the numbers of the records that are called an attack, and those with an alert of medium or more."""
    with tempfile.TemporaryDirectory() as folder:
        spans, alerts = Path(folder) / "spans.jsonl", Path(folder) / "alerts.jsonl"
        with spans.open("w") as out:
            for number, record in enumerate(records, 1):
                service = {"attributes": [{"key": "service.name", "value": {"stringValue": "bench"}}]}
                scope = {"scope": {"name": "bench"}, "spans": [_span(number, record)]}
                out.write(json.dumps({"resourceSpans": [{"resource": service, "scopeSpans": [scope]}]}) + "\n")
        with alerts.open("wb") as out:
            command = [sys.executable, "-m", "backwatch.collector", "replay", str(spans)]
            subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
        found = [json.loads(line) for line in alerts.read_text().splitlines()]
    loud = [alert for alert in found if alert["severity"] in LOUD]
    called = {int(alert["span_id"], 16) for alert in loud if alert["detector"] == "query-attack"}
    return called, {int(alert["span_id"], 16) for alert in loud}


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print the statements that are judged wrongly")
    options = parser.parse_args()
    records = list(read_records())
    called, loud = judge(records)
    print(rounds.machine("numba", "pysigma"))
    total, hit, alerted = Counter[tuple[bool, str]](), Counter[tuple[bool, str]](), Counter[tuple[bool, str]]()
    for number, record in enumerate(records, 1):
        for row in (record[:2], (record[0], "all")):
            total[row] += 1
            hit[row] += number in called
            alerted[row] += number in loud
        if options.show and (number in loud) != record[0]:
            print("missed" if record[0] else "false", record[1], record[3][:160])
    figures: dict[str, float] = {}
    for row in sorted(total):
        share, of_loud = round(hit[row] / total[row], 4), round(alerted[row] / total[row], 4)
        kind = "attack" if row[0] else "honest"
        print(f"{kind:8}{row[1]:28}{total[row]:6}  called an attack {share:.4f}  medium {of_loud:.4f}")
        if row[1] == "all":
            figures["recall" if row[0] else "false_positives"] = share
            figures["recall_medium" if row[0] else "false_positives_medium"] = of_loud
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
