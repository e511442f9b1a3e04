"""The clients of ``kafka-python`` as this project uses them: options, one-line errors, records.

What is known of the client and worked around here: its producer has no memory bound and may block for a minute, so
each has one owner, short timeouts, and is thrown away when a batch fails; it dies in a fork; its rebalance
listeners run on its I/O thread, so ours only notes what happened; its limits on fetched bytes count compressed ones,
and it unpacks batches without a cap, so consumers decode batches with :mod:`~backwatch.collector.stream.kafka_batches`.
"""

import atexit
import contextlib
import logging
import selectors
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Final

import kafka.codec
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from backwatch.collector import names
from backwatch.collector.runtime import guard, internal_clients, internal_threads
from backwatch.collector.runtime.thread_stack import ample_stack
from backwatch.collector.settings import StreamSettings, without_secrets
from backwatch.collector.stream import Message, MessageRefused, Record, StreamUnavailable
from backwatch.collector.stream.kafka_address import client_options
from backwatch.collector.stream.kafka_net import client_with_bounds, direct_url

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""A longer value is cut to this length; it then cannot be read, and is kept aside as such."""
POLL_RECORDS: Final = 5000
BOUNDS_TIMEOUT_MS: Final = 5000
CLOSE_TIMEOUT_MS: Final = 5000
CREATE_TIME: Final = 0
HEARTBEAT_SILENT_S: Final = 15.0
_REFUSED: Final = (kafka_errors.MessageSizeTooLargeError, getattr(kafka_errors, "RecordListTooLargeError", ValueError))
_OWN_THREADS: Final = frozenset((str(internal_clients.CLIENT_ID), f"{internal_clients.CLIENT_ID}-network-thread"))
"""The collector's worker, and the threads of the producers that it makes."""


logger = logging.getLogger("backwatch")


def _is_own_thread(name: str) -> bool:
    return name in _OWN_THREADS or name == f"kafka-io-{internal_clients.CLIENT_ID}"


class _Quiet(logging.Filter):
    """Drops what the driver logs on threads of ours: a dead broker is the app's news once, in our own words."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName not in _OWN_THREADS


_quiet = _Quiet()


def quiet() -> None:
    """Keeps the driver from logging each of our tries, several a second, among the lines of the app that we are in."""
    for name in list(logging.root.manager.loggerDict):
        if name == "kafka" or name.startswith("kafka."):
            logging.getLogger(name).addFilter(_quiet)


def options(kind: Any, url: str, settings: StreamSettings, **wanted: Any) -> dict[str, Any]:
    """What this version of the client knows of what we want."""
    known: dict[str, Any] = kind.DEFAULT_CONFIG
    short: dict[str, Any] = {
        # As it is now: where gevent came after kafka-python, the class that it had kept would stop every greenlet.
        "selector": selectors.DefaultSelector,
        "bootstrap_timeout_ms": 3000, "api_version_auto_timeout_ms": 3000, "reconnect_backoff_max_ms": 1000,
        "request_timeout_ms": 10_000, "max_block_ms": 5000, "metrics_enabled": False,
    }  # fmt: skip
    if (client := client_with_bounds()) is not None:
        short["kafka_client"] = client
    if direct := direct_url():
        short["proxy_url"] = direct
    kept = {key: value for key, value in {**short, **wanted}.items() if key in known}
    # By this name a probe of Kafka knows the client and each of its parts as ours, whatever thread they run on.
    return kept | client_options(url, settings) | {"client_id": internal_clients.CLIENT_ID}


@contextlib.contextmanager
def errors(url: str) -> Generator[None]:
    """Turns the client's errors into one clear line."""
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
    """One of ours: closed by us, and by nobody else."""

    def __del__(self) -> None:
        """Nothing. The client's own closes it, and for that takes the logger of its module away, the app's as well."""


def producer(url: str, settings: StreamSettings, **wanted: Any) -> Any:
    """A producer of ours, connected.

    Raises:
        StreamUnavailable: No broker answers.
    """
    compression = "zstd" if kafka.codec.has_zstd() else "lz4" if kafka.codec.has_lz4() else "gzip"
    with errors(url), ample_stack(), internal_threads.without_hooks(_is_own_thread) as wait_for:
        producer = _Producer(**options(
            _Producer, url, settings, acks="all", compression_type=compression, linger_ms=0,
            delivery_timeout_ms=12_000, **wanted,
        ))  # fmt: skip
        if (sender := getattr(producer, "_sender", None)) is not None:
            wait_for(sender)
    # Its own exit handler would run before ours, and close it under our last batch.
    cleanup = getattr(producer, "_cleanup", None)
    if cleanup is not None:
        atexit.unregister(cleanup)
    if sender is not None and sender.ident is not None and threading.get_ident() in guard.collector_threads:
        guard.collector_threads.add(sender.ident)
    return producer


def _innermost(function: Any) -> Callable[..., Any]:
    """The client's own ``send``: instrumentations that wrap it do not ask whether they are suppressed."""
    while (inner := getattr(function, "__wrapped__", None)) is not None:
        function = inner
    return function


def send(producer: Any, topic: str, message: Message) -> Any:
    """Hands one message to the producer; gives its future."""
    headers: list[tuple[str, bytes]] = []
    if message.appended_ns:
        headers.append((names.HEADER_APPENDED, str(message.appended_ns).encode()))
    if message.backfill:
        headers.append((names.HEADER_BACKFILL, b"1"))
    return _innermost(KafkaProducer.__dict__["send"])(producer, topic, message.value, message.key, headers)


