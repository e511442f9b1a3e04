"""The durable log between collector and detector, behind one small interface; which one is chosen by URL.

Each stream is one file in this folder that gives ``Publisher``, ``Consumer`` and ``Relay``; the modules are imported
when a URL names them, so that an app which never publishes to Kafka never imports its client.
"""

import contextlib
import importlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from backwatch.collector.settings import SettingError, StreamSettings, default_stream_url, without_secrets

_WARNING: Final = r"\w+ is deprecated\. Use files\(\)(?#backwatch)"
"""What Python 3.11 and 3.12 warn of where kafka-python reads its schemas. The comment marks the collector's filter."""


class StreamUnavailable(ConnectionError):
    """The stream does not answer. The message names the address, never a secret."""


class MessageRefused(ValueError):
    """The stream will never take one of these values: it is too large. Another try is of no use."""


@dataclass(frozen=True, slots=True)
class Message:
    """One value to be appended.

    Attributes:
        key: The app's text as bytes, or ``None``.
        appended_ns: Kept first append time (the router's business); 0: now.
        backfill: Past calls: event time is the calls' own.
    """

    value: bytes
    key: bytes | None = None
    appended_ns: int = 0
    backfill: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One value as it was read.

    Attributes:
        appended_ns: First append time: the kept one where the router kept one, else the log's.
        skipped: Offsets, from ``offset`` on, whose records could not be decoded and which this stands for; 0: it is a
            record. Then ``value`` is the beginning of their bytes.
        reason: Why they could not be decoded, one line.
        leader_epoch: In which term of its partition's leader it was appended; -1: not known.
    """

    partition: int
    offset: int
    appended_ns: int
    value: bytes
    key: bytes | None = None
    backfill: bool = False
    skipped: int = 0
    reason: str = ""
    leader_epoch: int = -1

    @property
    def next_offset(self) -> int:
        """The offset behind it."""
        return self.offset + max(1, self.skipped)


class Publisher(ABC):
    """Appends values. Owned by one thread; made lazily, after any fork."""

    @abstractmethod
    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        """Append all and waits until they are durable.

        Raises:
            StreamUnavailable: Not all were acknowledged within ``timeout_s``; any of them may yet be in the log.
            MessageRefused: A value is too large for the log; the others may be in it.
        """

    @abstractmethod
    def close(self, timeout_s: float) -> None:
        """Let go of sockets and files, in at most ``timeout_s``. Never raises."""


class Consumer(ABC):
    """Reads one topic as a member of a group. Owned by one thread."""

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Record]:
        """The next records, in offset order within each partition; empty after ``timeout_s``.

        Raises:
            StreamUnavailable: Nothing can be read at present; worth another try.
        """

    @abstractmethod
    def assignment(self) -> frozenset[int]:
        """Partitions that are this member's now. One that is newly here must be ``seek``-ed before it counts."""

    @abstractmethod
    def seek(self, partition: int, offset: int) -> None:
        """Go on from ``offset``; records of that partition fetched before are not delivered after."""

    def resume(self, partition: int, offset: int, leader_epoch: int, topic_id: str) -> None:  # noqa: ARG002  not every log has epochs
        """Go on from ``offset``, behind a record of ``leader_epoch`` (-1: not known).

        Where the log no longer holds that record, records are delivered from where it was cut, below ``offset``.

        Args:
            partition: The partition.
            offset: The next one to be read.
            leader_epoch: Of the record before it.
            topic_id: The topic in which ``offset`` counts; empty: not known.
        """
        self.seek(partition, offset)

    def unpositioned(self) -> frozenset[int]:
        """Return the assigned partitions that wait for :meth:`seek`, the same ones after every rebalance anew.

        None of their records are delivered. A member that held such a partition before must also compare its state with
        the store: another member may have had the partition in between.
        """
        return frozenset()

    def partitions(self) -> frozenset[int]:
        """Return all partitions of the topic, this member's and others'; empty where they are not known."""
        return self.assignment()

    def is_rebalancing(self) -> bool:
        """Return whether the group is handing out its partitions, so that nothing can be read for the moment."""
        return False

    def topic_id(self) -> str:
        """Return what tells this topic from a later one of the same name; empty where the stream does not say."""
        return ""

    @abstractmethod
    def bounds(self, partition: int) -> tuple[int, int]:
        """First offset that is still there, and the one that the next record will get, open transactions counted in."""

    def all_bounds(self, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Return :meth:`bounds` of several partitions, of any member, within a few seconds.

        Raises:
            StreamUnavailable: The stream did not answer in time.
        """
        return {partition: self.bounds(partition) for partition in partitions}

    def held_back(self) -> dict[int, str]:
        """Return why records of this member's partitions are not delivered, by partition, where the stream knows it."""
        return {}

    @abstractmethod
    def read_to(self, partition: int) -> int:
        """Up to which offset all has been read, the log's own markers included; 0: not known."""

    @abstractmethod
    def commit(self, partition: int, offset: int) -> None:
        """Tell the log how far this group has come: for lag displays and pruning only, truth is in the store."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group."""


class Relay(ABC):
    """Reads one topic and republishes onto another, effectively once: outputs and progress are one transaction."""

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Record]:
        """The next records of the source topic."""

    @abstractmethod
    def forward(self, consumed: Sequence[Record], outputs: Sequence[Message]) -> None:
        """Append ``outputs`` and moves past ``consumed`` in one transaction."""

    @abstractmethod
    def positions(self) -> dict[int, tuple[int, int]]:
        """Return, for each source partition of this member, the next offset to read and the log's end.

        Raises:
            StreamUnavailable: The stream did not answer in time.
        """

    def held_back(self) -> dict[int, str]:
        """Return why records of this member's partitions are not delivered, by partition, where the stream knows it."""
        return {}

    @abstractmethod
    def ends(self) -> dict[int, int]:
        """Return the end of the log of all partitions of the source topic, this member's and others'.

        Raises:
            StreamUnavailable: The stream did not answer in time.
        """

    @abstractmethod
    def close(self) -> None:
        """Leave the group."""


