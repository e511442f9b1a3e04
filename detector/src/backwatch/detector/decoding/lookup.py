"""Looks up an attribute name in constant time: one perfect hash, one comparison of whole names.

The names are ours and fixed, so the table is searched for once, at import; a name that is not in it costs the same. A
table is one array of 64-bit words: the hash's seed, where each slot's entry stands (0: nowhere), and the entries.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.decoding import schema
from backwatch.detector.decoding.rows import cell_of
from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.kernels.memory import load8, load64

WORDS: Final = 6
"""Eight-byte words that a name may have; the last one is read from the name's end and may overlap the one before."""
ENTRY: Final = WORDS + 2
LAST, LENGTH, VALUE = 8 * (WORDS - 1), 8 * WORDS, 8 * WORDS + 8
SLOT_BITS: Final = 11

_MIX: Final = 0x9E3779B97F4A7C15
_FULL: Final = (1 << 64) - 1


@kernel
def short_word(address: int, length: int) -> int:
    """Fewer than eight bytes as a number."""
    found = 0
    for i in range(length):
        found |= load8(address + i) << (8 * i)
    return found


@inline
def slot_of(first: int, last: int, length: int, seed: int) -> int:
    """Return the slot of a name."""
    turned = np.uint64(last) << np.uint64(31) | np.uint64(last) >> np.uint64(33)
    h = (np.uint64(first) ^ turned) * np.uint64(seed)
    h = (h ^ np.uint64(length)) * np.uint64(_MIX)
    return int(np.int64(h >> np.uint64(64 - SLOT_BITS)))


@inline
def find(base: int, start: int, end: int, table: int) -> int:
    """Return the value of the name at ``[start, end)``, which is inside the buffer; -1 if it is unknown."""
    length = end - start
    if length < 1 or length > 8 * WORDS:
        return -1
    if length < 8:
        first = short_word(base + start, length)
        last = first
    else:
        first, last = load64(base + start), load64(base + end - 8)
    entry = load64(table + 8 + 8 * slot_of(first, last, length, load64(table)))
    if entry == 0:
        return -1
    entry = table + 8 * entry
    if load64(entry + LENGTH) != length or load64(entry) != first or load64(entry + LAST) != last:
        return -1
    for i in range(1, (length - 1) >> 3):
        if load64(entry + 8 * i) != load64(base + start + 8 * i):
            return -1
    return load64(entry + VALUE)


def name_table(values: Mapping[str, int]) -> NDArray[np.int64]:
    """A table of these names and their values, none of which is negative."""
    first_entry = 1 + (1 << SLOT_BITS)
    table = np.zeros(first_entry + ENTRY * len(values), np.uint64)
    keys = [_key(name) for name in values]
    table[0], slots = _search(keys)
    for i, (name, value) in enumerate(values.items()):
        text, entry = name.encode(), first_entry + ENTRY * i
        for at in range((len(text) - 1) // 8):
            table[entry + at] = int.from_bytes(text[8 * at : 8 * at + 8], "little")
        table[entry], table[entry + WORDS - 1], table[entry + WORDS] = keys[i]
        table[entry + WORDS + 1] = value
        table[1 + slots[i]] = entry
    return table.view(np.int64)


def _key(name: str) -> tuple[int, int, int]:
    text = name.encode()
    if not 0 < len(text) <= 8 * WORDS:
        raise ValueError(f"a name has 1 to {8 * WORDS} bytes, got {name!r}")
    return int.from_bytes(text[:8], "little"), int.from_bytes(text[-8:], "little"), len(text)


def _search(keys: list[tuple[int, int, int]]) -> tuple[int, list[int]]:
    seed = 0xFF51AFD7ED558CCD
    for _ in range(10_000):
        slots: list[int] = []
        for first, last, length in keys:
            h = (first ^ (last << 31 & _FULL | last >> 33)) * seed & _FULL
            slots.append(((h ^ length) * _MIX & _FULL) >> (64 - SLOT_BITS))
        if len(set(slots)) == len(slots):
            return seed, slots
        seed = (seed * 6364136223846793005 + 1442695040888963407) & _FULL | 1
    raise ValueError("two names share their first and last eight bytes and their length")


# What an attribute's number holds: cell, kind, rank, levels, whether the name is ours, whether it is the contract's.
CELL_BITS: Final = 8
KIND_SHIFT, RANK_SHIFT, LEVEL_SHIFT, OWN_SHIFT, CONTRACT_SHIFT = 8, 10, 14, 18, 19


def _attribute_names() -> NDArray[np.int64]:
    values: dict[str, int] = {names.BACKWATCH_CONTRACT: schema.SESSION << LEVEL_SHIFT | 1 << CONTRACT_SHIFT}
    for column in schema.COLUMNS:
        if not column.levels:
            continue
        for rank, name in enumerate((column.name, *column.aliases)):
            # An alias may stand where its fact may; an event's attributes set a fact by an alias only.
            levels = column.levels & ~schema.EVENT if rank == 0 else column.levels
            own = int(name.startswith(schema.OWN_PREFIX))
            place = cell_of(column) | column.kind << KIND_SHIFT
            values[name] = place | rank << RANK_SHIFT | levels << LEVEL_SHIFT | own << OWN_SHIFT
    return name_table(values)


ATTRIBUTES: Final = _attribute_names()
"""Every attribute that is read, with its cell."""