def throw_away(producer: Any, timeout_s: float) -> None:
    """Closes it if it lets itself be closed in time, and stops its thread in any case."""
    guard.collector_threads.discard(getattr(getattr(producer, "_sender", None), "ident", None) or 0)
    try:
        producer.close(timeout=timeout_s)
    except (kafka_errors.KafkaError, OSError, ValueError, RuntimeError):
        sender = getattr(producer, "_sender", None)
        if sender is not None:
            sender.force_close()


class Listener:
    """Counts rebalances by partition; called on the client's I/O thread, where nothing else may happen."""

    def __init__(self) -> None:
        self.changes = 0
        self.generations: Counter[int] = Counter()
        """By partition, how often it came or went: what was sought in another generation must be sought again."""

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Partitions that are newly here."""
        self._note(assigned)

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Partitions that go elsewhere, or come back within the same rebalance."""
        self._note(revoked)

    def _note(self, partitions: Iterable[Any]) -> None:
        self.generations.update(one.partition for one in partitions)
        self.changes += 1


@dataclass(frozen=True, slots=True)
class Skipped:
    """Records that could not be decoded; takes the place of a fetched record.

    Attributes:
        offset: The first of them.
        next_offset: The offset behind the last of them.
        timestamp: Milliseconds: the batch's largest.
        value: The beginning of the bytes.
    """

    partition: int
    offset: int
    next_offset: int
    timestamp: int
    reason: str
    value: bytes


def _listener() -> Any:
    return type("_Registered", (Listener, ConsumerRebalanceListener), {})()


def consumer(url: str, settings: StreamSettings, topic: str, group: str, instance: str = "") -> tuple[Any, Any]:
    """A member of the group, subscribed, and the listener that notes its rebalances.

    Members share partitions by the cooperative sticky protocol: in a rebalance only those stop that move.
    """
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

    from backwatch.collector.stream import kafka_batches

    # A static member leaves its partitions unread for as long as its session lasts, so that it finds them again.
    member = {"group_instance_id": instance, "session_timeout_ms": 20_000} if instance else {"session_timeout_ms": 6000}
    with errors(url):
        consumer = KafkaConsumer(**options(
            KafkaConsumer, url, settings, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", max_poll_records=POLL_RECORDS, fetch_max_bytes=32 * 1024 * 1024,
            max_partition_fetch_bytes=4 * 1024 * 1024, receive_message_max_bytes=100_000_000, fetch_max_wait_ms=200,
            heartbeat_interval_ms=2000, request_timeout_ms=30_000,
            # A rebalance waits for every member's next poll, at most for so long: meanwhile none of them reads.
            max_poll_interval_ms=60_000,
            partition_assignment_strategy=(CooperativeStickyAssignor,), **member,
        ))  # fmt: skip
        kafka_batches.bound(consumer)
        listener = _listener()
        consumer.subscribe([topic], listener=listener)
    return consumer, listener


_create_time_topics: set[str] = set()
"""Topics whose producers' timestamps were warned of, in this process."""


def _warn_of_create_time(topic: str) -> None:
    if topic not in _create_time_topics:
        _create_time_topics.add(topic)
        logger.warning(
            "backwatch: topic %s has message.timestamp.type=CreateTime: its times are what producers write, and a"
            " wrong one makes calls late; set it to LogAppendTime", topic,
        )  # fmt: skip


def record(raw: Any) -> Record:
    """What was read, with its first append time; of records that could not be decoded, where they stood."""
    if isinstance(raw, Skipped):
        at_ns = raw.timestamp * 1_000_000
        skipped = raw.next_offset - raw.offset
        return Record(raw.partition, raw.offset, at_ns, raw.value, skipped=skipped, reason=raw.reason)
    appended_ns = raw.timestamp * 1_000_000
    if raw.timestamp_type == CREATE_TIME:
        # The topic keeps what its producers wrote. A time in the future would make all later calls late.
        _warn_of_create_time(raw.topic)
        appended_ns = min(appended_ns, time.time_ns())
    backfill = False
    for name, value in raw.headers:
        if name == names.HEADER_BACKFILL:
            backfill = value == b"1"
        elif name == names.HEADER_APPENDED and value is not None and value.isdigit() and len(value) <= 19:
            # Nothing was appended first later than it was appended here.
            appended_ns = min(appended_ns, int(value))
    value = (raw.value or b"")[:MAX_RECORD_BYTES]
    return Record(raw.partition, raw.offset, appended_ns, value, raw.key, backfill, leader_epoch=raw.leader_epoch)


def position(offset: int, leader_epoch: int = -1) -> Any:
    """An offset as the client commits it."""
    return OffsetAndMetadata(offset, "", leader_epoch)


def position_of(consumer: Any, partition: Any) -> int:
    """Where the client reads next, as it knows without asking; 0: it does not know."""
    state = consumer._subscription.assignment.get(partition)
    found = state.position if state is not None and state.has_valid_position else None
    return int(found.offset) if found is not None else 0


def fetch_kept(consumer: Any) -> dict[Any, list[Any]]:
    """Read the partitions that a member keeps while its group rebalances.

    That is what the cooperative protocol is for, but the client's own poll returns before it fetches. Where a partition
    has gone to another member meanwhile, the store's fence refuses what is judged of it here.
    """
    records, _ = consumer._fetcher.fetch_records(POLL_RECORDS, timeout_ms=50)
    return records


def check_membership(url: str, consumer: Any) -> None:
    """Notice a member that its group no longer knows; the client then goes on reading what it held, and says nothing.

    Raises:
        StreamUnavailable: No heartbeat was answered for long.
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
    """Leaves the group, within seconds; never raises."""
    with contextlib.suppress(kafka_errors.KafkaError, OSError, ValueError, RuntimeError, AssertionError):
        consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)