def find_missing(first: Record, upcoming: int, log_start: int) -> list[Record]:
    """Return what stands for records that the log no longer has, in front of the first one that was read.

    Args:
        first: The first record that was read.
        upcoming: The offset that should have come.
        log_start: First offset that the log has. A hole behind it is the log's own markers.
    """
    if first.offset < upcoming:
        reason, offset, skipped = "the log was cut or made anew", first.offset, 0
    else:
        reason, offset, skipped = "the log no longer has them", upcoming, min(log_start, first.offset) - upcoming
        if skipped <= 0:
            return []
    return [Record(first.partition, offset, first.appended_ns, b"", skipped=skipped or 1, reason=reason)]


def _scheme(settings: StreamSettings) -> tuple[str, str]:
    url = settings.url or default_stream_url()
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in ("kafka", "sqlite"):
        raise SettingError(f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: must begin with kafka:// or sqlite:///")
    return scheme, url


@contextlib.contextmanager
def _driver_may_warn() -> Generator[None]:
    """Ignore a warning of kafka-python as it comes in: an app that turns warnings into errors would have no stream.

    No ``catch_warnings``, which would undo what the app's other threads do to the filters meanwhile.
    """
    warnings.filterwarnings("ignore", message=_WARNING, category=DeprecationWarning)
    mine = [one for one in warnings.filters if getattr(one[1], "pattern", one[1]) == _WARNING]
    try:
        yield
    finally:
        for one in mine:
            with contextlib.suppress(ValueError):  # the app has put other filters there
                cast("list[object]", warnings.filters).remove(one)


def prepare_publisher(settings: StreamSettings) -> Callable[[], Publisher]:
    """What opens a publisher for the stream that the settings name; all that it needs is imported by then.

    Raises:
        SettingError: The URL names no stream that we know.
    """
    scheme, url = _scheme(settings)
    if scheme == "kafka":
        try:
            importlib.import_module("encodings.idna")  # else imported at the first look-up of a host's name
            with _driver_may_warn():
                from backwatch.collector.stream.kafka import KafkaPublisher
        except ImportError as error:  # inside an app whose own module bears the name kafka, say
            raise SettingError(
                f"BACKWATCH_STREAM_URL={without_secrets(url)!r}: kafka-python cannot be imported: {error}"
            ) from None
        return lambda: KafkaPublisher(url, settings)
    from backwatch.collector.stream.sqlite import SqlitePublisher

    return lambda: SqlitePublisher(url)


def open_publisher(settings: StreamSettings) -> Publisher:
    """A publisher for the stream that the settings name.

    Raises:
        SettingError: The URL names no stream that we know.
        StreamUnavailable: It does not answer.
    """
    return prepare_publisher(settings)()


def open_consumer(settings: StreamSettings, topic: str, group: str, instance: str = "") -> Consumer:
    """A member of ``group`` reading ``topic``; raises as :func:`open_publisher` does.

    Args:
        settings: Which stream, and how it is reached.
        topic: What is read.
        group: The consumer group.
        instance: The member's name, the same after a restart and no other process's; empty: a new one each time.
    """
    scheme, url = _scheme(settings)
    if scheme == "kafka":
        from backwatch.collector.stream.kafka import KafkaGroupConsumer

        return KafkaGroupConsumer(url, settings, topic, group, instance)
    from backwatch.collector.stream.sqlite import SqliteConsumer

    return SqliteConsumer(url, topic, group)


def open_relay(settings: StreamSettings, source: str, target: str, group: str, instance: str = "") -> Relay:
    """A relay from ``source`` to ``target``; raises as :func:`open_publisher` does, ``instance`` as there."""
    scheme, url = _scheme(settings)
    if scheme == "kafka":
        from backwatch.collector.stream.kafka import KafkaRelay

        return KafkaRelay(url, settings, source, target, group, instance)
    from backwatch.collector.stream.sqlite import SqliteRelay

    return SqliteRelay(url, source, target, group)


def ensure_topics(settings: StreamSettings, topics: Sequence[str]) -> None:
    """Create the topics where they are missing: ``settings.partitions`` partitions, ``LogAppendTime``."""
    scheme, url = _scheme(settings)
    if scheme == "kafka":
        from backwatch.collector.stream.kafka import create_topics

        create_topics(url, settings, topics)
    else:
        from backwatch.collector.stream.sqlite import create_file

        create_file(url)
