"""Detection quality for injected queries, on two applications' labelled statement streams.

    BACKWATCH_TEST_DATA=… make bench NAME=query_quality

The data cannot be shipped: the folder must hold ``queries/app_*.jsonl.gz``, ``to_otlp.py`` and ``judge.py``. The
shipped ``backwatch replay`` judges each stream, with call sites and without.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import rounds

STREAMS = ("airports", "shop")


def measure_stream(data: Path, stream: str, *, call_sites: bool) -> dict[str, float]:
    """Print the judge's output, and return its figures."""
    records = data / "queries" / f"app_{stream}.jsonl.gz"
    with tempfile.TemporaryDirectory() as folder:
        spans, alerts = Path(folder) / "spans.jsonl", Path(folder) / "alerts.jsonl"
        with spans.open("wb") as out:
            flags = ["--call-sites"] if call_sites else []
            subprocess.run([sys.executable, str(data / "to_otlp.py"), *flags, str(records)], stdout=out, check=True)
        with alerts.open("wb") as out:
            command = [sys.executable, "-m", "backwatch.collector", "replay", str(spans)]
            subprocess.run(command, stdout=out, check=True)
        report = subprocess.run(
            [sys.executable, str(data / "judge.py"), str(records), str(alerts)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    print(f"--- {stream}, {'with' if call_sites else 'without'} call sites\n{report}")
    figures = {
        "recall": r"^recall ([\d.]+)", "false_positive_rate": r"^false positive rate ([\d.]+)",
        "notices_per_50_dynamic": r"^notices per 50 dynamic calls ([\d.]+)",
    }  # fmt: skip
    found = {name: re.search(pattern, report, re.MULTILINE) for name, pattern in figures.items()}
    return {name: float(figure[1]) for name, figure in found.items() if figure}


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    folder = os.environ.get("BACKWATCH_TEST_DATA", "")
    if not folder:
        raise SystemExit("query_quality: BACKWATCH_TEST_DATA must name the folder with the labelled queries")
    print(rounds.machine("numba", "pysigma"))
    print(json.dumps({
        f"{stream}{'' if sites else '_without_call_sites'}": measure_stream(Path(folder), stream, call_sites=sites)
        for stream in STREAMS
        for sites in (True, False)
    }))  # fmt: skip


if __name__ == "__main__":
    main()
