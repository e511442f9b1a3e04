"""What the probes of messaging share: how a call is named, and messages that an app takes one by one.

One record per message would bury everything else, so those taken one by one are told together: at once where the last
record is a second old, else with a later one. None is left out: what remains is told when its source has been silent
for a second (a poll in vain says so, or the loop's clock: ``_settling``), when it goes, or when the process ends.
"""

import math
import os
import weakref
from collections.abc import Callable, Iterable
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backwatch.collector import names
from backwatch.collector.payload.formats import Facts, detect_formats
from backwatch.collector.payload.response_indicators import add_indicators
from backwatch.collector.probes.toolkit.redelivery import again
from backwatch.collector.redaction import messaging
from backwatch.collector.runtime import shutdown
from backwatch.collector.runtime.guard import never_breaks_the_host
from backwatch.collector.runtime.keyed_cache import keyed_hash, remember

if TYPE_CHECKING:
    from backwatch.collector.runtime.record import Caller

OURS: Final = frozenset((names.TOPIC_SPANS, names.TOPIC_CALLS))
"""The stream's topics: who writes or reads them, a Collector's exporter say, would else report its own reports."""
MAX_REMEMBERED: Final = 1024
MAX_SAMPLES: Final = 32
INTERVAL_S: Final = 1.0
NEVER: Final = math.inf
"""A moment, where nothing waits."""


def is_ours(topic: object) -> bool:
    """Whether it is one of the stream's topics."""
    return isinstance(topic, str) and topic in OURS


class Asked(NamedTuple):
    """A call's statement, and the fact that names its destination."""

    statement: str
    facts: Facts


_known: dict[tuple[str, str], Asked] = {}
"""Of destinations that leave as they are."""
_marked: dict[int | bytes, Asked] = {}
"""Of the others, by their mark: raw they may be anything."""


def asked(operation: str, name: object) -> Asked:
    """Of an operation on one destination. Remembered: a dictionary look-up where it has been seen."""
    if type(name) is not str:
        if not isinstance(name, str):
            return Asked(operation, ())
        name = str.__str__(name)  # a subclass may have a hash of its own
    known = _known.get((operation, name))
    if known is None:
        known = _marked.get(keyed_hash((operation, name)))
        if known is None:
            known = _learnt(operation, name)
    return known


def _learnt(operation: str, name: str) -> Asked:
    told = messaging.destination(name)
    known = Asked(f"{operation} {told}", ((names.MESSAGING_DESTINATION, told),) if told else ())
    if told == name:
        return remember(_known, (operation, told), known, MAX_REMEMBERED)
    return remember(_marked, keyed_hash((operation, name)), known, MAX_REMEMBERED)


def size_of(value: object) -> int:
    """Bytes of a message's part as it was passed; text as what it becomes in UTF-8."""
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    return value.nbytes if isinstance(value, memoryview) else 0


def size_of_headers(headers: Any) -> int:
    """Bytes of a message's headers: a mapping, or pairs of name and value."""
    if not headers:
        return 0
    pairs = headers.items() if isinstance(headers, dict) else headers
    return sum(size_of(part) for pair in pairs if isinstance(pair, tuple) for part in pair)


Tell = Callable[["Gathered", "BaseException | None"], object]


class Gathered:
    """Messages of one destination that have been taken and not been told yet."""

    __slots__ = (
        "__weakref__", "awaited", "bytes", "caller", "count", "name", "samples", "sign", "start_ns", "tell", "times",
        "told_at",
    )  # fmt: skip

    def __init__(self, name: str, tell: Tell) -> None:
        self.name = name
        self.tell: Tell | None = tell
        self.told_at = 0.0
        self.awaited = False
        """Whether a loop's clock will tell what waits."""
        self.clear()
        _living[id(self)] = self

    def clear(self) -> None:
        """Nothing waits any more."""
        self.count = 0
        self.bytes = 0
        self.start_ns = 0
        self.times = 0
        """How often one of them came before, at most."""
        self.sign = ""
        self.samples: list[Any] = []
        self.caller: Caller | None = None
        """Who took the first of them, where the loop's clock tells; else who is on the stack then."""

    def took(self, size: int, value: Any, start_ns: int = 0, times: int = 0, sign: str = "") -> None:
        """One more message, which came ``times`` before, with its sign; told now if the last record is long ago."""
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
        if monotonic() - self.told_at >= INTERVAL_S:
            self.flush()

    def flush(self, error: BaseException | None = None) -> None:
        """Tells what has not been told."""
        tell = self.tell
        if tell is not None and (self.count or error is not None):
            self.start_ns = self.start_ns or time_ns()
            try:
                tell(self, error)
            finally:
                self.told_at = monotonic()
                self.clear()

    @property
    def due(self) -> float:
        """When what waits is to be told, by ``monotonic``."""
        return self.told_at + INTERVAL_S

    def left_s(self) -> float:
        """Until then; 0: now."""
        return max(0.0, self.due - monotonic())

    def facts(self) -> Facts:
        """What the messages are, by the first bytes of the first ones; and how often one came before."""
        facts = detect_formats(self.samples) if self.samples else ()
        if self.times:
            facts = (*facts, *again(self.times))
        return add_indicators(facts, [self.sign]) if self.sign else facts


_living: "weakref.WeakValueDictionary[int, Gathered]" = weakref.WeakValueDictionary()
"""By ``id``: its references are copied in one step, whatever other threads add; a set's are gone through one by one."""


def _alive() -> list[Gathered]:
    return [one for known in _living.valuerefs() if (one := known()) is not None]


@never_breaks_the_host
def _flush_all() -> None:
    for one in _alive():
        one.flush()


@never_breaks_the_host
def _forget_all() -> None:
    """In a child: its parent tells what it took itself."""
    for one in _alive():
        one.clear()
        one.awaited = False  # by a loop that runs in the parent


shutdown.add_hook(_flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def tell_what_is_due(gathered: Iterable[Gathered], due: float) -> float:
    """Of a source that may be silent: tells those whose last record is old enough.

    Args:
        gathered: All of one source.
        due: When the first of them is to be told, by ``monotonic``; until then nobody is looked at.

    Returns:
        The same for those that still wait; ``NEVER`` where none does.
    """
    now = monotonic()
    if now < due:
        return due
    due = NEVER
    for one in list(gathered):
        if one.count and now >= one.due:
            one.flush()
        elif one.count:
            due = min(due, one.due)
    return due


def names_in(argument: object) -> list[str]:
    """Names of topics, groups or resources in an admin call's first argument, whatever shape it has."""
    if isinstance(argument, str):
        return [argument]
    if isinstance(argument, dict):
        argument = list(argument)
    if not isinstance(argument, (list, tuple, set, frozenset)):
        argument = (argument,)
    found: list[str] = []
    for one in list(argument)[: 4 * messaging.MAX_NAMES]:
        name = one if isinstance(one, str) else getattr(one, "topic", None) or getattr(one, "name", None)
        if isinstance(name, str):
            found.append(name)
    return found
