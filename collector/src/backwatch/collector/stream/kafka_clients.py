"""``kafka-python`` clients: their options, one-line errors and records.

Workarounds for properties of the client: its producer has no memory bound and may block for a minute, so each has one
owner, short timeouts, and is discarded when a batch fails. It does not survive a fork. Its rebalance listeners run on
its I/O thread, so the listener here only counts events. Its limits on fetched bytes count compressed bytes, and it
unpacks batches without a bound, so consumers decode batches with :mod:`~backwatch.collector.stream.kafka_batches`.
"""

import atexit
import contextlib
import logging
import selectors
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

import kafka.codec
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from backwatch.collector import names
from backwatch.collector.runtime import guard, internal_clients, internal_threads
from backwatch.collector.runtime.thread_stack import ample_stack
from backwatch.collector.settings import StreamSettings, without_secrets
from backwatch.collector.stream import Message, MessageRefused, StreamUnavailable
from backwatch.collector.stream.kafka_address import client_options
from backwatch.collector.stream.kafka_net import get_direct_url, make_client_factory

POLL_RECORDS: Final = 5000
BOUNDS_TIMEOUT_MS: Final = 5000
CLOSE_TIMEOUT_MS: Final = 5000
HEARTBEAT_SILENT_S: Final = 15.0
_REFUSED: Final = (kafka_errors.MessageSizeTooLargeError, getattr(kafka_errors, "RecordListTooLargeError", ValueError))
_OWN_THREADS: Final = frozenset((str(internal_clients.CLIENT_ID), f"{internal_clients.CLIENT_ID}-network-thread"))
"""The collector's worker thread, and the threads of its producers."""


logger = logging.getLogger("backwatch")


def _is_own_thread(name: str) -> bool:
    return name in _OWN_THREADS or name == f"kafka-io-{internal_clients.CLIENT_ID}"


