"""Spans per second and core, in memory and from Kafka, beside bare protobuf parsing and a naive pipeline.

    make bench NAME=detector_throughput            ARGS=--rounds=9, --no-kafka

The whole detector runs: every shipped detector and every shipped rule. CPU seconds of the detecting process alone.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Consumer, Message, Record
from backwatch.collector.stream.factory import ensure_topics, open_consumer, open_publisher
from backwatch.detector.engine.factory import make_engine
from backwatch.detector.engine.log_entries import StreamRecords
from backwatch.detector.engine.step import Engine, EngineConfig
from bench import naive, rounds, spans

BATCHES = 48
PER_STEP = 8


def records(values: list[bytes], number: int) -> StreamRecords:
    """Values as one log entry whose event time advances from step to step."""
    count = len(values)
    return StreamRecords(
        values=values, appended_ns=np.full(count, spans.START_NS + (number + BATCHES) * 10**9, np.int64),
        backfill=np.zeros(count, np.bool_), offsets=np.arange(count, dtype=np.int64),
    )  # fmt: skip


class Judged:
    """One engine and shard that have processed each statement before: the steady state."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.shard, self.number, self.calls = engine, engine.new_shard(), 0, 0

    def judge(self, values: list[bytes]) -> None:
        """Step through these values."""
        for at in range(0, len(values), PER_STEP):
            self.number += 1
            self.calls += self.engine.step(self.shard, records(values[at : at + PER_STEP], self.number)).calls


def in_memory(values: list[bytes], engine: Engine, count: int) -> dict[str, list[float]]:
    """Return CPU seconds per round of each variant on the same bytes."""
    judged, plain = Judged(engine), naive.Naive()
    judged.judge(values)
    return rounds.alternate(
        {
            "backwatch": lambda: judged.judge(values),
            "bare_parse": lambda: [naive.bare_parse(value) for value in values],
            "naive": lambda: plain.judge(values),
        },
        count,
    )


def from_kafka(values: list[bytes], engine: Engine, count: int, stream: StreamSettings) -> dict[str, list[float]]:
    """Return the same, with the fetch from the broker inside the measured time."""
    ensure_topics(stream, (names.TOPIC_CALLS,))
    publisher = open_publisher(stream)
    for at in range(0, len(values), 8):
        publisher.publish(names.TOPIC_CALLS, [Message(value=value, key=b"app") for value in values[at : at + 8]], 60)
    publisher.close(10)
    consumer = open_consumer(stream, names.TOPIC_CALLS, "bench")
    try:
        partition = _find_filled_partition(consumer, len(values))

        def fetch(judge: Callable[[list[bytes]], object]) -> None:
            consumer.seek(partition, 0)
            left = len(values)
            while left > 0:
                found: list[Record] = consumer.poll(1.0)
                left -= len(found)
                judge([record.value for record in found])

        judged, plain = Judged(engine), naive.Naive()
        fetch(judged.judge)
        return rounds.alternate(
            {
                "backwatch": lambda: fetch(judged.judge),
                "consume_and_parse": lambda: fetch(lambda found: [naive.bare_parse(value) for value in found]),
                "naive": lambda: fetch(plain.judge),
            },
            count,
        )
    finally:
        consumer.close()


def _find_filled_partition(consumer: Consumer, count: int) -> int:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        consumer.poll(0.2)
        for partition in consumer.assignment():
            if consumer.bounds(partition)[1] >= count:
                for other in consumer.assignment():
                    consumer.seek(other, consumer.bounds(other)[1] if other != partition else 0)
                return partition
    raise SystemExit("bench: no partition was assigned within 30 s")


def main() -> None:
    """Run the bench and print; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-kafka", action="store_true")
    options = parser.parse_args()
    values = [spans.request(seed) for seed in range(BATCHES)]
    total = BATCHES * spans.SPANS
    engine = make_engine(EngineConfig(key=b"0123456789abcdef"))
    print(rounds.machine("numba", "protobuf", "kafka-python"))
    print(
        f"{total:,} spans of {sum(map(len, values)) / total:.0f} bytes, "
        f"{len(engine.detectors)} detectors, {len(engine.rules.rules)} rules"
    )
    found = in_memory(values, engine, options.rounds)
    figures = _print_figures("in memory", found, total)
    result = {
        "memory_spans_per_s": figures["backwatch"],
        "memory_vs_naive": round(rounds.ratio(found["naive"], found["backwatch"]), 2),
        "memory_vs_bare_parse": round(rounds.ratio(found["bare_parse"], found["backwatch"]), 3),
    }
    if not options.no_kafka:
        from tests.services.authority import Authority
        from tests.services.brokers.kafka_broker import serve

        with tempfile.TemporaryDirectory() as folder, serve(Authority(Path(folder))) as broker:
            stream = StreamSettings(url=broker.url, partitions=1)
            found = from_kafka(values, engine, options.rounds, stream)
        figures = _print_figures("from Kafka", found, total)
        result |= {
            "kafka_spans_per_s": figures["backwatch"],
            "kafka_vs_naive": round(rounds.ratio(found["naive"], found["backwatch"]), 2),
            "kafka_vs_consume_and_parse": round(rounds.ratio(found["consume_and_parse"], found["backwatch"]), 3),
        }
    print(json.dumps(result))


def _print_figures(title: str, found: dict[str, list[float]], total: int) -> dict[str, int]:
    figures = {name: int(total / statistics.median(spent)) for name, spent in found.items()}
    for name, figure in figures.items():
        low, high = total / max(found[name]), total / min(found[name])
        print(f"{title:12} {name:18} {figure:>10,} spans/s/core  [{low:,.0f} .. {high:,.0f}]")
    return figures


if __name__ == "__main__":
    main()
