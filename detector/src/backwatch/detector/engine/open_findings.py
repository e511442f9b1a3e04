"""Open findings: each (rule, key) that fired and has not cleared. The engine clears them, not the detectors.

A finding clears once its rule has not fired for ``clear_after`` of event time and at least one call of its key has
been seen on which the rule did not fire since: the absence of calls clears nothing. But a statement that was sent once
may never come again, so a finding about one statement clears by time alone, and is the first to be given up where
there is no room.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.engine.clock import BOUNDARY_NS
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.kernels.hashing import mix
from backwatch.detector.state.snapshot import fit_rows

Array = NDArray[Any]

MAX_OPEN_FINDINGS = 8_192
"""Beyond this many open findings a shard goes on raising, but gives the oldest up: the engine does not clear them."""
CROWDED_SHARE: Final = 0.75
"""Share of ``MAX_OPEN_FINDINGS`` beyond which every new key folds into one alert of its rule."""
REGISTERS: Final = 64
"""Of the estimate of how many different keys a fold stands for (HyperLogLog): about 13 % off."""
SCOPES: Final = 4
"""Scopes that a finding may be under, at most: call site, resource, app, shard."""
NOT_UNDER: Final = (0,) * SCOPES

ROW = np.dtype([
    ("key", "<u8"), ("rule", "<u8"), ("alert", "u1", (32,)), ("last_true", "<i8"), ("last_false", "<i8"),
    ("under", "<u8", (SCOPES,)), ("fold", "?"), ("registers", "u1", (REGISTERS,)),
])  # fmt: skip
"""``under``: keys of the folds whose scopes the finding is in, for counting; ``fold``: it is one itself."""


def rule_hash(name: str) -> int:
    """Return a rule's name as 64 bits, the same in every release and installation."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") or 1


@kernel
def _mix_all(a: Array, b: np.uint64, out: Array) -> None:
    for i in range(a.shape[0]):
        out[i] = mix(a[i], b)


@kernel
def _note_not_fired(
    address: Array,
    time_ns: Array,
    fired: Array,
    rule: np.uint64,
    keys: Array,
    index: Array,
    opened_row: Array,
    last_false: Array,
    dirty: Array,
) -> None:
    mask = np.uint64(index.shape[0] - 1)
    for i in range(address.shape[0]):
        if fired[i]:
            continue
        key = mix(address[i], rule)
        at = key & mask
        while index[at] != 0 and keys[index[at] - 1] != key:
            at = (at + np.uint64(1)) & mask
        found = index[at]
        if found != 0 and i >= opened_row[found - 1] and time_ns[i] > last_false[found - 1]:
            last_false[found - 1] = time_ns[i]
            dirty[found - 1] = True


@kernel
def _find(wanted: Array, keys: Array, index: Array, out: Array) -> None:
    mask = np.uint64(index.shape[0] - 1)
    for i in range(wanted.shape[0]):
        at = wanted[i] & mask
        while index[at] != 0 and keys[index[at] - 1] != wanted[i]:
            at = (at + np.uint64(1)) & mask
        out[i] = index[at] - 1


@kernel
def _estimate(keys: Array, registers: Array, out: Array) -> None:
    """Estimate after each key how many different ones there were.

    Sums are integers, so results do not depend on batches.
    """
    count = registers.shape[0]
    below = np.uint64((1 << 58) - 1)
    for i in range(keys.shape[0]):
        register, rest = np.int64(keys[i] >> np.uint64(58)), keys[i] & below
        rank = 1
        while rank < 58 and not (rest >> np.uint64(58 - rank)) & np.uint64(1):
            rank += 1
        if rank > registers[register]:
            registers[register] = rank
        elif i > 0:
            out[i] = out[i - 1]
            continue
        zeros, total = 0, 0
        for at in range(count):
            zeros += registers[at] == 0
            total += 1 << (56 - min(56, np.int64(registers[at])))
        estimate = 0.709 * count * count / (total / 2.0**56)
        if estimate <= 2.5 * count and zeros > 0:
            estimate = count * math.log(count / zeros)
        out[i] = max(1, int(estimate + 0.5))


