"""Values with a format, a container or a name that their place never returned.

A deny-list of names finds the known exploits. Beside it stands what each place usually returns: a place is a key shape
or topic of a resource, such as ``session:?``. A place that is known and returns something new was written to by another
account than usual, unless the app itself wrote such a value there before, or a young release reads it.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.settled import (
    LEARN_AFTER_NS,
    MIN_CALLS,
    day_of,
    has_lapsed,
    has_settled,
    has_surely_settled,
)
from backwatch.detector.derived.payload_kinds import (
    CODE,
    CODE_FORMAT,
    CODE_NAME,
    FORMS,
    SHAPE,
    WORDS,
    WRITTEN_FORMS,
    WRITTEN_WORDS,
)
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_M: Final = 60
"""Minutes, after which the app has met what lay in the cache when it started."""
MIN_BYTES: Final = 7
"""Bytes of the shortest response with a value. A miss has fewer: five in Redis and memcached."""
MAX_PLACES: Final = 15
"""Keys and topics of one resource that are known: a row per statement would cost every SQL statement, too."""
MAX_RELEASES: Final = 4
MAX_CALLS: Final = 255
SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_MINUTE_NS: Final = 60 * 1_000_000_000
_WEEK: Final = LEARN_AFTER_NS // (86_400 * 1_000_000_000)
_YOUNG_M: Final = 60

PLACES: Final = np.dtype([
    ("words", "<u8", (MAX_PLACES,)), ("own_words", "<u8", (MAX_PLACES,)), ("shape", "<u4", (MAX_PLACES,)),
    ("forms", "<u4", (MAX_PLACES,)), ("own_forms", "<u4", (MAX_PLACES,)), ("since", "<u4", (MAX_PLACES,)),
    ("next", "<u2", (MAX_PLACES,)), ("first", "<u2", (MAX_PLACES,)), ("last", "<u2", (MAX_PLACES,)),
    ("day", "<u2", (MAX_PLACES,)), ("calls", "u1", (MAX_PLACES,)), ("release", "<u4", (MAX_RELEASES,)),
    ("released", "<u4"), ("newest", "u1"),
])  # fmt: skip
"""Per key or topic: known names and forms as bits, and those that the app wrote itself; its tag; minute of the first
value; tag, first and last day of the new kind that waits; day of its last call; values since a kind was new. Beside
them the last releases, minute and index of the newest."""


@kernel
def _find_place(row: Any, shape: int, today: int, learn: bool) -> int:
    """Return the place's index; a new one where the call is learnt from and there is room; -1: none.

    Room is made by a place unused for a week, or by one that is not known yet and was not used today.
    """
    free, rank = -1, 0
    for m in range(MAX_PLACES):
        if row["shape"][m] == shape:
            return m
        age = today - np.int64(row["day"][m])
        score = 3 if row["shape"][m] == 0 else 2 if age > _WEEK else 1 if age > 0 and row["calls"][m] < MIN_CALLS else 0
        if score > rank:
            free, rank = m, score
    if free >= 0 and learn:
        row["shape"][free] = shape
        row["words"][free] = 0
        row["own_words"][free] = 0
        row["forms"][free] = 0
        row["own_forms"][free] = 0
        row["since"][free] = 0
        row["next"][free] = 0
        row["calls"][free] = 0
        return free
    return -1


@kernel
def _is_young(row: Any, release: Any, minute: int, learn: bool) -> bool:
    """Return whether the release is the newest, and at most an hour old. One of the last four is no new one."""
    if release == 0:
        return False
    tag = np.uint32(release >> np.uint64(32)) | np.uint32(1)
    at = -1
    for m in range(MAX_RELEASES):
        if row["release"][m] == tag:
            at = m
    newest = np.int64(row["newest"])
    if at < 0:
        if learn:
            newest = (newest + 1) % MAX_RELEASES
            row["newest"] = newest
            row["release"][newest] = tag
            row["released"] = minute
        return True
    return bool(at == newest and minute - int(row["released"]) <= _YOUNG_M)


@kernel
def _await_week(row: Any, m: int, tag: int, time_ns: int) -> bool:
    """Return whether a new kind has been in quiet use for a week. One at a time waits."""
    today = day_of(time_ns)
    if row["next"][m] == 0 or has_lapsed(row["last"][m], time_ns):
        row["next"][m] = tag
        row["first"][m] = today
    if row["next"][m] != tag:
        return False
    row["last"][m] = today
    if today - row["first"][m] <= _WEEK:  # days are whole: at least seven of them
        return False
    row["next"][m] = 0
    return True


@kernel
def _learn_value(row: Any, m: int, forms: int, words: Any, minute: int) -> None:
    row["forms"][m] |= np.uint32(forms)
    row["words"][m] |= words
    row["calls"][m] = min(np.int64(row["calls"][m]) + 1, MAX_CALLS)
    if row["since"][m] == 0:
        row["since"][m] = minute


@kernel
def _judge(
    columns: Any, time_ns: Array, resource: Array, release: Array, learn: Array, rows: Any, new: Array, code: Array
) -> None:
    forms, words, risk, written_forms, written_words, shape, received, returned = columns
    for i in range(time_ns.shape[0]):
        if shape[i] == 0 or resource[i] == 0:
            continue
        row, minute, today = rows[resource[i]], time_ns[i] // _MINUTE_NS, day_of(time_ns[i])
        young = _is_young(row, release[i], minute, learn[i])
        m = _find_place(row, shape[i], today, learn[i])
        if m < 0:
            continue
        if learn[i]:
            row["day"][m] = today
            if written_forms[i] != 0:
                row["own_forms"][m] |= np.uint32(written_forms[i])
                row["own_words"][m] |= np.uint64(written_words[i])
        if forms[i] == 0:
            has_value = received[i] >= MIN_BYTES if received[i] >= 0 else returned[i] > 0
            if learn[i] and has_value and returned[i] != 0:
                _learn_value(row, m, 0, np.uint64(0), minute)
            continue
        new_forms = np.uint32(forms[i]) & ~row["forms"][m]
        new_words = np.uint64(words[i]) & ~row["words"][m]
        if new_forms != 0 or new_words != 0:
            runs_code = (new_forms != 0 and risk[i] & CODE_FORMAT != 0) or (new_words != 0 and risk[i] & CODE_NAME != 0)
            own = new_forms & ~row["own_forms"][m] == 0 and new_words & ~row["own_words"][m] == 0
            calls = int(row["calls"][m])
            aged = row["since"][m] != 0 and minute - np.int64(row["since"][m]) >= SETTLES_AFTER_M
            settled = has_settled(0, calls) if runs_code else has_surely_settled(0, calls)
            explained = own or (young and not runs_code)
            if aged and settled and not explained:
                new[i] = (1 if new_forms != 0 else 0) + (2 if new_words != 0 else 0)
                code[i] = 1 if runs_code else 0
                mixed = (np.uint64(forms[i]) * SPREAD) ^ np.uint64(words[i])
                tag = int(np.int64(mixed >> np.uint64(49))) | 1
                if not learn[i] or not _await_week(row, m, tag, time_ns[i]):
                    continue
            elif learn[i] and not explained:
                row["calls"][m] = 0
        if learn[i]:
            _learn_value(row, m, forms[i], np.uint64(words[i]), minute)


class UnusualPayload(Detector):
    """Compares a value's format, containers and names with those that its place returned before."""

    id = "unusual-payload"
    derives = (
        derived_fact(
            "backwatch.payload.new",
            "What is new in a value at a place whose values are known: 1 its format or container, 2 a name that it "
            "would load, 3 both; 0: nothing, or the app itself wrote such a value there, or a young release reads it.",
        ),
        derived_fact(
            "backwatch.payload.new.code",
            "1 where what is new can run code when it is read: a format that builds any class, or a name of a module "
            "known from exploits.",
        ),
    )
    accepts = (names.PAYLOAD_FORMAT, names.PAYLOAD_CONTAINERS, names.PAYLOAD_GLOBALS)
    tables = (Table("unusual_payload", RESOURCE, 1, PLACES),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        new, code = np.zeros(calls.count, np.int8), np.zeros(calls.count, np.int8)
        read = (
            FORMS, WORDS, CODE, WRITTEN_FORMS, WRITTEN_WORDS, SHAPE, names.BYTES_RECEIVED, names.ROWS_RETURNED,
        )  # fmt: skip
        _judge(
            tuple(calls[name] for name in read), calls["time_ns"], slot[RESOURCE.name], calls[names.SERVICE_RELEASE],
            learn, tables["unusual_payload"], new, code,
        )  # fmt: skip
        return {"backwatch.payload.new": new, "backwatch.payload.new.code": code}
