"""Calls that take far longer than their statement ever did."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.detector.baselines.settled import MIN_CALLS
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import STATEMENT
from backwatch.detector.state.tables import Rows, Table

STEPS: Final = 6
"""Steps of a doubling in which the longest call is remembered: 255 of them reach from a microsecond to a month."""
FAR: Final = 3.0
"""Doublings beyond the longest from which a call teaches no more than one step."""

LONGEST = np.dtype([("longest", "u1"), ("calls", "u1")])


@kernel
def _judge(duration_ns: Array, statement: Array, learn: Array, rows: Any, excess: Array) -> None:
    for i in range(statement.shape[0]):
        s = statement[i]
        if s == 0 or duration_ns[i] < 0:
            continue
        row = rows[s]
        now = np.log2(1.0 + duration_ns[i] / 1_000.0)
        beyond = now - row["longest"] / STEPS
        settled = row["calls"] >= MIN_CALLS
        if settled:
            excess[i] = beyond
        if not learn[i]:
            continue
        if settled and beyond >= FAR:
            row["longest"] = min(row["longest"] + 1, 255)
        elif beyond > 0:
            row["longest"] = min(int(np.ceil(now * STEPS)), 255)
        if row["calls"] < 255:
            row["calls"] += 1


class SlowResponse(Detector):
    """Tells how much longer a call took than the longest of its statement.

    Provides:
        ``backwatch.duration.excess``: Doublings by which the call took longer than the longest call of its statement so
            far; NaN until 30 of them are known.
    """

    id = "slow-response"
    provides = ("backwatch.duration.excess",)
    tables = (Table("slow_answer", STATEMENT, 1, LONGEST),)
    rule = """
title: A Service Keeps the App Waiting
id: ebc380e4-4c41-4737-b2fd-ae06973fcecc
name: slow-response
status: experimental
description: >-
  Detects a call that took three seconds or more, and at least eight times as long as the longest of the same
  statement until then: an answer that drips or never comes holds a worker of the app for as long.
references:
  - https://attack.mitre.org/techniques/T1499/004/
  - https://bugs.python.org/issue44022
tags: [attack.impact, attack.t1499, attack.t1499.004]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  selection:
    backwatch.duration.excess|gte: 3
    duration_ns|gte: 3000000000
  condition: selection
fields:
  - duration_ns
  - db.query.text
  - backwatch.statement
  - server.address
  - network.peer.address
  - network.peer.port
  - code.function.name
falsepositives:
  - A lock that was held long, a cold cache, a machine that was put to sleep.
level: low
backwatch:
  key: resource
  clear_after_s: 3600
  how:
    - >-
      A service that was taken over drips its answer byte by byte, just fast enough for no timeout between two reads:
      each request of the app holds a worker, and a few dozen hold them all.
    - >-
      It asks for a login proof that takes a minute to compute (a SCRAM iteration count of a hundred million), or
      sends headers without end.
  blind_spots: >-
    Statements that were sent fewer than 30 times, and those that always wait, such as consumers. A call that has not
    ended yet is not told. What the app reads after the call has ended.
  remediation: >-
    Give every call a limit of time, not only the connection: statement_timeout (PostgreSQL, as options=-c),
    read_timeout (PyMySQL, mysqlclient), command_timeout (asyncpg), socket_timeout (redis), timeoutMS (PyMongo),
    timeout=(3, 10) (requests; it limits each read, so stop a body that drips by a clock of your own),
    request_timeout_ms (Kafka). Then see why the service is slow.
  parameters: [time-limits]
  tests:
    - {name: ten seconds, fires: true, facts: {backwatch.duration.excess: 9, duration_ns: 10000000000}}
    - {name: slow for it and yet quick, fires: false, facts: {backwatch.duration.excess: 9, duration_ns: 40000000}}
    - {name: a consumer that waits, fires: false, facts: {backwatch.duration.excess: 0.1, duration_ns: 60000000000}}
"""

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        excess = np.full(calls.count, np.nan)
        _judge(calls["duration_ns"], slot[STATEMENT.name], learn, tables["slow_answer"], excess)
        return {"backwatch.duration.excess": excess}
