"""What a call site and a resource are known for: exemplars of statements, and filters of trigrams and names.

A filter (B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13, 1970) may take a new
trigram for a known one, never the other way round: as it fills, a call site loses evidence and gains no false alarm.
"""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import inline, kernel
from backwatch.detector.statements.structure.roles import ALIAS, TABLE
from backwatch.detector.statements.structure.vocabulary import is_name

MAX_EXEMPLARS: Final = 24
ARENA_TOKENS: Final = 299
"""Tokens of all exemplars of a call site together; those most like a newer one make room."""
EXEMPLAR_TOKENS: Final = 160
"""Tokens that are kept of one exemplar: the first three quarters of them and the last."""
_EXEMPLAR_HEAD: Final = 120
_SITE_BYTES, _TRIGRAM_BYTES, _NAME_BYTES = 512, 768, 512
MIN_SHARED_TOKENS: Final = 3.0
MIN_SHARED: Final = 0.25
"""Tokens, and share of the nearest known statement's tokens, that a new one must have in common with it, at its
beginning and its end, to be held against it."""
LACKING_WEIGHT: Final = 0.25
"""What a token of a known statement that the new one lacks takes from their likeness."""
_INDEX_CELLS: Final = 64
RECENT: Final = 8

SITE_STRUCTURE: Final = np.dtype([
    ("owner", "<u4"), ("function", "<u4"), ("known", "u1", (_SITE_BYTES,)), ("arena", "<u2", (ARENA_TOKENS,)),
    ("length", "u1", (MAX_EXEMPLARS,)), ("exemplars", "u1"), ("changed", "u1"), ("most_rows", "<u4"),
    ("slot", "<u4", (RECENT,)), ("slot_s", "<u4", (RECENT,)),
])  # fmt: skip
"""What a call site is known for. ``owner`` is the resource's slot, and ``function`` a hash of the app's function.
``slot`` and ``slot_s`` are the places within statements at which something suspicious was seen of late, and when."""
RESOURCE_STRUCTURE: Final = np.dtype([
    ("trigrams", "u1", (_TRIGRAM_BYTES,)), ("names", "u1", (_NAME_BYTES,)), ("tag", "<u4", (_INDEX_CELLS,)),
    ("site", "<u2", (_INDEX_CELLS,)), ("changed", "u1"),
])  # fmt: skip
"""What a resource is known for, and which of its call sites know statements that begin in a certain way."""

EDGE_BEFORE, EDGE_AFTER = 7, 5
"""Ids that stand for the beginning of a text and for its end."""


@inline
def mix3(a: int, b: int, c: int) -> np.uint64:
    """Hash three ids."""
    value = (np.uint64(a) * np.uint64(0x9E3779B97F4A7C15)) ^ (
        np.uint64(b) * np.uint64(0xC2B2AE3D27D4EB4F) + np.uint64(c) * np.uint64(0x165667B19E3779F9)
    )
    value ^= value >> np.uint64(29)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@inline
def role_hash(role: int, name: int) -> np.uint64:
    """Hash a name in its role."""
    return mix3(role, name, 3)


@kernel
def holds(known: Any, value: np.uint64) -> bool:
    """Return whether a filter (probably) holds a hash."""
    bits = np.uint64(known.shape[0] * 8)
    for half in range(2):
        bit = ((value >> np.uint64(half * 32)) & np.uint64(0xFFFFFFFF)) % bits
        if not (known[bit >> np.uint64(3)] >> np.uint8(bit & np.uint64(7))) & 1:
            return False
    return True


@kernel
def add(known: Any, value: np.uint64) -> None:
    """Add a hash to a filter."""
    bits = np.uint64(known.shape[0] * 8)
    for half in range(2):
        bit = ((value >> np.uint64(half * 32)) & np.uint64(0xFFFFFFFF)) % bits
        known[bit >> np.uint64(3)] |= np.uint8(1) << np.uint8(bit & np.uint64(7))


