"""Features of where a statement differs: at the place of a value, or elsewhere."""

from typing import Any, Final

import numpy as np

from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.statements.structure.features import SLOT, F
from backwatch.detector.statements.structure.known import holds, mix3
from backwatch.detector.statements.structure.positions import code_at, id_at
from backwatch.detector.statements.structure.roles import FUNCTION
from backwatch.detector.statements.structure.vocabulary import CLOSING, COMMA, OPENING, SEMICOLON, VALUE, K, O, is_name

_DISTINCT: Final = K["DISTINCT"]
_AND: Final = K["AND"]
_OR: Final = K["OR"]
_XOR: Final = K["XOR"]
_BARS: Final = O["||"]
_UNION: Final = K["UNION"]
_EXCEPT: Final = K["EXCEPT"]
_INTERSECT: Final = K["INTERSECT"]
_AT: Final = F["at-slot"]
_REPLACED: Final = F["slot-replaced"]
_AFTER: Final = F["after-slot"]
_NO_HUNK: Final = F["no-hunk"]
_HUNKS: Final = F["hunks"]
_PREFIX: Final = F["prefix-share"]
_VERB: Final = F["other-verb"]
_SUFFIX_LOST: Final = F["suffix-lost"]
_OR_FIRST: Final = F["or-first"]
_OFF: Final = F["off-slot"]


@kernel
def describe_edges(known: Any, codes: Any, count: int, hunks: int, prefix: int, suffix: int, f: Any) -> None:
    """Features of where prefix and suffix end."""
    f[_HUNKS] = min(hunks, 4)
    f[_NO_HUNK] = hunks == 0
    f[_PREFIX] = prefix / count
    f[_VERB] = prefix == 0
    size = known.shape[0]
    last = size
    while last > 0 and known[last - 1] == SEMICOLON:
        last -= 1
    f[_SUFFIX_LOST] = prefix < last and suffix == 0
    if size > 0 and prefix > 0 and hunks > 0:
        replaces = prefix < size and known[prefix] == VALUE
        if replaces and code_at(codes, prefix, count) != _DISTINCT:
            f[_REPLACED] = 1.0
        follows = codes[prefix - 1] == VALUE
        f[_AFTER] = follows
        f[_AT] = replaces or follows


@kernel
def _run_start(codes: Any, ids: Any, begin: int, end: int, site: Any) -> tuple[int, bool]:
    """Return where an added run really begins, and whether it stands at a slot.

    Where the same tokens stand on both sides, the run may as well begin at the earlier ones.
    """
    start = begin
    repeated = start > 1 and codes[start - 1] == codes[end - 1] and codes[start - 2] == VALUE
    if repeated and (codes[start - 1] == _AND or codes[start - 1] == _OR):
        start -= 1
    if start > 0 and codes[start - 1] == VALUE:
        return start, True
    if start > 1 and codes[start - 1] == CLOSING and codes[start - 2] == VALUE:  # IN(?) OR …, IN(?) UNION …
        code = codes[start]
        if code == _OR or code == _XOR or code == _BARS or code == _UNION or code == _EXCEPT or code == _INTERSECT:
            return start, True
        if code == COMMA and code_at(codes, start + 1, end) == OPENING:  # VALUES(?), (one more row
            return start, True
    if begin > 1 and codes[begin] != VALUE and holds(site, mix3(ids[begin - 2], ids[begin - 1], VALUE)):
        return begin, True
    return begin, False


@kernel
def describe_runs(codes: Any, ids: Any, count: int, added: Any, site: Any, f: Any) -> int:
    """Features of where the added runs begin; return where the first one at a slot does, 0 if none."""
    at, off, first = 0.0, 0.0, 0
    i = 0
    while i < count:
        if not added[i]:
            i += 1
            continue
        begin = i
        while i < count and added[i]:
            i += 1
        start, is_slot = _run_start(codes, ids, begin, i, site)
        if not is_slot:
            off += 1.0
            continue
        at = 1.0
        code = codes[start]
        leads_or = code == _OR or code == _XOR or code == _BARS or (
            code == CLOSING and code_at(codes, start + 1, count) == _OR
        )  # fmt: skip
        if leads_or and not holds(site, mix3(id_at(ids, start - 2, count), ids[start - 1], ids[start])):
            f[_OR_FIRST] = 1.0
        if first == 0:
            first = start
            lead = start - 1 if codes[start - 1] == VALUE else start
            slot = mix3(id_at(ids, lead - 2, count), id_at(ids, lead - 1, count), 5) & np.uint64(0x7FFFFFFF)
            f[SLOT] = float(slot)
    f[_AT] = max(at, f[_AT] if off == 0.0 else 0.0)
    f[_OFF] = min(off, 2.0)
    return first


@kernel
def column_of_slot(codes: Any, role: Any, first: int) -> int:
    """Return the code of the column whose value an added run follows or replaces; 0 if none."""
    k = first - 1
    while k > 0 and first - k < 8:
        if is_name(codes[k]) and role[k] != FUNCTION:
            return int(codes[k])
        k -= 1
    return 0
