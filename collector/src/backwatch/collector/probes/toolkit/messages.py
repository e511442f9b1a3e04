"""Parts of the messaging probes: the text of an operation, and messages that an app receives one by one.

One record per message would bury all else, so messages received one by one are recorded together: at once where the
last record is a second old, else with a later one. None is left out: the rest is recorded when its source has been
silent for a second (seen by an empty poll, or by the loop's clock: ``deferred_flush.py``), when it closes, or when the
process ends.
"""

import math
import os
import weakref
from collections.abc import Callable, Iterable
from time import monotonic, time_ns
from typing import Any, Final, NamedTuple

from backwatch.collector import names
from backwatch.collector.payload.formats import detect_formats
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes.toolkit.hooks import Error
from backwatch.collector.probes.toolkit.redelivery import redelivery_facts
from backwatch.collector.redaction import messaging
from backwatch.collector.runtime import shutdown
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import keyed_hash, remember
from backwatch.collector.runtime.record import Caller, Facts

STREAM_TOPICS: Final = frozenset((names.TOPIC_SPANS, names.TOPIC_CALLS))
"""The stream's topics. A client that writes or reads them (an OpenTelemetry Collector) would report its own reports."""
MAX_CACHED_DESTINATIONS: Final = 1024
MAX_SAMPLES: Final = 32
INTERVAL_S: Final = 1.0
NEVER: Final = math.inf
"""The due time where nothing is pending."""


def is_stream_topic(topic: object) -> bool:
    """Return whether it is one of the stream's topics."""
    return isinstance(topic, str) and topic in STREAM_TOPICS


class OperationText(NamedTuple):
    """A call's statement, and the fact with its destination."""

    statement: str
    facts: Facts


_known: dict[tuple[str, str], OperationText] = {}
"""Texts of destinations that are reported unchanged."""
_by_mark: dict[int | bytes, OperationText] = {}
"""Texts of the others, by a keyed hash: the raw name may be anything."""


def operation_text(operation: str, name: object) -> OperationText:
    """Return the text of an operation on one destination, from a cache if known."""
    if type(name) is not str:
        if not isinstance(name, str):
            return OperationText(operation, ())
        name = str.__str__(name)  # a subclass may have a hash of its own
    known = _known.get((operation, name))
    if known is None:
        known = _by_mark.get(keyed_hash((operation, name)))
        if known is None:
            known = _make_text(operation, name)
    return known


def _make_text(operation: str, name: str) -> OperationText:
    destination = messaging.redact_destination(name)
    known = OperationText(
        f"{operation} {destination}", ((names.MESSAGING_DESTINATION, destination),) if destination else ()
    )
    if destination == name:
        return remember(_known, (operation, destination), known, MAX_CACHED_DESTINATIONS)
    return remember(_by_mark, keyed_hash((operation, name)), known, MAX_CACHED_DESTINATIONS)


def size_of(value: object) -> int:
    """Return the bytes of a message's part; text in UTF-8."""
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    return value.nbytes if isinstance(value, memoryview) else 0


def size_of_headers(headers: Any) -> int:
    """Return the bytes of a message's headers: a mapping, or pairs of name and value."""
    if not headers:
        return 0
    pairs = headers.items() if isinstance(headers, dict) else headers
    return sum(size_of(part) for pair in pairs if isinstance(pair, tuple) for part in pair)


Record = Callable[["PendingMessages", "Error"], object]


class PendingMessages:
    """Received messages of one destination that are not recorded yet.

    Args:
        record: Records them; gets the error that ended a poll, if any.
    """

    __slots__ = (
        "__weakref__", "bytes", "caller", "count", "is_scheduled", "name", "record", "recorded_at", "samples", "sign",
        "start_ns", "times",
    )  # fmt: skip

    def __init__(self, name: str, record: Record) -> None:
        self.name = name
        self.record: Record | None = record
        self.recorded_at = 0.0
        self.is_scheduled = False
        """An event loop is going to flush them."""
        self.clear()
        _living[id(self)] = self

    def clear(self) -> None:
        """Drop all of them."""
        self.count = 0
        self.bytes = 0
        self.start_ns = 0
        self.times = 0
        """The most earlier deliveries of one of them."""
        self.sign = ""
        self.samples: list[Any] = []
        self.caller: Caller | None = None
        """The caller of the first of them, where the loop's clock flushes; ``None``: the caller on the stack then."""

    def add(self, size: int, value: Any, start_ns: int = 0, times: int = 0, sign: str = "") -> None:
        """Add a message, and flush if the last record is old enough.

        Args:
            times: Earlier deliveries of the message.
            sign: A response indicator.
        """
        if not self.count:
            self.start_ns = start_ns or time_ns()
        self.count += 1
        self.bytes += size
        if times > self.times:
            self.times = times
        if sign:
            self.sign = sign
        if len(self.samples) < MAX_SAMPLES:
            self.samples.append(value)
        if monotonic() - self.recorded_at >= INTERVAL_S:
            self.flush()

    def flush(self, error: Error = None) -> None:
        """Record all of them."""
        record = self.record
        if record is not None and (self.count or error is not None):
            self.start_ns = self.start_ns or time_ns()
            try:
                record(self, error)
            finally:
                self.recorded_at = monotonic()
                self.clear()

    @property
    def due_at(self) -> float:
        """The time of the next flush, by ``monotonic``."""
        return self.recorded_at + INTERVAL_S

    def seconds_left(self) -> float:
        """Return the seconds until then; 0: now."""
        return max(0.0, self.due_at - monotonic())

    def facts(self) -> Facts:
        """Return the formats of the first messages, and the most earlier deliveries of one."""
        facts = detect_formats(self.samples) if self.samples else ()
        if self.times:
            facts = (*facts, *redelivery_facts(self.times))
        return add_indicators(facts, [self.sign]) if self.sign else facts


_living: "weakref.WeakValueDictionary[int, PendingMessages]" = weakref.WeakValueDictionary()
"""By ``id``: a dictionary's references are copied in one step, even while other threads add; a set's are iterated."""


def _alive() -> list[PendingMessages]:
    return [messages for known in _living.valuerefs() if (messages := known()) is not None]


@never_breaks_the_host
def _flush_all() -> None:
    for messages in _alive():
        messages.flush()


@never_breaks_the_host
def _forget_all() -> None:
    """Drop all in a forked child: its parent records what it received itself."""
    for messages in _alive():
        messages.clear()
        messages.is_scheduled = False  # on a loop that runs in the parent


shutdown.add_hook(_flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def flush_due(sources: Iterable[PendingMessages], due: float) -> float:
    """Flush those whose last record is old enough, where the source may be silent.

    Args:
        sources: All of one client.
        due: The earliest flush of them, by ``monotonic``; before it this does nothing.

    Returns:
        The earliest flush of those that remain; ``NEVER`` where none does.
    """
    now = monotonic()
    if now < due:
        return due
    due = NEVER
    for messages in list(sources):
        if messages.count and now >= messages.due_at:
            messages.flush()
        elif messages.count:
            due = min(due, messages.due_at)
    return due


def names_in(argument: object) -> list[str]:
    """Return the names of topics, groups or resources in an admin call's first argument."""
    if isinstance(argument, str):
        return [argument]
    if isinstance(argument, dict):
        argument = list(argument)
    if not isinstance(argument, (list, tuple, set, frozenset)):
        argument = (argument,)
    found: list[str] = []
    for entry in list(argument)[: 4 * messaging.MAX_NAMES]:
        name = entry if isinstance(entry, str) else getattr(entry, "topic", None) or getattr(entry, "name", None)
        if isinstance(name, str):
            found.append(name)
    return found
