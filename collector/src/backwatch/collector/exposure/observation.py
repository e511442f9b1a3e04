"""What probes call: the kinds in what a call sends or receives, as facts.

A statement is known by a hash that is keyed by this process's secret, never by its text.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from backwatch.collector import names
from backwatch.collector.exposure import mode
from backwatch.collector.exposure.cells import OPENERS, Cell, cells_of
from backwatch.collector.exposure.columns import kind_words
from backwatch.collector.exposure.sampling import Sampler
from backwatch.collector.exposure.tally import Tally
from backwatch.collector.runtime.keyed_cache import keyed_hash, remember
from backwatch.collector.runtime.record import Facts

MAX_STATEMENTS: Final = 512
"""Statements whose kinds are remembered in each direction."""

_received: dict[int | bytes, Tally] = {}
_sent: dict[int | bytes, Tally] = {}
_sampler = Sampler()


def forget() -> None:
    """Forget all statements and the budget that was spent, as a new process."""
    global _sampler
    _received.clear()
    _sent.clear()
    _sampler = Sampler()


def received_facts(statement: object, cells: Callable[[], Iterable[Cell]]) -> Facts:
    """Return the kinds that a statement's calls receive, as far as they are known by now.

    Args:
        statement: Its text, raw or redacted.
        cells: Returns what the call received. Called only if it is to be read.
    """
    return _observe(_received, names.DATA_RECEIVED, statement, cells) if mode.reads_columns else ()


def sent_facts(statement: object, cells: Callable[[], Iterable[Cell]]) -> Facts:
    """Return the kinds that a statement's calls send, likewise."""
    return _observe(_sent, names.DATA_SENT, statement, cells) if mode.reads_columns else ()


def received_value_facts(statement: str, value: object) -> Facts:
    """Return the kinds in a value as a driver returned it. Where only names count, only a JSON text has any."""
    return received_facts(statement, lambda: cells_of(value)) if mode.reads_values or _has_names(value) else ()


def sent_value_facts(statement: str, value: object) -> Facts:
    """Return the kinds in a value that the app passed to a driver, likewise."""
    return sent_facts(statement, lambda: cells_of(value)) if mode.reads_values or _has_names(value) else ()


def _has_names(value: Any) -> bool:
    kind = value.__class__
    if kind is list and value:
        kind = value[0].__class__
        value = value[0]
    if kind is str or kind is bytes:
        return mode.reads_columns and value[:1] in OPENERS
    return kind is dict


def _observe(
    tallies: dict[int | bytes, Tally], fact: str, statement: object, cells: Callable[[], Iterable[Cell]]
) -> Facts:
    if statement.__class__ is str:
        key = keyed_hash(statement)  # pyright: ignore[reportArgumentType]
    elif statement.__class__ is bytes:
        key = keyed_hash((statement,))  # pyright: ignore[reportArgumentType]
    else:
        return ()
    tally = tallies.get(key)
    if tally is None:
        tally = remember(tallies, key, Tally(), MAX_STATEMENTS)
    count = tally.calls = tally.calls + 1
    if count >= tally.next_at and _sampler.wants(tally):
        before = tally.kinds
        _sampler.read(tally, cells, values=mode.reads_values)
        if tally.kinds != before:
            tally.facts = ((fact, kind_words(tally.kinds)),)
    return tally.facts


def merge(facts: Facts, received: int, sent: int) -> Facts:
    """Add kinds to a call's facts, merged with those that it already has.

    >>> merge((("backwatch.data.sent", "card"),), 0, 1)
    (('backwatch.data.sent', 'email,card'),)
    """
    for fact, bits in ((names.DATA_RECEIVED, received), (names.DATA_SENT, sent)):
        if bits:
            known = {word for name, value in facts if name == fact for word in str(value).split(",")}
            known.update(kind_words(bits).split(","))
            words = ",".join(kind for kind in names.DATA_KINDS if kind in known)
            facts = (*(other for other in facts if other[0] != fact), (fact, words))
    return facts
