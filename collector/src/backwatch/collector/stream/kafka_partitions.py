"""Partitions of Kafka topics: their number, the partition of an app's records, and adding partitions."""

from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.partitioner.default import murmur2

from backwatch.collector.settings import StreamSettings, without_secrets
from backwatch.collector.stream import StreamUnavailable
from backwatch.collector.stream import kafka_clients as clients


def choose_partition(app: str, count: int) -> int:
    """Return the partition, out of ``count``, that producers choose for the records of an app.

    >>> choose_partition("shop", 8), choose_partition("shop", 16)
    (4, 4)
    """
    return (murmur2(app.encode()) & 0x7FFFFFFF) % count


def count_partitions(settings: StreamSettings, topics: Sequence[str]) -> dict[str, int]:
    """Return the number of partitions of each topic.

    Raises:
        StreamUnavailable: No broker responds, or a topic is missing.
    """
    with clients.translate_errors(settings.url):
        admin = KafkaAdminClient(**clients.build_options(KafkaAdminClient, settings.url, settings))
        try:
            described = admin.describe_topics(list(topics))
        finally:
            admin.close()
    found = {topic["name"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}
    for topic in topics:
        if topic not in found:
            name = f"BACKWATCH_STREAM_URL={without_secrets(settings.url)!r}"
            raise StreamUnavailable(f"{name}: there is no topic {topic}; `backwatch detect` creates it")
    return found


def add_partitions(settings: StreamSettings, counts: Mapping[str, int]) -> None:
    """Add partitions to topics.

    Args:
        settings: The stream.
        counts: New number of partitions by topic; larger than the current one.

    Raises:
        StreamUnavailable: No broker responds, or it refuses.
    """
    with clients.translate_errors(settings.url):
        admin: Any = KafkaAdminClient(**clients.build_options(KafkaAdminClient, settings.url, settings))
        try:
            admin.create_partitions(dict(counts))
        finally:
            admin.close()