def keys_of(rule: int, address: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the keys of a rule's findings at these addresses."""
    out = np.empty(address.shape[0], np.uint64)
    _mix_all(address, np.uint64(rule), out)
    return out


def key_of(rule: int, address: int) -> int:
    """Return the key of a rule's finding at this address."""
    return int(keys_of(rule, np.array([address], np.uint64))[0])


class OpenFindings:
    """The open findings of one shard.

    Args:
        of_one_statement: Hashes of the rules whose findings are each about one statement.
        given_up: Called for each finding that made room for another one.
    """

    def __init__(
        self, of_one_statement: frozenset[int] = frozenset(), given_up: Callable[[], None] = lambda: None
    ) -> None:
        self._of_one_statement = of_one_statement
        self._alone = np.zeros(MAX_OPEN_FINDINGS, np.bool_)
        self._given_up = given_up
        self._key = np.zeros(MAX_OPEN_FINDINGS, np.uint64)
        self._rule = np.zeros(MAX_OPEN_FINDINGS, np.uint64)
        self._alert = np.zeros((MAX_OPEN_FINDINGS, 32), np.uint8)
        self._true = np.zeros(MAX_OPEN_FINDINGS, np.int64)
        self._false = np.zeros(MAX_OPEN_FINDINGS, np.int64)
        self.dirty = np.zeros(MAX_OPEN_FINDINGS, np.bool_)
        self._under = np.zeros((MAX_OPEN_FINDINGS, SCOPES), np.uint64)
        self._fold = np.zeros(MAX_OPEN_FINDINGS, np.bool_)
        self._registers = np.zeros((MAX_OPEN_FINDINGS, REGISTERS), np.uint8)
        self._count_under: dict[int, int] = {}
        self._opened_row = np.zeros(MAX_OPEN_FINDINGS, np.int64)
        self._just_opened: list[int] = []
        self._index = np.zeros(4 * MAX_OPEN_FINDINGS, np.int32)
        self._where: dict[int, int] = {}
        self._per_rule: dict[int, int] = {}
        self._free = list(range(MAX_OPEN_FINDINGS - 1, -1, -1))

    def note_firing(
        self, rule: int, address: int, alert_id: bytes, time_ns: int, row: int = 0, under: Sequence[int] = NOT_UNDER
    ) -> None:
        """Note that the rule fired for this key, at this event time.

        Args:
            row: The first of the run's calls on which it fired: those before it say nothing of what opens now.
            under: Keys of the folds whose scopes it is in, 0 where there is none; used where it opens.
        """
        self._note(key_of(rule, address), rule, alert_id, time_ns, row, under, fold=False)

    def note_fold(
        self,
        rule: int,
        key: int,
        alert_id: bytes,
        time_ns: int,
        row: int,
        under: Sequence[int],
        keys: NDArray[np.uint64],
    ) -> NDArray[np.int64]:
        """Note that the rule fired for these keys, which share one alert.

        Returns:
            After each key, the estimated number of different ones.
        """
        at = self._note(key, rule, alert_id, time_ns, row, under, fold=True)
        counts = np.empty(keys.shape[0], np.int64)
        _estimate(keys, self._registers[at], counts)
        return counts

    def _note(
        self, key: int, rule: int, alert_id: bytes, time_ns: int, row: int, under: Sequence[int], *, fold: bool
    ) -> int:
        at = self._where.get(key)
        if at is None:
            at = self._free.pop() if self._free else self._give_up()
            self._insert(key, rule, at)
            self._key[at], self._rule[at], self._true[at], self._false[at] = key, rule, time_ns, 0
            self._alert[at] = np.frombuffer(alert_id, np.uint8)
            # The keys of a fold may never come again, as a statement may not: it clears by time alone.
            self._alone[at] = fold or rule in self._of_one_statement
            self._under[at], self._fold[at], self._registers[at] = under, fold, 0
            self._count(at, 1)
            self._opened_row[at] = row
            self._just_opened.append(at)
        elif time_ns > self._true[at]:
            self._true[at] = time_ns
        self.dirty[at] = True
        return at

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Return the rows of these keys' open findings; -1 where there is none."""
        out = np.empty(keys.shape[0], np.int32)
        _find(keys, self._key, self._index, out)
        return out

    def count_under(self, scope: int) -> int:
        """Return the number of open findings in the scope of this fold."""
        return self._count_under.get(scope, 0)

    @property
    def is_crowded(self) -> bool:
        """The table is nearly full."""
        return len(self._where) > CROWDED_SHARE * self._key.shape[0]

    def _count(self, at: int, by: int) -> None:
        for scope in self._under[at].tolist():
            if scope:
                count = self._count_under.get(scope, 0) + by
                if count > 0:
                    self._count_under[scope] = count
                else:
                    self._count_under.pop(scope, None)

    def any(self, rule: int) -> bool:
        """Return whether this rule has an open finding."""
        return bool(self._per_rule.get(rule))

    def rules(self) -> list[int]:
        """Return the rules that have an open finding."""
        return [rule for rule, count in self._per_rule.items() if count]

    def note_not_fired(
        self, rule: int, address: NDArray[np.uint64], time_ns: NDArray[np.int64], fired: NDArray[np.bool_]
    ) -> None:
        """Note the calls that prove an open finding's rule did not fire again."""
        if self.any(rule):
            _note_not_fired(
                address, time_ns, fired, np.uint64(rule), self._key, self._index, self._opened_row, self._false,
                self.dirty,
            )  # fmt: skip

    def run_over(self) -> None:
        """End the run of calls. Findings opened in it count as open from the first call of the next run."""
        self._opened_row[self._just_opened] = 0
        self._just_opened.clear()

    def due(
        self, before_ns: int, now_ns: int, clear_after_ns: int, own_ns: Mapping[int, int]
    ) -> Iterator[tuple[int, bytes, int]]:
        """Close the findings that have cleared by now; yield time, alert id and rule, in order of time.

        Args:
            before_ns: The last boundary at which findings were cleared.
            now_ns: The boundary at which they are cleared now; any number of boundaries lie between.
            own_ns: Rules that declare by themselves after how long they clear.
        """
        if not self._where:
            return
        at = np.fromiter(self._where.values(), np.int64, len(self._where))
        last_true, last_false = self._true[at], self._false[at]
        after_ns = np.full(at.shape[0], clear_after_ns, np.int64)
        for rule, own in own_ns.items():
            after_ns[self._rule[at] == np.uint64(rule)] = own
        # Never earlier than the call that proved it: the order of clears is the order of their causes. But calls run
        # ahead of the watermark, and where they never pause the newest one always does: it must not put the clear off
        # beyond the first boundary that could clear it. That is not ``now_ns``: a record without calls advances the
        # watermark, too, but the watermark stops at its boundary only where it ends a batch.
        over_ns = last_true + after_ns
        first_ns = np.maximum(before_ns + BOUNDARY_NS, -(-over_ns // BOUNDARY_NS) * BOUNDARY_NS)
        when = np.maximum(over_ns, np.minimum(last_false, first_ns))
        cleared = np.flatnonzero(((last_false > last_true) | self._alone[at]) & (when <= now_ns))
        if not cleared.shape[0]:
            return
        found = [(int(when[i]), self._alert[at[i]].tobytes(), int(self._rule[at[i]]), int(at[i])) for i in cleared]
        for _, _, _, at in found:
            self._remove(at)
        self._rebuild()
        for time_ns, alert, rule, _ in sorted(found):
            yield time_ns, alert, rule

    def close(self, alert_id: bytes) -> bool:
        """Close an alert's finding regardless of its calls; return whether it was open."""
        mine = (self._alert == np.frombuffer(alert_id, np.uint8)).all(axis=1) & (self._key != 0)
        for at in np.flatnonzero(mine).tolist():
            self._remove(at)
        self._rebuild()
        return bool(mine.any())

    def retain(self, keeps: Callable[[bytes], bool]) -> None:
        """Drop the findings of all alerts whose id (32 bytes) ``keeps`` does not accept. None of them clears."""
        for at in list(self._where.values()):
            if not keeps(self._alert[at].tobytes()):
                self._remove(at)
        self._rebuild()

    def _give_up(self) -> int:
        """Free a row of the full table: the one that fired least recently, findings about one statement first."""
        ranks = (self._alone & ~self._fold, ~self._fold)
        among = next((rows for rows in ranks if rows.any()), self._fold)
        at = int(np.argmin(np.where(among, self._true, np.iinfo(np.int64).max)))
        self._unindex(at)
        self._remove(at)
        self._given_up()
        return at

    def _remove(self, at: int) -> None:
        del self._where[int(self._key[at])]
        self._per_rule[int(self._rule[at])] -= 1
        self._count(at, -1)
        self._key[at] = self._rule[at] = 0
        self._under[at] = self._registers[at] = 0
        self._alone[at] = self._fold[at] = False
        self.dirty[at] = True

    def rows(self, at: NDArray[np.int32]) -> NDArray[np.void]:
        """Return these rows, for a snapshot."""
        out = np.zeros(at.shape[0], ROW)
        out["key"], out["rule"], out["alert"] = self._key[at], self._rule[at], self._alert[at]
        out["last_true"], out["last_false"] = self._true[at], self._false[at]
        out["under"], out["fold"], out["registers"] = self._under[at], self._fold[at], self._registers[at]
        return out

    def find_open_rows(self) -> NDArray[np.int32]:
        """Return the rows that are open."""
        return np.flatnonzero(self._key).astype(np.int32)

    def take(self, at: NDArray[np.int32], rows: NDArray[np.void]) -> None:
        """Load rows of a snapshot; ``restore`` must follow.

        Those of an older release are in no scope.
        """
        rows = fit_rows(rows, ROW)
        self._key[at], self._rule[at], self._alert[at] = rows["key"], rows["rule"], rows["alert"]
        self._true[at], self._false[at] = rows["last_true"], rows["last_false"]
        self._under[at], self._fold[at], self._registers[at] = rows["under"], rows["fold"], rows["registers"]

    def restore(self) -> None:
        """Rebuild everything derived from the rows, after they were loaded."""
        self._where = {int(self._key[at]): int(at) for at in np.flatnonzero(self._key)}
        self._per_rule = {}
        self._count_under = {}
        self._alone[:] = False
        for at in self._where.values():
            rule = int(self._rule[at])
            self._alone[at] = bool(self._fold[at]) or rule in self._of_one_statement
            self._count(at, 1)
            self._per_rule[rule] = self._per_rule.get(rule, 0) + 1
        self._rebuild()

    def _insert(self, key: int, rule: int, at: int) -> None:
        self._where[key] = at
        self._per_rule[rule] = self._per_rule.get(rule, 0) + 1
        mask = self._index.shape[0] - 1
        cell = key & mask
        while self._index[cell]:
            cell = (cell + 1) & mask
        self._index[cell] = at + 1

    def _unindex(self, at: int) -> None:
        """Remove one row from the index, without a gap in the probe sequence."""
        mask = self._index.shape[0] - 1
        gap = int(self._key[at]) & mask
        while self._index[gap] != at + 1:
            gap = (gap + 1) & mask
        cell = gap
        while found := int(self._index[cell := (cell + 1) & mask]):
            home = int(self._key[found - 1]) & mask
            if (cell - home) & mask >= (cell - gap) & mask:
                self._index[gap], gap = found, cell
        self._index[gap] = 0

    def _rebuild(self) -> None:
        self._free = [at for at in range(MAX_OPEN_FINDINGS - 1, -1, -1) if not self._key[at]]
        self._index[:] = 0
        mask = self._index.shape[0] - 1
        for key, at in self._where.items():
            cell = key & mask
            while self._index[cell]:
                cell = (cell + 1) & mask
            self._index[cell] = at + 1
