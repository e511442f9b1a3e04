"""The identity that each resource showed last, as text, so that an alert can show the value before the change.

Learned from quiet calls that changed no identity. A text is read where a hash differs from the last one
seen there, so that a call which shows what was shown before costs a comparison.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.columns.prepared import Prepared
from backwatch.detector.decoding.decoder import DecodedCalls
from backwatch.detector.derived.identity_facts import LIMITS, WAS
from backwatch.detector.detectors import Array, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import zero_pages

_NAMES: Final = tuple(LIMITS)
_PER_CALL: Final = _NAMES.index(names.TOPOLOGY)
"""Reported by calls; the other facts are reported by sessions."""
BYTES: Final = sum(LIMITS.values()) + (8 + 4) * len(LIMITS) + 8
"""What a resource costs at most: the texts, their hashes and rows, its session's."""

Before = Mapping[str, tuple[NDArray[np.int32], str]]
"""By contract name: for each firing the row of the call that showed it last before; -1: the text that was kept."""


def cut(text: bytes, limit: int) -> str:
    """Return a text as it is kept, cut to so many bytes.

    >>> cut(b"15.10", 96), cut(b"a" * 99, 32) == "a" * 29 + "…"
    ('15.10', True)
    """
    found = text[: limit + 1].decode("utf-8", "replace")
    kept = found.encode()
    if len(text) <= limit and len(kept) <= limit:
        return found
    return kept[: limit - 3].decode("utf-8", "ignore") + "…"


@kernel
def _learn(
    slot: Array,
    quiet: Array,
    session: Array,
    facts: tuple[Array, ...],
    per_call: int,
    last: Array,
    hashes: Array,
    rows: Array,
    changed: Array,
) -> int:
    count = 0
    for i in range(slot.shape[0]):
        k = slot[i]
        if not quiet[i] or (session[i] == last[k] and facts[per_call][i] == 0):
            continue
        last[k] = session[i]
        for fact in range(len(facts)):
            value = facts[fact][i]
            if value != 0 and value != hashes[fact, k]:
                hashes[fact, k] = value
                if rows[fact, k] < 0:
                    changed[count, 0], changed[count, 1] = fact, k
                    count += 1
                rows[fact, k] = i
    return count


@kernel
def _before(slot: Array, values: Array, quiet: Array, last: Array, out: Array) -> None:
    for i in range(slot.shape[0]):
        out[i] = last[slot[i]]
        if quiet[i] and values[i] != 0:
            last[slot[i]] = i


@dataclass(slots=True)
class ShownIdentities:
    """The identities that one shard's resources showed.

    Attributes:
        texts: RESOURCE slot to contract name to text.
        session, hashes: Per slot, of what was read last; may be dropped at any moment.
        rows: Room for one run: per fact and slot the row that changed it last; -1: none.
    """

    texts: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    session: NDArray[np.uint64] = field(default_factory=lambda: zero_pages(RESOURCE.capacity, np.uint64))
    hashes: NDArray[np.uint64] = field(default_factory=lambda: zero_pages((len(LIMITS), RESOURCE.capacity), np.uint64))
    rows: NDArray[np.int32] = field(default_factory=lambda: np.full((len(LIMITS), RESOURCE.capacity), -1, np.int32))
    _fresh: set[int] = field(default_factory=set[int])

    def forget(self, slot: int) -> None:
        """Clear a slot that another resource now has."""
        if self.texts.pop(slot, None):
            self._fresh.add(slot)
        self.session[slot] = 0
        self.hashes[:, slot] = 0

    def keep(self, slot: int, name: str, text: str) -> None:
        """The resource showed this."""
        mine = self.texts.setdefault(slot, {})
        if mine.get(name) != text:
            mine[name] = text
            self._fresh.add(slot)

    def scalars(self, *, everything: bool) -> dict[str, Any]:
        """For the state: all, or what changed since :meth:`carried`."""
        slots: Iterable[int] = self.texts if everything else self._fresh
        return {"shown": {str(slot): self.texts.get(slot, {}) for slot in sorted(slots)}}

    def mark_saved(self) -> None:
        """Mark all changes as saved."""
        self._fresh.clear()

    def take(self, shown: Mapping[str, Mapping[str, str]]) -> None:
        """Load the output of :meth:`scalars` over the current state."""
        for slot, texts in shown.items():
            self.forget(int(slot))
            if texts:
                self.texts[int(slot)] = dict(texts)
        self._fresh.clear()


