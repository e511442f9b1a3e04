"""Messages of a form that a place never took from a topic, where the forms of what it takes are known.

Who may write into a topic can put any message there, and whoever takes it trusts it as the producer's. The form is what
a forger has to guess: whether the value is JSON, and whether key, trace context and headers come with it. What has more
of these than a known form is no news, and neither is a beginning that looks like JSON where values of no kind come.
Known is what came before a topic settled, and what has gone on quietly for a week.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.collector.payload.message_forms import FORMS
from backwatch.detector.baselines.settled import LEARN_AFTER_NS, broke_off, day_of, surely_settled
from backwatch.detector.derived.numbers import MESSAGE_FORMS
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import SITE
from backwatch.detector.state.tables import Rows, Table

SETTLES_AFTER_M: Final = 60
"""Minutes: what a topic held when the app began has been taken by then."""
TOPICS: Final = 8
"""Topics of one place that are remembered: a row per place and topic would cost every statement."""
MOST_CALLS: Final = 255
_MINUTE_NS: Final = 60 * 1_000_000_000
_WEEK: Final = LEARN_AFTER_NS // (86_400 * 1_000_000_000)

TOPIC_ROWS = np.dtype([
    ("seen", "<i8", (TOPICS,)), ("topic", "<u4", (TOPICS,)), ("since", "<u4", (TOPICS,)), ("day", "<u2", (TOPICS,)),
    ("first", "<u2", (TOPICS,)), ("last", "<u2", (TOPICS,)), ("calls", "u1", (TOPICS,)), ("next", "u1", (TOPICS,)),
])  # fmt: skip
"""Per topic: known forms as bits; which it is; minute of its first call; day of its last; of the new form that waits to
be known the first and the last day; calls since a form was new; which form waits, from 1."""


def _excuses() -> NDArray[np.int64]:
    """Per form, the forms any of which makes it no news: fewer parts, of the same kind of value or of one unlike all.

    What stands in a text or in a number may begin like anything, and what the app's own function made of a value tells
    nothing of how it came.
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


EXCUSES: Final = _excuses()


@kernel
def _place_of(row: Any, topic: Any, today: int, learn: bool) -> int:
    """Where the topic is remembered; the place it takes, where it may teach; -1: none."""
    free = -1
    for m in range(TOPICS):
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
def _wait(row: Any, m: int, form: int, time_ns: int) -> None:
    """One new form at a time becomes known, after a week in which it went on by itself; what comes beside it waits."""
    today = day_of(time_ns)
    if row["next"][m] == 0 or broke_off(row["last"][m], time_ns):
        row["next"][m] = form
        row["first"][m] = today
    if row["next"][m] != form:
        return
    row["last"][m] = today
    if today - row["first"][m] > _WEEK:  # days are whole: at least seven of them
        row["seen"][m] |= 1 << (form - 1)
        row["next"][m] = 0


@kernel
def _first_new(row: Any, m: int, forms: int, time_ns: int, waits: bool, excuses: Array) -> int:
    """The place of the first form that is news, from 1; 0: none is. Each one waits to be known, where it may."""
    place, first = 0, 0
    for at in range(excuses.shape[0]):
        if forms >> at & 1:
            place += 1
            if excuses[at] & row["seen"][m] == 0:
                first = place if first == 0 else first
                if waits:
                    _wait(row, m, at + 1, time_ns)
    return first


@kernel
def _judge(
    forms: Array, statement: Array, time_ns: Array, site: Array, learn: Array, rows: Any, excuses: Array, new: Array
) -> None:
    for i in range(site.shape[0]):
        s = site[i]
        if s == 0 or forms[i] == 0:
            continue
        row = rows[s]
        topic = np.int64(statement[i] & np.uint64(0x7FFFFFFF)) | 1
        m = _place_of(row, topic, day_of(time_ns[i]), learn[i])
        if m < 0:
            continue
        minute = time_ns[i] // _MINUTE_NS
        ready = minute - row["since"][m] >= SETTLES_AFTER_M and surely_settled(0, row["calls"][m])
        first = _first_new(row, m, forms[i], time_ns[i], ready and learn[i], excuses)
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
        row["calls"][m] = 0 if first != 0 else min(row["calls"][m] + 1, MOST_CALLS)


class UnusualMessage(Detector):
    """Tells whether a place took a message of a form that it never took from that topic.

    Provides:
        ``backwatch.message.first``: The place of the first new form in ``backwatch.message.forms``, counted from 1; 0:
            none is new, or the topic is not known well enough there.
    """

    id = "unusual-message"
    provides = ("backwatch.message.first",)
    accepts = (names.MESSAGE_FORMS,)
    tables = (Table("unusual_message", SITE, 1, TOPIC_ROWS),)

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        new = np.zeros(calls.count, np.int8)
        _judge(
            calls[MESSAGE_FORMS], calls["fingerprint"], calls["time_ns"], slot[SITE.name], learn,
            tables["unusual_message"], EXCUSES, new,
        )  # fmt: skip
        return {"backwatch.message.first": new}
