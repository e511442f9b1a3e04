"""Forked children that hang or deliver nothing while the collector's threads are slowed at random.

    make bench NAME=forks             ARGS="--forks=200", "--stream sqlite", "--seed 7"

Apps are started one after the other. Each forks twenty children, eight at a time, the first of them while the collector
still imports its client. Imports, name lookups, TLS steps, random numbers, log lines and the embedded stream's
statements take up to a quarter of a second more (``forks_app.py``). Half of the children deliver to a real broker over
TLS, half to an embedded stream. The last line is JSON: ``{forks, hung, undelivered, longest_fork_s}``. The first three
are sums, ``hung`` and ``undelivered`` must be 0, and no fork may take longer than six seconds.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics
from tests.services.authority import Authority
from tests.services.brokers import kafka_broker
from tests.system.commands import environment

FORKS_PER_APP = 20
ROUND_S = 300
ROOT = Path(__file__).parents[1]


def run_app(forks: int, seed: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Run one app to its end and return its report."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.forks_app", str(forks), seed], cwd=ROOT, env=environment(settings), text=True,
        capture_output=True, timeout=ROUND_S, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"seed {seed}: the app ended with {done.returncode}: {done.stderr[-2000:]}")
    if done.stderr:
        print(f"seed {seed}: {done.stderr}", flush=True)  # where a child hung
    return json.loads(done.stdout)


def main() -> None:
    """``--forks``: number of forks; ``--stream``: one of the two; ``--seed``: of the first app."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--forks", type=int, default=2_000)
    parser.add_argument("--stream", choices=("both", "kafka", "sqlite"), default="both")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    total = {"forks": 0, "hung": 0, "undelivered": 0, "longest_fork_s": 0.0}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        streams = {"sqlite": {"BACKWATCH_STREAM_URL": f"sqlite:///{folder}/stream.db"}}
        if options.stream != "sqlite":
            broker = stack.enter_context(kafka_broker.serve(Authority(folder)))
            ensure_topics(StreamSettings(url=broker.url, partitions=1), (names.TOPIC_CALLS,))
            url = f"kafka://localhost:{broker.tls_port}"
            streams["kafka"] = {"BACKWATCH_STREAM_URL": url, "BACKWATCH_KAFKA_CA_FILE": broker.ca_file}
        chosen = list(streams) if options.stream == "both" else [options.stream]
        seed = options.seed
        while total["forks"] < options.forks:
            stream = chosen[seed % len(chosen)]
            forks = min(FORKS_PER_APP, options.forks - int(total["forks"]))
            found = run_app(forks, str(seed), streams[stream])
            if found["hung"] or found["undelivered"]:
                print(f"{stream}, seed {seed}: {found}", flush=True)
            for key in ("forks", "hung", "undelivered"):
                total[key] += found[key]
            total["longest_fork_s"] = max(total["longest_fork_s"], found["longest_fork_s"])
            seed += 1
    print(json.dumps(total))
    if total["hung"] or total["undelivered"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
