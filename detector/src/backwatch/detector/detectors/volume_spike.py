"""Minutes in which a resource moves far more than it usually does, and a usual that creeps up."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from backwatch.detector.baselines.level import LEVEL, MIN_COUNT, update
from backwatch.detector.compiled import kernel
from backwatch.detector.detectors import Array, Closed, Detector
from backwatch.detector.engine.keys import RESOURCE
from backwatch.detector.engine.tables import Rows, Table

MEASURES: Final = {"bytes": "bytes_received", "sent": "bytes_sent", "rows": "rows_returned", "calls": "calls"}


@kernel
def _judge(amount: Array, suspects: Array, slot: Array, end_ns: Array, rows: Any, score: Array, drift: Array) -> None:
    for i in range(slot.shape[0]):
        if slot[i] == 0:
            continue
        score[i] = update(rows, slot[i], np.log1p(max(amount[i], 0)), end_ns[i], suspects[i] == 0)
        if rows[slot[i]]["count"] >= MIN_COUNT:
            drift[i] = max(drift[i], rows[slot[i]]["drift"])


class VolumeSpike(Detector):
    """Tells how far a minute is from the resource's usual one.

    Provides:
        ``backwatch.volume.bytes.score``, ``.sent.score``, ``.rows.score``, ``.calls.score``: Deviations above the
        usual minute (``baselines/level.py``); NaN until 30 minutes with calls are known. ``backwatch.volume.drift``:
        The greatest of the sums of departures from the slow reference.
    """

    id = "volume-spike"
    window_provides = (*(f"backwatch.volume.{name}.score" for name in MEASURES), "backwatch.volume.drift")
    tables = tuple(Table(f"volume_spike_{name}", RESOURCE, 1, LEVEL) for name in MEASURES)
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
    backwatch.volume.bytes.score|gt: 8
    bytes_received|gte: 1048576
  sent:
    backwatch.volume.sent.score|gt: 8
    bytes_sent|gte: 1048576
  rows:
    backwatch.volume.rows.score|gt: 8
    rows_returned|gte: 2000
  calls:
    backwatch.volume.calls.score|gt: 8
    calls|gte: 300
  drift:
    backwatch.volume.drift|gte: 30
  volume:
    - bytes_received|gte: 1048576
    - bytes_sent|gte: 1048576
    - rows_returned|gte: 2000
    - calls|gte: 300
  condition: bytes or sent or rows or calls or (drift and volume)
falsepositives:
  - Campaigns, sales, imports and back-fills.
  - An app that lost its cache, or retries.
level: medium
backwatch:
  key: resource
  over: window
  blind_spots: >-
    The first half hour with calls. Less than a mebibyte, 2000 rows and 300 calls a minute. A slow theft that stays
    within the usual spread of a resource whose volume varies much.
  remediation: >-
    See which statements and call sites grew (bulk-read names single calls). Limit what one user or job can fetch a
    minute, and give batch work a resource and an account of its own, so that its volume is known apart.
"""

    def window(self, closed: Closed, tables: Mapping[str, Rows]) -> dict[str, Array]:
        """As the class says."""
        count = closed.slot.shape[0]
        drift = np.full(count, np.nan)
        facts: dict[str, Array] = {}
        for name, column in MEASURES.items():
            score, mine = np.full(count, np.nan), np.zeros(count)
            _judge(
                closed[column],
                closed["suspects"],
                closed.slot,
                closed.end_ns,
                tables[f"volume_spike_{name}"],
                score,
                mine,
            )
            facts[f"backwatch.volume.{name}.score"] = score
            drift = np.fmax(drift, mine)
        return {**facts, "backwatch.volume.drift": drift}
