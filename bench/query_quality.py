"""Detection quality for injected queries, on labelled statement streams of applications.

    BACKWATCH_TEST_DATA=… make bench NAME=query_quality       ARGS="--stream library_mysql.jsonl.gz"

The data cannot be shipped: the folder must hold ``queries/app_*.jsonl.gz`` and ``to_otlp.py``. ``bench.campaigns``
makes further streams of the same form. The shipped ``backwatch replay`` judges each stream, with call sites and
without, with full texts and with texts that another instrumentation sanitised. Attempts that stayed inside one literal
are left out.
"""

import argparse
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import rounds

STREAMS = ("app_airports", "app_shop")
INERT = "stmt_sqlmap_inert"
LOUD = frozenset(("medium", "high", "critical"))


def judge_stream(data: Path, stream: Path, *, call_sites: bool, text: str) -> dict[str, float]:
    """Return the figures of one stream: shares called an attack, and shares with an alert of medium or more."""
    with tempfile.TemporaryDirectory() as folder:
        spans, alerts = Path(folder) / "spans.jsonl", Path(folder) / "alerts.jsonl"
        flags = ["--text", text, *(["--call-sites"] if call_sites else [])]
        with spans.open("wb") as out:
            subprocess.run([sys.executable, str(data / "to_otlp.py"), *flags, str(stream)], stdout=out, check=True)
        with alerts.open("wb") as out:
            command = [sys.executable, "-m", "backwatch.collector", "replay", str(spans)]
            subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
        found = [json.loads(line) for line in alerts.read_text().splitlines()]
    called = {alert["span_id"] for alert in found if alert["detector"] == "query-attack"}
    loud = {alert["span_id"] for alert in found if alert["severity"] in LOUD}
    records = [json.loads(line) for line in gzip.decompress(stream.read_bytes()).splitlines()]
    attacks = [r for r in records if r["label"] == "attack" and r["kind"] != INERT and r.get("phase") != "train"]
    honest = [r for r in records if r["label"] == "benign"]
    return {
        "recall": _share(attacks, called), "recall_medium": _share(attacks, loud),
        "false_positives": _share(honest, called), "false_positives_medium": _share(honest, loud),
    }  # fmt: skip


def _share(records: list[dict[str, Any]], spans: set[str]) -> float:
    ids = [hashlib.sha256(record["id"].encode()).hexdigest()[:16] for record in records]
    return round(sum(span in spans for span in ids) / max(len(ids), 1), 5)


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stream", type=Path, action="append", help="a stream instead of the two of the data folder")
    options = parser.parse_args()
    folder = os.environ.get("BACKWATCH_TEST_DATA", "")
    if not folder:
        raise SystemExit("query_quality: BACKWATCH_TEST_DATA must name the folder with the labelled queries")
    data = Path(folder)
    streams = options.stream or [data / "queries" / f"{name}.jsonl.gz" for name in STREAMS]
    print(rounds.machine("numba", "pysigma"))
    figures: dict[str, dict[str, float]] = {}
    for stream in streams:
        for text in ("full", "sanitised"):
            for call_sites in (True, False):
                name = f"{stream.name.partition('.')[0]}, {text}, {'with' if call_sites else 'without'} call sites"
                figures[name] = judge_stream(data, stream, call_sites=call_sites, text=text)
                print(f"{name:52} {figures[name]}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
