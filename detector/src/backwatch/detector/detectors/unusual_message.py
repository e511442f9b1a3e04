"""Messages of a new form from a topic whose forms are known.

Any account that may write into a topic can put any message there, and consumers trust it as the producer's. A forger
has
to guess the form: whether the value is JSON, and whether key, trace context and headers come with it. A message with
more of these than a known form is not new, and neither is a value that looks like JSON among values of no kind. Known
are the forms from before a topic settled, and those in quiet use for a week.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.facts.fact import derived_fact
from backwatch.collector.payload.message_forms import FORMS
from backwatch.detector.baselines.settled import LEARN_AFTER_NS, day_of, has_lapsed, has_surely_settled
from backwatch.detector.derived.numbers import MESSAGE_FORMS
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import SITE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_M: Final = 60
"""Minutes, after which the app has read the topic's backlog."""
MAX_TOPICS: Final = 8
"""Remembered topics of one call site: a row per call site and topic would cost every statement."""
MAX_CALLS: Final = 255
_MINUTE_NS: Final = 60 * 1_000_000_000
_WEEK: Final = LEARN_AFTER_NS // (86_400 * 1_000_000_000)

TOPIC_ROWS = np.dtype([
    ("seen", "<i8", (MAX_TOPICS,)), ("topic", "<u4", (MAX_TOPICS,)), ("since", "<u4", (MAX_TOPICS,)),
    ("day", "<u2", (MAX_TOPICS,)), ("first", "<u2", (MAX_TOPICS,)), ("last", "<u2", (MAX_TOPICS,)),
    ("calls", "u1", (MAX_TOPICS,)), ("next", "u1", (MAX_TOPICS,)),
])  # fmt: skip
"""Per topic: known forms as bits; its tag; minute of its first call; day of its last; first and last day of the waiting
new form; calls since a form was new; the waiting form, from 1."""


def _known_by() -> NDArray[np.int64]:
    """Return for each form the forms any of which make it known: fewer parts, of the same kind of value or of no kind.

    Texts and numbers may start like any kind, and a value converted by the app's own function has lost its form.
    """
    forms = [(value, set(parts)) for value, *parts in (form.split("+") for form in FORMS)]
    return np.array(
        [
            sum(
                1 << at
                for at, (other, fewer) in enumerate(forms)
                if fewer <= parts and (other == value or other in {"other", "object"} or value == "object")
            )
            for value, parts in forms
        ],
        np.int64,
    )


KNOWN_BY: Final = _known_by()


@kernel
def _find_topic(row: Any, topic: Any, today: int, learn: bool) -> int:
    """Return the topic's index; a new one where the call is learnt from; -1: none."""
    free = -1
    for m in range(MAX_TOPICS):
        if row["topic"][m] == topic:
            return m
        if row["topic"][m] == 0 or today - row["day"][m] > _WEEK:
            free = m if free < 0 else free
    if free >= 0 and learn:
        row["topic"][free] = topic
        row["seen"][free] = 0
        row["since"][free] = 0
        row["calls"][free] = 0
        row["next"][free] = 0
        return free
    return -1


@kernel
def _await_week(row: Any, m: int, form: int, time_ns: int) -> None:
    """Count a new form. One at a time becomes known, after a quiet week; others wait."""
    today = day_of(time_ns)
    if row["next"][m] == 0 or has_lapsed(row["last"][m], time_ns):
        row["next"][m] = form
        row["first"][m] = today
    if row["next"][m] != form:
        return
    row["last"][m] = today
    if today - row["first"][m] > _WEEK:  # days are whole: at least seven of them
        row["seen"][m] |= 1 << (form - 1)
        row["next"][m] = 0


@kernel
def _find_first_new(row: Any, m: int, forms: int, time_ns: int, waits: bool, known_by: Array) -> int:
    """Return the position of the first new form, from 1; 0: none. Count new forms where ``waits`` is set."""
    place, first = 0, 0
    for at in range(known_by.shape[0]):
        if forms >> at & 1:
            place += 1
            if known_by[at] & row["seen"][m] == 0:
                first = place if first == 0 else first
                if waits:
                    _await_week(row, m, at + 1, time_ns)
    return first


@kernel
def _judge(
    forms: Array, statement: Array, time_ns: Array, site: Array, learn: Array, rows: Any, known_by: Array, new: Array
) -> None:
    for i in range(site.shape[0]):
        s = site[i]
        if s == 0 or forms[i] == 0:
            continue
        row = rows[s]
        topic = np.int64(statement[i] & np.uint64(0x7FFFFFFF)) | 1
        m = _find_topic(row, topic, day_of(time_ns[i]), learn[i])
        if m < 0:
            continue
        minute = time_ns[i] // _MINUTE_NS
        ready = minute - row["since"][m] >= SETTLES_AFTER_M and has_surely_settled(0, row["calls"][m])
        first = _find_first_new(row, m, forms[i], time_ns[i], ready and learn[i], known_by)
        if ready:
            new[i] = first
        if not learn[i]:
            continue
        row["day"][m] = day_of(time_ns[i])
        if ready and first != 0:
            continue
        if row["since"][m] == 0:
            row["since"][m] = minute
        row["seen"][m] |= forms[i]
        row["calls"][m] = 0 if first != 0 else min(row["calls"][m] + 1, MAX_CALLS)


class UnusualMessage(Detector):
    """Compares the forms of messages with those that the call site received from the topic before."""

    id = "unusual-message"
    derives = (
        derived_fact(
            "backwatch.message.first",
            "Position of the first new form in backwatch.message.forms, from 1; 0: none is new, or the topic is "
            "not known well enough there.",
        ),
    )
    accepts = (names.MESSAGE_FORMS,)
    tables = (Table("unusual_message", SITE, 1, TOPIC_ROWS),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """Compute the facts of ``derives``."""
        new = np.zeros(calls.count, np.int8)
        _judge(
            calls[MESSAGE_FORMS], calls["fingerprint"], calls["time_ns"], slot[SITE.name], learn,
            tables["unusual_message"], KNOWN_BY, new,
        )  # fmt: skip
        return {"backwatch.message.first": new}
