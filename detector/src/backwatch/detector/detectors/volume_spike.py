"""Minutes in which a resource moves far more than it usually does, and a usual that creeps up."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.extent import EXTENT, begin, extend, far_outside
from backwatch.detector.baselines.level import BOUND, LEVEL, MIN_COUNT, update
from backwatch.detector.detectors import Array, Closed, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import RESOURCE
from backwatch.detector.state.tables import Rows, Table

MEASURES: Final = {"bytes": "bytes_received", "sent": "bytes_sent", "rows": "rows_returned", "calls": "calls"}


@kernel
def _judge(
    amount: Array, suspects: Array, slot: Array, end_ns: Array, rows: Any, extents: Any,
    score: Array, excess: Array, drift: Array,
) -> None:  # fmt: skip
    for i in range(slot.shape[0]):
        k = slot[i]
        if k == 0:
            continue
        x, quiet = np.log1p(max(amount[i], 0)), suspects[i] == 0
        extent = extents[k]
        if rows[k]["count"] >= MIN_COUNT:
            excess[i] = far_outside(extent, x)
        score[i] = update(rows, k, x, end_ns[i], quiet)
        if rows[k]["count"] >= MIN_COUNT:
            drift[i] = rows[k]["drift"]
        if rows[k]["count"] == 1:
            begin(extent, x)
        elif quiet and not abs(score[i]) >= BOUND:
            extend(extent, x)


class VolumeSpike(Detector):
    """Tells how far a minute is from the resource's usual one.

    Provides:
        ``backwatch.volume.bytes.score``: Deviations of the minute's bytes received above the resource's usual minute
            (``baselines/level.py``); NaN until 30 minutes with calls are known.
        ``backwatch.volume.sent.score``: Deviations of the minute's bytes sent above the resource's usual minute
            (``baselines/level.py``); NaN until 30 minutes with calls are known.
        ``backwatch.volume.rows.score``: Deviations of the rows returned in the minute above the resource's usual minute
            (``baselines/level.py``); NaN until 30 minutes with calls are known.
        ``backwatch.volume.calls.score``: Deviations of the minute's calls above the resource's usual minute
            (``baselines/level.py``); NaN until 30 minutes with calls are known.
        ``backwatch.volume.bytes.excess``: How far the minute's bytes received are outside the range seen so far, in
            widths of it; less where that range is wide (``baselines/extent.py``).
        ``backwatch.volume.sent.excess``: How far the minute's bytes sent are outside the range seen so far, in widths
            of it; less where that range is wide (``baselines/extent.py``).
        ``backwatch.volume.rows.excess``: How far the rows returned in the minute are outside the range seen so far, in
            widths of it; less where that range is wide (``baselines/extent.py``).
        ``backwatch.volume.calls.excess``: How far the minute's calls are outside the range seen so far, in widths of
            it; less where that range is wide (``baselines/extent.py``).
        ``backwatch.volume.drift``: Of bytes received, bytes sent, rows and calls, the greatest sum of departures above
            a slowly learnt minute.
    """

    id = "volume-spike"
    window_provides = (
        *(f"backwatch.volume.{name}.{what}" for name in MEASURES for what in ("score", "excess")),
        "backwatch.volume.drift",
    )
    tables = (
        *(Table(f"volume_spike_{name}", RESOURCE, 1, LEVEL) for name in MEASURES),
        *(Table(f"volume_spike_{name}_extent", RESOURCE, 1, EXTENT) for name in MEASURES),
    )
    rule = """
title: A Resource Moves Far More Than Usual
id: 1c3a7f7e-52d1-4a43-8c1e-0d8f4a9b2b08
name: volume-spike
status: experimental
description: >-
  Detects a minute in which a resource returned, or was sent, many times its usual bytes, rows or calls, and a usual
  volume that was raised step by step.
references:
  - https://attack.mitre.org/techniques/T1048/
  - https://attack.mitre.org/techniques/T1030/
tags: [attack.exfiltration, attack.t1048, attack.t1030, attack.collection, attack.t1213.006]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  bytes:
    backwatch.volume.bytes.score|gt: 4
    backwatch.volume.bytes.excess|gt: 0.1
    bytes_received|gte: 1048576
  sent:
    backwatch.volume.sent.score|gt: 4
    backwatch.volume.sent.excess|gt: 0.1
    bytes_sent|gte: 1048576
  rows:
    backwatch.volume.rows.score|gt: 4
    backwatch.volume.rows.excess|gt: 0.1
    rows_returned|gte: 2000
  calls:
    backwatch.volume.calls.score|gt: 4
    backwatch.volume.calls.excess|gt: 0.1
    calls|gte: 300
  drift:
    backwatch.volume.drift|gte: 60
  volume:
    - bytes_received|gte: 1048576
    - bytes_sent|gte: 1048576
    - rows_returned|gte: 2000
    - calls|gte: 300
  condition: bytes or sent or rows or calls or (drift and volume)
fields:
  - bytes_received
  - bytes_sent
  - rows_returned
  - calls
  - new_statements
falsepositives:
  - Campaigns, sales, imports and back-fills.
  - An app that lost its cache, or retries.
level: medium
backwatch:
  key: resource
  over: window
  how:
    - >-
      A table is copied out by many small statements that are each quite ordinary.
    - >-
      The app is made to send more than usual (uploads, mails, messages): somebody uses it as the way out.
    - >-
      The usual volume is raised by a little each day, so that what would be a spike never looks like one.
  blind_spots: >-
    The first half hour with calls. Less than a mebibyte, 2000 rows and 300 calls a minute. Where minutes differ two
    hundredfold already, as by day and by night: less than four times the largest of them. A slow theft that stays
    within the usual spread of a resource whose volume varies much. What was told on seven days is usual from then on.
  remediation: >-
    See which statements and call sites grew (bulk-read names single calls). Limit what one user or job can fetch a
    minute, and give batch work a resource and an account of its own, so that its volume is known apart.
  tests:
    - name: a hundred times the bytes
      fires: true
      facts:
        backwatch.volume.bytes.score: 12
        backwatch.volume.bytes.excess: 5
        bytes_received: 90000000
    - name: the month's report, three times each night's batch
      fires: false
      facts:
        backwatch.volume.rows.score: 93
        backwatch.volume.rows.excess: 0.08
        rows_returned: 12000
    - name: far above the usual, and yet little
      fires: false
      facts:
        backwatch.volume.bytes.score: 12
        backwatch.volume.bytes.excess: 5
        bytes_received: 9000
"""

    def window(self, closed: Closed, tables: Mapping[str, Rows]) -> dict[str, Array]:
        """As the class says."""
        count = closed.slot.shape[0]
        drift = np.full(count, np.nan)
        facts: dict[str, Array] = {}
        for name, column in MEASURES.items():
            score, excess, mine = (np.full(count, np.nan) for _ in range(3))
            levels, extents = tables[f"volume_spike_{name}"], tables[f"volume_spike_{name}_extent"]
            _judge(closed[column], closed["suspects"], closed.slot, closed.end_ns, levels, extents, score, excess, mine)
            facts[f"backwatch.volume.{name}.score"] = score
            facts[f"backwatch.volume.{name}.excess"] = excess
            drift = np.fmax(drift, mine)
        return {**facts, "backwatch.volume.drift": drift}
