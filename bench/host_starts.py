"""Workers that deliver their calls, over many starts of hosts with four workers on a busy machine.

    make bench NAME=host_starts       ARGS="--starts=40", "--host uvicorn", "--stream kafka"

``gunicorn --preload -w 4`` and ``uvicorn --workers 4`` start in turns under ``backwatch run``, beside two processes
that only compute. The app makes a call when it is imported, before a preloading host forks. Then requests come until
all workers have responded. The last line is JSON: ``{starts, workers, delivered, replaced}``. ``workers`` and
``delivered`` must be equal. ``replaced``, the workers that their supervisor considered dead, must be 0.
"""

import argparse
import contextlib
import json
import tempfile
from pathlib import Path

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.factory import ensure_topics
from tests.hosts.starting import HOSTS, busy_machine, start_host
from tests.services.authority import Authority
from tests.services.brokers import kafka_broker

WORKERS = 4
BURNERS = 2


def main() -> None:
    """``--starts``: starts of both hosts together."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--host", choices=("both", *HOSTS), default="both")
    parser.add_argument("--stream", choices=("kafka", "sqlite"), default="sqlite")
    options = parser.parse_args()
    total = {"starts": 0, "workers": 0, "delivered": 0, "replaced": 0}
    hosts = HOSTS if options.host == "both" else (options.host,)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = ""
        if options.stream == "kafka":
            url = stack.enter_context(kafka_broker.serve(Authority(folder))).url
            ensure_topics(StreamSettings(url=url, partitions=1), (names.TOPIC_CALLS,))
        stack.enter_context(busy_machine(BURNERS))
        for at in range(options.starts):
            settings = {"BACKWATCH_STREAM_URL": url or f"sqlite:///{folder}/stream{at}.db"}
            start = start_host(hosts[at % len(hosts)], WORKERS, folder, settings)
            total["starts"] += 1
            total["workers"] += len(start.workers)
            total["delivered"] += len(start.delivered)
            total["replaced"] += start.log.count("died") + max(0, len(start.workers) - WORKERS)
            if start.delivered != start.workers or len(start.workers) != WORKERS:
                print(f"start {at}: {start}", flush=True)
    print(json.dumps(total))
    if total["workers"] != total["delivered"] or total["replaced"] or total["workers"] < WORKERS * options.starts:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
