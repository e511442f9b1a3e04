"""Values with a format, a container or a name that their place never returned.

A deny-list of names finds the known exploits. Beside it stands what each place usually returns: a place is a statement
of a resource, such as ``GET session:?``. A place that is known and returns something new was written to by another
account than usual, unless the app itself wrote such a value there before, or a young release reads it.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.detector.baselines.releases import RELEASES, is_young, number_of
from backwatch.detector.baselines.settled import LEARN_AFTER_NS, day_of, has_lapsed, has_settled, has_surely_settled
from backwatch.detector.derived.payload_kinds import (
    CODE,
    CODE_FORMAT,
    CODE_NAME,
    FORMS,
    INSPECTED,
    SHAPE,
    WORDS,
    WRITTEN_FORMS,
    WRITTEN_WORDS,
)
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE, STATEMENT
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_M: Final = 60
"""Minutes, after which the app has met what lay in the cache when it started."""
MIN_BYTES: Final = 7
"""Bytes of the shortest response with a value. A miss has fewer: five in Redis and memcached."""
MAX_WRITTEN: Final = 24
"""Keys and topics of one resource of which the app's own values are remembered."""
MAX_CALLS: Final = 255
SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_MINUTE_NS: Final = 60 * 1_000_000_000
_WEEK: Final = LEARN_AFTER_NS // (86_400 * 1_000_000_000)

PLACE: Final = np.dtype([
    ("words", "<u8"), ("forms", "<u4"), ("since", "<u4"), ("next", "<u4"), ("first", "<u2"), ("last", "<u2"),
    ("calls", "u1"),
])  # fmt: skip
"""Known names and forms as bits; minute of the first value; tag, first and last day of the new kind that waits; values
since a kind was new."""
WRITTEN: Final = np.dtype([
    ("shape", "<u4", (MAX_WRITTEN,)), ("forms", "<u4", (MAX_WRITTEN,)), ("words", "<u8", (MAX_WRITTEN,)),
    ("day", "<u2", (MAX_WRITTEN,)),
])  # fmt: skip
"""What the app wrote, by key or topic."""


@kernel
def _find_written(row: Any, shape: int) -> int:
    for m in range(MAX_WRITTEN):
        if row["shape"][m] == shape:
            return m
    return -1


@kernel
def _note_written(row: Any, shape: int, forms: int, words: Any, today: int) -> None:
    """Remember what the app wrote; of too many keys, the one written to longest ago makes room."""
    at = _find_written(row, shape)
    if at < 0:
        at = 0
        for m in range(MAX_WRITTEN):
            if row["shape"][m] == 0:
                at = m
                break
            if row["day"][m] < row["day"][at]:
                at = m
        row["shape"][at] = shape
        row["forms"][at] = 0
        row["words"][at] = 0
    row["forms"][at] |= np.uint32(forms)
    row["words"][at] |= words
    row["day"][at] = today


@kernel
def _await_week(row: Any, tag: int, time_ns: int) -> bool:
    """Return whether a new kind has been in quiet use for a week. One at a time waits."""
    today = day_of(time_ns)
    if row["next"] == 0 or has_lapsed(row["last"], time_ns):
        row["next"] = tag
        row["first"] = today
    if row["next"] != tag:
        return False
    row["last"] = today
    if today - row["first"] <= _WEEK:  # days are whole: at least seven of them
        return False
    row["next"] = 0
    return True


@kernel
def _judge(
    columns: Any, time_ns: Array, statement: Array, resource: Array, release: Array, learn: Array, state: Any,
    new: Array, code: Array,
) -> None:  # fmt: skip
    forms, words, risk, written_forms, written_words, shape, inspected, received, returned = columns
    places, written, releases = state
    for i in range(time_ns.shape[0]):
        if inspected[i] == 0 or resource[i] == 0:
            continue
        number = number_of(releases[resource[i]], release[i], time_ns[i], learn[i])
        if written_forms[i] != 0 and learn[i]:
            _note_written(
                written[resource[i]], shape[i], written_forms[i], np.uint64(written_words[i]), day_of(time_ns[i])
            )
        s = statement[i]
        if s == 0:
            continue
        row = places[s]
        if forms[i] == 0:
            has_value = received[i] >= MIN_BYTES if received[i] >= 0 else returned[i] > 0
            if learn[i] and has_value and returned[i] != 0:
                row["calls"] = min(np.int64(row["calls"]) + 1, MAX_CALLS)
                if row["since"] == 0:
                    row["since"] = time_ns[i] // _MINUTE_NS
            continue
        new_forms = np.uint32(forms[i]) & ~row["forms"]
        new_words = np.uint64(words[i]) & ~row["words"]
        if new_forms != 0 or new_words != 0:
            runs_code = (new_forms != 0 and risk[i] & CODE_FORMAT != 0) or (
                new_words != 0 and risk[i] & CODE_NAME != 0
            )
            at = _find_written(written[resource[i]], shape[i])
            own = (
                at >= 0
                and new_forms & ~written[resource[i]]["forms"][at] == 0
                and new_words & ~written[resource[i]]["words"][at] == 0
            )
            calls = int(row["calls"])
            aged = time_ns[i] // _MINUTE_NS - np.int64(row["since"]) >= SETTLES_AFTER_M and row["since"] != 0
            settled = has_settled(0, calls) if runs_code else has_surely_settled(0, calls)
            explained = own or (not runs_code and is_young(releases[resource[i]], number, time_ns[i]))
            if aged and settled and not explained:
                new[i] = (1 if new_forms != 0 else 0) + (2 if new_words != 0 else 0)
                code[i] = 1 if runs_code else 0
                mixed = (np.uint64(forms[i]) * SPREAD) ^ np.uint64(words[i])
                tag = int(np.int64(mixed >> np.uint64(33))) | 1
                if not learn[i] or not _await_week(row, tag, time_ns[i]):
                    continue
            elif learn[i] and not explained:
                row["calls"] = 0
        if learn[i]:
            row["forms"] |= np.uint32(forms[i])
            row["words"] |= np.uint64(words[i])
            row["calls"] = min(np.int64(row["calls"]) + 1, MAX_CALLS)
            if row["since"] == 0:
                row["since"] = time_ns[i] // _MINUTE_NS


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
    tables = (
        Table("unusual_payload", STATEMENT, 1, PLACE),
        Table("unusual_payload_written", RESOURCE, 1, WRITTEN),
        Table("unusual_payload_releases", RESOURCE, 1, RELEASES),
    )

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        new, code = np.zeros(calls.count, np.int8), np.zeros(calls.count, np.int8)
        columns = tuple(
            calls[name]
            for name in (
                FORMS, WORDS, CODE, WRITTEN_FORMS, WRITTEN_WORDS, SHAPE,
                INSPECTED, names.BYTES_RECEIVED, names.ROWS_RETURNED,
            )
        )  # fmt: skip
        state = tuple(tables[table.name] for table in self.tables)
        _judge(
            columns, calls["time_ns"], slot[STATEMENT.name], slot[RESOURCE.name], calls[names.SERVICE_RELEASE], learn,
            state, new, code,
        )  # fmt: skip
        return {"backwatch.payload.new": new, "backwatch.payload.new.code": code}