class IdentitySnapshot:
    """One run of calls: what its resources showed before each, and what they show last.

    Args:
        shown: The shard's.
        slot: RESOURCE slot of each call.
        quiet: Calls that may teach and on which nothing of the identity was new.
        start: The run's first row of ``prepared``.
    """

    def __init__(
        self, shown: ShownIdentities, prepared: Prepared, slot: NDArray[np.int32], quiet: NDArray[np.bool_], start: int
    ) -> None:
        self._shown, self._decoded, self._slot, self._quiet, self._start = shown, prepared.decoded, slot, quiet, start
        end = start + slot.shape[0]
        self._hashes = {name: prepared.columns[name][start:end] for name in LIMITS}
        self._session = prepared.entry["session"][start:end]
        self._rows: dict[str, NDArray[np.int32]] = {}

    @property
    def slot(self) -> NDArray[np.int32]:
        """RESOURCE slot of each call."""
        return self._slot

    def before(self, rows: NDArray[np.int32]) -> Before:
        """Return the values before each of these calls, which are of one resource."""
        slot = int(self._slot[rows[0]])
        if slot == 0:
            return {}
        texts = self._shown.texts.get(slot, {})
        found: dict[str, tuple[NDArray[np.int32], str]] = {}
        for name in LIMITS:
            if name not in self._rows:
                self._rows[name] = self._walk(name)
            at = self._rows[name][rows]
            found[name] = np.where(at >= 0, at + np.int32(self._start), np.int32(-1)), texts.get(name, "")
        return found

    def learn(self) -> None:
        """Keep the values that were shown last."""
        shown, facts = self._shown, tuple(self._hashes.values())
        changed = np.empty((self._slot.shape[0] * len(facts), 2), np.int32)
        count = _learn(
            self._slot, self._quiet, self._session, facts, _PER_CALL, shown.session, shown.hashes, shown.rows, changed
        )  # fmt: skip
        for fact, slot in changed[:count].tolist():
            name, row = _NAMES[fact], self._start + int(shown.rows[fact, slot])
            shown.rows[fact, slot] = -1
            shown.keep(slot, name, cut(self._decoded.raw(name, row), LIMITS[name]))

    def _walk(self, name: str) -> NDArray[np.int32]:
        """Return for each call the row of the quiet call that showed the value last; -1: none in this run."""
        last = np.full(RESOURCE.capacity, -1, np.int32)
        out = np.empty(self._slot.shape[0], np.int32)
        _before(self._slot, self._hashes[name], self._quiet, last, out)
        return out


def quiet(
    learn: NDArray[np.bool_], slot: NDArray[np.int32], facts: Mapping[str, Array], changes: Sequence[str]
) -> Array:
    """Return the calls that may teach and that change no identity."""
    found = learn & (slot != 0)
    for name in changes:
        found &= facts[name] == 0
    return found


def identity_changes_of(detectors: Sequence[Detector]) -> tuple[str, ...]:
    """Return the facts that are not 0 where a call shows a new identity."""
    return tuple(name for detector in detectors for name in detector.identity_changes)


def previous_values(decoded: DecodedCalls, row: int, was: Before, firing: int) -> dict[str, str]:
    """Return the previous values of a firing as evidence, where the call shows a different one."""
    found: dict[str, str] = {}
    for name, (rows, kept) in was.items():
        now, at = decoded.raw(name, row), int(rows[firing])
        before = cut(decoded.raw(name, at), LIMITS[name]) if at >= 0 else kept
        if now and before and before != cut(now, LIMITS[name]):
            found[name + WAS] = before
    return found
