"""All records of a topic at this moment."""

import time
from contextlib import closing

from backwatch.collector import names
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream import Record
from backwatch.collector.stream.factory import open_consumer

PATIENCE_S = 60.0


def whole_topic(settings: StreamSettings, group: str, topic: str = names.TOPIC_CALLS) -> list[Record]:
    """Return every record up to the topic's present end; later records are ignored.

    Args:
        group: The reader's; each test's own, for Kafka lets two readers of one group share a topic.

    Raises:
        TimeoutError: The stream gave no partition, or not all of it, in ``PATIENCE_S``.
    """
    found: list[Record] = []
    until = time.monotonic() + PATIENCE_S
    with closing(open_consumer(settings, topic, group)) as consumer:
        while not consumer.assignment():
            _in_time(until)
            consumer.poll(0.2)
        ends = {partition: consumer.bounds(partition)[1] for partition in consumer.assignment()}
        at = {partition: 0 for partition, end in ends.items() if end}
        for partition in at:
            consumer.seek(partition, 0)
        while any(at[partition] < ends[partition] for partition in at):
            _in_time(until)
            for partition in consumer.find_unpositioned():  # since a rebalance: an old member of the group may linger
                consumer.seek(partition, at.get(partition, 0))
            for record in consumer.poll(0.5):
                at[record.partition] = record.offset + 1
                found.append(record)
    return found


def _in_time(until: float) -> None:
    if time.monotonic() > until:
        raise TimeoutError(f"the stream did not give all it holds in {PATIENCE_S:.0f} s")
