"""The durable log between collector and detector, behind one small interface. Its URL selects the implementation.

Each stream is one file in this folder with a ``Publisher``, a ``Consumer`` and a ``Relay``. The modules are imported
when a URL names them, so that an app that never publishes to Kafka never imports its client.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class StreamUnavailable(ConnectionError):
    """The stream does not respond. The message names the address, never a secret."""


class MessageRefused(ValueError):
    """The stream will never accept one of these values, because it is too large. Do not try again."""


@dataclass(frozen=True, slots=True)
class Message:
    """One value to append.

    Attributes:
        key: The app's text as bytes, or ``None``.
        appended_ns: First append time, which the router preserves; 0: now.
        backfill: The value contains past calls, whose event time is their own.
    """

    value: bytes
    key: bytes | None = None
    appended_ns: int = 0
    backfill: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One value that was read.

    Attributes:
        appended_ns: First append time: the one that the router preserved, otherwise the log's.
        skipped: Number of offsets, from ``offset`` on, that this stands for because they could not be decoded; 0: it is
            a record. Otherwise ``value`` is the beginning of their bytes.
        reason: The reason why they could not be decoded, one line.
        leader_epoch: Epoch of the partition's leader at the append; -1: unknown.
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
        """The next offset after it."""
        return self.offset + max(1, self.skipped)


class Publisher(ABC):
    """Appends values. Owned by one thread; opened lazily, after any fork."""

    @abstractmethod
    def publish(self, topic: str, messages: Sequence[Message], timeout_s: float) -> None:
        """Append all messages and wait until they are durable.

        Raises:
            StreamUnavailable: Not all were acknowledged within ``timeout_s``; any of them may be in the log.
            MessageRefused: A value is too large for the log; the others may be in it.
        """

    @abstractmethod
    def close(self, timeout_s: float) -> None:
        """Close sockets and files within ``timeout_s``. Never raises."""


class Consumer(ABC):
    """Reads one topic as a member of a group. Owned by one thread."""

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Record]:
        """Return the next records, in offset order within each partition; empty after ``timeout_s``.

        Raises:
            StreamUnavailable: Nothing can be read at present; try again.
        """

    @abstractmethod
    def assignment(self) -> frozenset[int]:
        """Return this member's partitions. A newly assigned one needs :meth:`seek` before its records are delivered."""

    @abstractmethod
    def seek(self, partition: int, offset: int) -> None:
        """Continue from ``offset``; records of that partition fetched before are not delivered after."""

    def resume(self, partition: int, offset: int, leader_epoch: int, topic_id: str) -> None:  # noqa: ARG002  not every log has epochs
        """Continue from ``offset``, behind a record of ``leader_epoch`` (-1: unknown).

        If the log no longer has that record, records are delivered from where it was cut, below ``offset``.

        Args:
            partition: The partition.
            offset: The next offset to read.
            leader_epoch: Epoch of the record before it.
            topic_id: The topic to which ``offset`` belongs; empty: unknown.
        """
        self.seek(partition, offset)

    def find_unpositioned(self) -> frozenset[int]:
        """Return the assigned partitions that wait for :meth:`seek`, again after every rebalance.

        None of their records are delivered. A member that held such a partition before must also compare its state with
        the store: another member may have had the partition in between.
        """
        return frozenset()

    def partitions(self) -> frozenset[int]:
        """Return all partitions of the topic, this member's and others'; empty if they are unknown."""
        return self.assignment()

    def is_rebalancing(self) -> bool:
        """Return whether the group is rebalancing, so that nothing can be read at present."""
        return False

    def topic_id(self) -> str:
        """Return an id that distinguishes this topic from a later one of the same name; empty if there is none."""
        return ""

    @abstractmethod
    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first available offset and the next one to be assigned, including open transactions."""

    def all_bounds(self, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Return :meth:`bounds` of several partitions, of any member, within a few seconds.

        Raises:
            StreamUnavailable: The stream did not answer in time.
        """
        return {partition: self.bounds(partition) for partition in partitions}

    def held_back(self) -> dict[int, str]:
        """Return, by partition of this member, why records are not delivered, if the stream knows it."""
        return {}

    @abstractmethod
    def read_to(self, partition: int) -> int:
        """Return the offset up to which everything has been read, including the log's own markers; 0: unknown."""

    @abstractmethod
    def commit(self, partition: int, offset: int) -> None:
        """Commit the group's progress to the log, for lag displays and pruning; the store has the true progress."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group."""


class Relay(ABC):
    """Reads one topic and republishes to another, effectively once: outputs and progress are one transaction."""

    @abstractmethod
    def poll(self, timeout_s: float) -> list[Record]:
        """Return the next records of the source topic."""

    @abstractmethod
    def forward(self, consumed: Sequence[Record], outputs: Sequence[Message]) -> None:
        """Append ``outputs`` and commit ``consumed`` in one transaction."""

    @abstractmethod
    def positions(self) -> dict[int, tuple[int, int]]:
        """Return, for each source partition of this member, the next offset to read and the log's end.

        Raises:
            StreamUnavailable: The stream did not answer in time.
        """

    def held_back(self) -> dict[int, str]:
        """Return, by partition of this member, why records are not delivered, if the stream knows it."""
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
    """Return a placeholder for records that the log no longer has, before the first one that was read.

    Args:
        first: The first record that was read.
        upcoming: The expected offset.
        log_start: First offset of the log. A gap behind it consists of the log's own markers.
    """
    if first.offset < upcoming:
        reason, offset, skipped = "the log was cut or made anew", first.offset, 0
    else:
        reason, offset, skipped = "the log no longer has them", upcoming, min(log_start, first.offset) - upcoming
        if skipped <= 0:
            return []
    return [Record(first.partition, offset, first.appended_ns, b"", skipped=skipped or 1, reason=reason)]
