"""A busy app's calls are published in large batches: a message costs more than the calls in it."""

import time
from contextlib import closing
from pathlib import Path

from backwatch.collector import names
from backwatch.collector.pipeline.pipeline import Pipeline
from backwatch.collector.runtime.record import Session
from backwatch.collector.settings import CollectorSettings, StreamSettings
from backwatch.collector.stream.factory import open_consumer, open_publisher

SESSION = Session(system="postgresql", address="db", port=5432, namespace="shop")


def test_calls_queued_during_a_publish_wait_for_the_next_batch(tmp_path: Path) -> None:
    stream = StreamSettings(url=f"sqlite:///{tmp_path}/stream.db")
    pipeline = Pipeline(CollectorSettings(app_name="shop"), lambda: open_publisher(stream))
    begun = time.monotonic()
    for number in range(1_000):
        pipeline.record_call(SESSION, "", sql=f"SELECT {number}", start_ns=time.time_ns())
        time.sleep(0.0005)  # the file takes about as long to append a message
    assert pipeline.flush(10)
    took_s = time.monotonic() - begun
    pipeline.close()
    with closing(open_consumer(stream, names.TOPIC_CALLS, "test")) as consumer:
        messages = len(consumer.poll(0))
    heartbeats = 2
    assert messages <= heartbeats + 2 + 1_000 // 512 + took_s / CollectorSettings().flush_interval_s
