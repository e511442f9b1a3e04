"""Messages of a form that a place was never handed, where the forms of what it is handed are known.

Who may write into a topic can put any message there, and whoever takes it trusts it as the producer's. The form is what
a forger has to guess: whether the value is JSON, and whether key, trace context and headers come with it. Known is what
came before the place settled, and what has gone on there quietly for a week.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.settled import LEARN_AFTER_NS, broke_off, day_of, surely_settled
from backwatch.detector.compiled import kernel
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.engine.keys import SITE
from backwatch.detector.engine.readings import MESSAGE_FORMS
from backwatch.detector.engine.tables import Rows, Table

SETTLES_AFTER_NS: Final = 3_600 * 1_000_000_000
"""One hour: what a queue held when the app began has been taken by then."""
MOST: Final = 1_000_000_000

FORMS = np.dtype([
    ("seen", "<i8"), ("once", "<i8"), ("fresh", "<i8"), ("since_ns", "<i8"), ("fresh_ns", "<i8"), ("calls", "<u4"),
    ("day", "<u2"),
])  # fmt: skip
"""Forms as bits: known ones, those of them that came once, new ones at a settled place and when their week began."""


@kernel
def _count(bits: int) -> int:
    found = 0
    while bits != 0:
        bits &= bits - 1
        found += 1
    return found


@kernel
def _wait(row: Any, new: int, time_ns: int) -> None:
    """New forms at a settled place: known after a week in which they went on."""
    if row["fresh"] == 0 or new & ~row["fresh"] != 0 or broke_off(row["day"], time_ns):
        row["fresh_ns"] = time_ns
    row["fresh"] |= new
    row["day"] = day_of(time_ns)
    if time_ns - row["fresh_ns"] >= LEARN_AFTER_NS:
        row["seen"] |= row["fresh"]
        row["fresh"] = 0


@kernel
def _judge(forms: Array, time_ns: Array, site: Array, learn: Array, rows: Any, novel: Array) -> None:
    for i in range(site.shape[0]):
        s = site[i]
        if s == 0 or forms[i] == 0:
            continue
        row = rows[s]
        new = forms[i] & ~row["seen"]
        ready = time_ns[i] - row["since_ns"] >= SETTLES_AFTER_NS and surely_settled(_count(row["once"]), row["calls"])
        novel[i] = ready and new != 0
        if not learn[i]:
            continue
        if novel[i]:
            _wait(row, new, time_ns[i])
            continue
        if row["since_ns"] == 0:
            row["since_ns"] = time_ns[i]
        row["once"] = (row["once"] & ~forms[i]) | new
        row["seen"] |= new
        row["calls"] = min(row["calls"] + 1, MOST)


class UnusualMessage(Detector):
    """Tells whether a place was handed a message of a form that it never was before.

    Provides:
        ``backwatch.message.novel``: 1 where a message's form is new, at a place whose forms are known.
    """

    id = "unusual-message"
    provides = ("backwatch.message.novel",)
    tables = (Table("unusual_message", SITE, 1, FORMS),)
    rule = """
title: A Topic Brought a Message of Another Form
id: 0c6f5d3e-6a57-4d0b-9d43-2f0a4f0b8f6e
name: unusual-message
status: experimental
description: >-
  Detects a message whose form was never seen by the place that takes it: without the key, the trace context or the
  headers that all others had, or with another kind of value.
references:
  - https://attack.mitre.org/techniques/T1565/001/
  - https://www.w3.org/TR/trace-context/
tags: [attack.impact, attack.t1565.001, attack.initial-access, attack.t1659]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  selection:
    backwatch.message.novel: true
  condition: selection
fields:
  - backwatch.message.forms
  - messaging.destination.name
  - backwatch.statement
  - db.response.returned_rows
  - code.function.name
  - code.file.path
  - code.line.number
  - backwatch.account
  - backwatch.server.id
falsepositives:
  - >-
    A producer was released that writes another format, or that is traced from now on; or another team's producer
    joined. Accept the alert, or let it go on quietly for a week.
level: medium
backwatch:
  key: site
  how:
    - >-
      Somebody with an account that may write into the topic, or with the broker itself, puts a message there: an order
      that nobody placed, a refund to an account of theirs. The consumer takes it as the producer's own.
    - >-
      A message of the past is written once more, by a tool that keeps the value and loses key and headers.
  blind_spots: >-
    A forger who has seen the topic's messages and copies their form; what the value says is never looked at. Drivers
    other than kafka-python and aiokafka. Places that were handed messages fewer than 150 times, or within the last
    hour only. Messages without a value. A place that takes several topics knows the forms of all of them together.
  remediation: >-
    Look at the newest messages of the topic with their offsets and headers (kafka-console-consumer.sh
    --property print.headers=true --property print.key=true). If no producer of yours wrote it, find out which accounts
    may write there (kafka-acls.sh --list --topic …), leave one per producer, and change their passwords. Have producers
    sign what must not be forged, and consumers verify it.
  tests:
    - name: a form that never came
      fires: true
      facts:
        backwatch.message.novel: true
        backwatch.message.forms: json
    - name: what always comes
      fires: false
      facts:
        backwatch.message.novel: false
        backwatch.message.forms: json+key+trace
"""

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        novel = np.zeros(calls.count, np.int8)
        _judge(calls[MESSAGE_FORMS], calls["time_ns"], slot[SITE.name], learn, tables["unusual_message"], novel)
        return {"backwatch.message.novel": novel}