@inline
def _exemplars(site: Any) -> np.int64:
    return np.int64(min(site["exemplars"], MAX_EXEMPLARS))


@kernel
def _opening_tags(codes: Any, ids: Any, role: Any, count: int) -> tuple[int, int]:
    """Return two tags of how a statement begins: all of it up to its first table, and its verb and that table."""
    value = np.uint64(codes[0]) if count > 0 else np.uint64(0)
    for i in range(count):
        value = mix3(int(value & np.uint64(0xFFFFFFFF)), int(ids[i]), 11)
        if role[i] == TABLE:
            verb = mix3(int(codes[0]), int(ids[i]), 13)
            return int(value & np.uint64(0xFFFFFFFF)) | 1, int(verb & np.uint64(0xFFFFFFFF)) | 1
    return int(value & np.uint64(0xFFFFFFFF)) | 1, 0


@inline
def _cells(tag: int) -> tuple[Any, Any]:
    """Return the two cells in which a tag may stand."""
    first = np.int64(tag // 2 % _INDEX_CELLS)
    return first, (first + 1 + np.int64(tag // (2 * _INDEX_CELLS) % (_INDEX_CELLS - 1))) % _INDEX_CELLS


@kernel
def _calls_at(resource: Any, cell: int, owner: int, sites: Any, places: Any) -> int:
    """Return the calls of the call site that stands in a cell; -1: none does any more."""
    other = np.int64(resource["site"][cell])
    if 0 < other < sites.shape[0] and sites[other]["owner"] == owner and sites[other]["exemplars"] > 0:
        return int(places[other]["calls"])
    return -1


@kernel
def _index(resource: Any, tag: int, slots: tuple[int, int], sites: Any, places: Any) -> None:
    """Note the call site under a tag, unless busier ones stand there: an attacker's would lead to what it sent."""
    site, owner = slots
    first, second = _cells(tag)
    cell = second if resource["tag"][second] == tag else first
    if resource["tag"][cell] != tag:
        fewer = _calls_at(resource, second, owner, sites, places) < _calls_at(resource, first, owner, sites, places)
        cell = second if fewer else first
    stands = np.int64(resource["site"][cell])
    if stands != site and _calls_at(resource, cell, owner, sites, places) > places[site]["calls"]:
        return
    resource["tag"][cell] = tag
    resource["site"][cell] = site


@kernel
def _indexed(resource: Any, tag: int) -> int:
    first, second = _cells(tag)
    if tag == 0:
        return 0
    for cell in (first, second):
        if resource["tag"][cell] == tag:
            return int(resource["site"][cell])
    return 0


@kernel
def find_home(resource: Any, sites: Any, owner: int, codes: Any, ids: Any, role: Any, count: int) -> int:
    """Return the slot of a call site of the resource that knows statements which begin as this one; 0: none."""
    whole, verb = _opening_tags(codes, ids, role, count)
    for tag in (whole, verb):
        site = _indexed(resource, tag)
        if 0 < site < sites.shape[0] and sites[site]["owner"] == owner and sites[site]["exemplars"] > 0:
            return site
    return 0


@kernel
def common(known: Any, new: Any, new_count: int) -> tuple[int, int]:
    """Return the lengths of the common prefix and of the common suffix behind it."""
    known_count = known.shape[0]
    most = min(known_count, new_count)
    prefix = 0
    while prefix < most and known[prefix] == new[prefix]:
        prefix += 1
    suffix = 0
    while suffix < most - prefix and known[known_count - 1 - suffix] == new[new_count - 1 - suffix]:
        suffix += 1
    return prefix, suffix


@kernel
def _drop(site: Any, dropped: int) -> None:
    """Drop an exemplar, and close the gap."""
    used, start = 0, 0
    for k in range(_exemplars(site)):
        start += site["length"][k] if k < dropped else 0
        used += site["length"][k]
    size = int(site["length"][dropped])
    for k in range(start, used - size):
        site["arena"][k] = site["arena"][k + size]
    for k in range(dropped, MAX_EXEMPLARS - 1):
        site["length"][k] = site["length"][k + 1]
    site["exemplars"] -= 1


@kernel
def _keep(site: Any, codes: Any, count: int) -> None:
    """Add an exemplar. Where room lacks, those make it that have the most in common with it: so that few show all."""
    size = min(count, EXEMPLAR_TOKENS)
    while site["exemplars"] > 0:
        used = 0
        alike = 0
        most = -1.0
        for k in range(_exemplars(site)):
            length = int(site["length"][k])
            prefix, suffix = common(site["arena"][used : used + length], codes, count)
            if count > EXEMPLAR_TOKENS and length == size and prefix + suffix >= size:
                return
            share = float(prefix + suffix) + length / EXEMPLAR_TOKENS  # of two alike the longer makes room
            if length == size and prefix == size:  # there already; of a long one, its head and tail
                return
            if share > most:
                alike = k
                most = share
            used += length
        if used + size <= ARENA_TOKENS and site["exemplars"] < MAX_EXEMPLARS:
            break
        _drop(site, alike)
    used = 0
    for k in range(_exemplars(site)):
        used += site["length"][k]
    for k in range(size):
        cut = k >= _EXEMPLAR_HEAD and count > EXEMPLAR_TOKENS
        site["arena"][used + k] = codes[count - size + k] if cut else codes[k]
    site["length"][site["exemplars"]] = size
    site["exemplars"] += 1


@kernel
def learn_statement(
    sites: Any, places: Any, resource: Any, slots: tuple[int, int], codes: Any, ids: Any, role: Any, count: int
) -> None:
    """Add a quiet statement's trigrams, names and exemplar to what its call site and its resource are known for.

    Args:
        sites: Rows of all call sites.
        places: Rows of ``CALL_SITE`` of all call sites.
        resource: The resource's row.
        slots: Slots of the call site and of the resource.
        codes: The statement's token codes.
        ids: The statement's token ids.
        role: The roles of its names.
        count: The number of its tokens.
    """
    site = sites[slots[0]]
    site["owner"] = slots[1]
    for i in range(count + 1):
        before = ids[i - 2] if i > 1 else EDGE_BEFORE
        last = ids[i - 1] if i > 0 else EDGE_BEFORE
        this = ids[i] if i < count else EDGE_AFTER
        value = mix3(before, last, this)
        add(site["known"], value)
        add(resource["trigrams"], value)
        if i < count and is_name(codes[i]) and role[i] != ALIAS:
            name = role_hash(role[i], ids[i])
            add(site["known"], name)
            add(resource["names"], name)
    _keep(site, codes, count)
    whole, verb = _opening_tags(codes, ids, role, count)
    _index(resource, whole, slots, sites, places)
    if verb != 0:
        _index(resource, verb, slots, sites, places)


@kernel
def nearest(site: Any, codes: Any, count: int) -> tuple[int, int, float]:
    """Return offset and length of the exemplar with which the most is common, and how much it is."""
    best, offset, size, at = -1e9, 0, 0, 0
    for k in range(_exemplars(site)):
        length = int(site["length"][k])
        if at + length > ARENA_TOKENS:
            break
        prefix, suffix = common(site["arena"][at : at + length], codes, count)
        fit = prefix + suffix - LACKING_WEIGHT * (length - prefix - suffix)
        if fit > best:
            best, offset, size = fit, at, length
        at += length
    return offset, size, best


@kernel
def shared_tokens(fit: float, size: int) -> float:
    """Return how many tokens an exemplar has in common, by its length and the fit that :func:`nearest` returns."""
    return (fit + LACKING_WEIGHT * size) / (1.0 + LACKING_WEIGHT)


@kernel
def is_alike(fit: float, size: int) -> bool:
    """Return whether a statement has enough in common with an exemplar to be held against it."""
    return shared_tokens(fit, size) >= max(MIN_SHARED_TOKENS, MIN_SHARED * size)


NOTHING: Final = np.zeros(0, np.uint16)
"""The exemplar of a place that knows none."""