class _Quiet(logging.Filter):
    """Drops the driver's log records on the collector's threads: the worker logs an unavailable broker itself, once."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName not in _OWN_THREADS


_quiet = _Quiet()


def silence_client_logs() -> None:
    """Keep the driver from logging each of the collector's tries, several a second, in the app's log."""
    for name in list(logging.root.manager.loggerDict):
        if name == "kafka" or name.startswith("kafka."):
            logging.getLogger(name).addFilter(_quiet)


def build_options(kind: Any, url: str, settings: StreamSettings, **wanted: Any) -> dict[str, Any]:
    """Return the options that this version of the client knows."""
    known: dict[str, Any] = kind.DEFAULT_CONFIG
    short: dict[str, Any] = {
        # The current class: if gevent patched after the import of kafka-python, the old one would block all greenlets.
        "selector": selectors.DefaultSelector,
        "bootstrap_timeout_ms": 3000, "api_version_auto_timeout_ms": 3000, "reconnect_backoff_max_ms": 1000,
        "request_timeout_ms": 10_000, "max_block_ms": 5000, "metrics_enabled": False,
    }  # fmt: skip
    if (client := make_client_factory()) is not None:
        short["kafka_client"] = client
    if direct := get_direct_url():
        short["proxy_url"] = direct
    kept = {key: value for key, value in {**short, **wanted}.items() if key in known}
    # A Kafka probe recognises the client and each of its parts by this name, on any thread.
    return kept | client_options(url, settings) | {"client_id": internal_clients.CLIENT_ID}


@contextlib.contextmanager
def translate_errors(url: str) -> Generator[None]:
    """Translate the client's errors into a one-line :class:`StreamUnavailable` or :class:`MessageRefused`."""
    try:
        yield
    except _REFUSED as error:
        raise MessageRefused(f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: {type(error).__name__}") from None
    except (kafka_errors.KafkaError, OSError) as error:
        raise _unavailable(url, error) from None


def _unavailable(url: str, error: BaseException) -> StreamUnavailable:
    kind = type(error).__name__
    detail = "" if isinstance(error, OSError) else f": {str(error).removeprefix(f'{kind}: ')[:200]}"
    return StreamUnavailable(f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: {kind}{detail}")


class _Producer(KafkaProducer):
    """A producer that only the collector closes."""

    def __del__(self) -> None:
        """Do nothing. The base class would close it, and remove its module's logger, which the app uses, too."""


def open_producer(url: str, settings: StreamSettings, **wanted: Any) -> Any:
    """Open a connected producer.

    Raises:
        StreamUnavailable: No broker answers.
    """
    compression = "zstd" if kafka.codec.has_zstd() else "lz4" if kafka.codec.has_lz4() else "gzip"
    with translate_errors(url), ample_stack(), internal_threads.without_hooks(_is_own_thread) as wait_for:
        producer = _Producer(**build_options(
            _Producer, url, settings, acks="all", compression_type=compression, linger_ms=0,
            delivery_timeout_ms=12_000, **wanted,
        ))  # fmt: skip
        if (sender := getattr(producer, "_sender", None)) is not None:
            wait_for(sender)
    # Its own exit handler would run before the collector's, and close it before the last batch.
    cleanup = getattr(producer, "_cleanup", None)
    if cleanup is not None:
        atexit.unregister(cleanup)
    if sender is not None and sender.ident is not None and threading.get_ident() in guard.collector_threads:
        guard.collector_threads.add(sender.ident)
    return producer


def _innermost(function: Any) -> Callable[..., Any]:
    """Return the client's own ``send``: instrumentations that wrap it ignore the suppression."""
    while (inner := getattr(function, "__wrapped__", None)) is not None:
        function = inner
    return function


def send(producer: Any, topic: str, message: Message) -> Any:
    """Send one message and return its future."""
    headers: list[tuple[str, bytes]] = []
    if message.appended_ns:
        headers.append((names.HEADER_APPENDED, str(message.appended_ns).encode()))
    if message.backfill:
        headers.append((names.HEADER_BACKFILL, b"1"))
    return _innermost(KafkaProducer.__dict__["send"])(producer, topic, message.value, message.key, headers)


def discard_producer(producer: Any, timeout_s: float) -> None:
    """Close the producer, and stop its thread even if it does not close in time."""
    guard.collector_threads.discard(getattr(getattr(producer, "_sender", None), "ident", None) or 0)
    try:
        producer.close(timeout=timeout_s)
    except (kafka_errors.KafkaError, OSError, ValueError, RuntimeError):
        sender = getattr(producer, "_sender", None)
        if sender is not None:
            sender.force_close()


class RebalanceListener:
    """Counts rebalances by partition; called on the client's I/O thread, where it must not do anything else."""

    def __init__(self) -> None:
        self.changes = 0
        self.generations: Counter[int] = Counter()
        """Assignments and revocations by partition: a seek is valid for one generation only."""

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Count newly assigned partitions."""
        self._note(assigned)

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Count revoked partitions, also if they come back within the same rebalance."""
        self._note(revoked)

    def _note(self, partitions: Iterable[Any]) -> None:
        self.generations.update(place.partition for place in partitions)
        self.changes += 1


def _listener() -> Any:
    return type("_Registered", (RebalanceListener, ConsumerRebalanceListener), {})()


def open_consumer(url: str, settings: StreamSettings, topic: str, group: str, instance: str = "") -> tuple[Any, Any]:
    """Open a subscribed member of the group, and the listener that counts its rebalances.

    Members share partitions by the cooperative sticky protocol: a rebalance only stops partitions that move.
    """
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

    from backwatch.collector.stream import kafka_batches, kafka_joins

    # The partitions of a stopped static member stay unread while its session lasts, so that it gets them back.
    member = {"group_instance_id": instance, "session_timeout_ms": 20_000} if instance else {"session_timeout_ms": 6000}
    with translate_errors(url):
        consumer = KafkaConsumer(**build_options(
            KafkaConsumer, url, settings, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", max_poll_records=POLL_RECORDS, fetch_max_bytes=32 * 1024 * 1024,
            max_partition_fetch_bytes=4 * 1024 * 1024, receive_message_max_bytes=100_000_000, fetch_max_wait_ms=200,
            heartbeat_interval_ms=2000, request_timeout_ms=30_000,
            # A rebalance waits for every member's next poll, but no longer than this: meanwhile no member reads.
            max_poll_interval_ms=60_000,
            partition_assignment_strategy=(CooperativeStickyAssignor,), **member,
        ))  # fmt: skip
        kafka_batches.limit_batches(consumer)
        kafka_joins.finish_joins(consumer)
        listener = _listener()
        consumer.subscribe([topic], listener=listener)
    return consumer, listener


def to_position(offset: int, leader_epoch: int = -1) -> Any:
    """Return an offset in the form that the client commits."""
    return OffsetAndMetadata(offset, "", leader_epoch)


def get_position(consumer: Any, partition: Any) -> int:
    """Return the client's next offset without a request; 0: unknown."""
    state = consumer._subscription.assignment.get(partition)
    found = state.position if state is not None and state.has_valid_position else None
    return int(found.offset) if found is not None else 0


def fetch_while_rebalancing(consumer: Any) -> dict[Any, list[Any]]:
    """Fetch from the partitions that a member keeps while its group rebalances.

    The cooperative protocol allows this, but the client's own poll returns before it fetches. If another member has
    received a partition meanwhile, the store's fence refuses the results of this one.
    """
    records, _ = consumer._fetcher.fetch_records(POLL_RECORDS, timeout_ms=50)
    return records


def check_membership(url: str, consumer: Any) -> None:
    """Detect a member that its group has dropped; the client itself continues to read and reports nothing.

    Raises:
        StreamUnavailable: The broker has answered no heartbeat for long.
    """
    heartbeat = consumer._coordinator.heartbeat
    silent_s = time.monotonic() - max(heartbeat.last_receive, heartbeat.last_reset)
    if silent_s > HEARTBEAT_SILENT_S and consumer._subscription.assignment:
        instance = consumer.config["group_instance_id"]
        why = f", or another member bears the name BACKWATCH_DETECTOR_INSTANCE={instance!r}" if instance else ""
        raise StreamUnavailable(
            f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: no heartbeat of this member was answered for"
            f" {HEARTBEAT_SILENT_S:.0f} s: the broker is away{why}"
        )


def close_consumer(consumer: Any) -> None:
    """Leave the group, within seconds; never raises."""
    with contextlib.suppress(kafka_errors.KafkaError, OSError, ValueError, RuntimeError, AssertionError):
        consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)
