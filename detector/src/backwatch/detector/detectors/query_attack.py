"""Signs of injection, joined with novelty at the place that sent the statement.

A sign alone proves little: administrators read catalogues and query builders write ``WHERE 1=1``. So a statement
counts only where it is new, and a sign only where the place does not usually show it; what is left is weighed.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backwatch.collector import names
from backwatch.detector.baselines.suspicion import ENOUGH, WEIGHT
from backwatch.detector.detectors import Array, Calls, Detector
from backwatch.detector.kernels.compiled import kernel
from backwatch.detector.state.keys import SITE
from backwatch.detector.state.tables import Rows, Table

SURPRISE: Final = 1.0
"""Added where a new statement is a surprise."""
FAILED: Final = 0.5
"""Added where the statement failed as well: probing breaks statements."""
USUAL: Final = 3
"""Quiet calls with known statements after which a sign is usual at a place."""
REACHES: Final = frozenset(("file-access", "program", "time-delay", "catalogue", "version-probe", "cut"))
"""Signs of what a statement does, not of something put into it from outside."""
SHAPE: Final = np.where([sign in REACHES for sign in names.SIGNS], 0.0, WEIGHT)

USUAL_SIGNS = np.dtype([("seen", "u1", (len(names.SIGNS),))])


@kernel
def _weigh(
    signs: Array,
    novel: Array,
    settled: Array,
    mature: Array,
    failed: Array,
    site: Array,
    learn: Array,
    places: Any,
    weight: Array,
    shape: Array,
    score: Array,
    injected: Array,
) -> None:
    for i in range(signs.shape[0]):
        if signs[i] == 0:
            continue
        seen = places[site[i]]["seen"]
        total, shaped = 0.0, 0.0
        for s in range(weight.shape[0]):
            if signs[i] >> np.uint32(s) & np.uint32(1) and (site[i] == 0 or seen[s] < USUAL):
                total += weight[s]
                shaped += shape[s]
        if novel[i] != 0 and total > 0.0:
            surprise = SURPRISE if settled[i] != 0 or mature[i] != 0 else 0.0
            score[i] = total + surprise + (FAILED if failed[i] else 0.0)
            injected[i] = shaped >= ENOUGH
        if learn[i] and novel[i] == 0 and site[i] != 0:
            for s in range(weight.shape[0]):
                if signs[i] >> np.uint32(s) & np.uint32(1) and seen[s] < 255:
                    seen[s] += 1


class QueryAttack(Detector):
    """Tells how much a new statement looks like an injection.

    Provides:
        ``backwatch.query.attack.score``: Sum of the weights of the signs that are unusual at the statement's place; 0
        where the statement is known there.
        ``backwatch.query.injected``: 1 where those signs of a new statement that are unusual at its place, and tell of
        something put into it, are enough by themselves, whatever it reaches for.
    """

    id = "query-attack"
    reads = ("backwatch.query.novel", "backwatch.site.settled", "backwatch.resource.settled")
    provides = ("backwatch.query.attack.score", "backwatch.query.injected")
    tables = (Table("query_attack", SITE, 2, USUAL_SIGNS),)
    rule = """
title: A New Query Shows Signs of Injection
id: 5c7be0a2-3c55-4a52-9f0e-6d6b2a6b9f02
name: query-attack
status: experimental
description: >-
  Detects a statement that is new at its call site and whose raw form showed signs of SQL injection unusual there, or
  which the database refused as no valid statement although the statements of that place are known: probing breaks them.
references:
  - https://owasp.org/www-community/attacks/SQL_Injection
  - https://cwe.mitre.org/data/definitions/89.html
tags: [attack.initial-access, attack.t1190, attack.collection, attack.t1213.006]
logsource: {product: opentelemetry, category: backing_service_call}
detection:
  signs:
    backwatch.query.attack.score|gte: 3
  probing:
    backwatch.query.novel: true
    backwatch.site.settled: true
  refused_type:
    error.type|endswith: [ProgrammingError, SyntaxError, SyntaxErrorException, UndefinedColumn, UndefinedFunction]
  refused_code:
    db.response.status_code: ['42601', '42703', '42883', '42P01', '1064', '1054', '1305', '1222', 'ORA-00933']
  condition: signs or (probing and 1 of refused_*)
fields:
  - db.query.text
  - backwatch.query.signs
  - db.response.status_code
  - error.type
  - code.function.name
  - code.file.path
  - code.line.number
  - http.route
  - backwatch.account
falsepositives:
  - A release whose new query is broken.
  - Database tools, reports and migrations that read catalogues or build statements from parts, on their first run.
level: high
backwatch:
  key: site
  instead_of: [unusual-query]
  how:
    - >-
      Text of a request becomes part of the statement: ' OR 1=1 -- makes a condition always true, UNION SELECT appends
      another table's rows, ; DROP TABLE adds a statement.
    - >-
      Before that comes probing: quotes and brackets that break the statement, so that an error page or a longer wait
      tells which database it is and how many columns there are.
  blind_spots: >-
    An injection that stays inside one literal and changes nothing is not seen, nor one that fits a known statement.
    At a place that always shows a sign, that sign says nothing. Where the app sends redacted text, what stood in
    literals is gone.
  remediation: >-
    Find the input that reaches the query text at this call site and pass it as a bound parameter; where a name or a
    direction must vary, choose it from a fixed list. Then look at what the statement may have read or changed, and
    give the account no more rights than the app needs.
  parameters: [bound-values]
  tests:
    - name: signs at a place that shows none
      fires: true
      facts:
        backwatch.query.attack.score: 6
        backwatch.query.injected: 1
        backwatch.query.novel: 1
        db.query.text: 'SELECT a FROM b WHERE c = ? OR ? = ?'
    - name: broken by probing
      fires: true
      facts:
        backwatch.query.novel: 1
        backwatch.site.settled: 1
        error.type: 'psycopg.errors.SyntaxError'
    - name: a query builder's habit
      fires: false
      facts:
        backwatch.query.attack.score: 1.5
        backwatch.query.novel: 1
        backwatch.site.settled: 1
"""

    def facts(
        self, calls: Calls, slot: Mapping[str, NDArray[np.int32]], tables: Mapping[str, Rows], learn: NDArray[np.bool_]
    ) -> dict[str, Array]:
        """As the class says."""
        score, injected = np.zeros(calls.count, np.float64), np.zeros(calls.count, np.int8)
        novel, settled, mature = (calls[name] for name in self.reads)
        places = tables["query_attack"]
        _weigh(
            calls["signs"], novel, settled, mature, calls["error"], slot[SITE.name], learn, places, WEIGHT, SHAPE,
            score, injected,
        )  # fmt: skip
        return {"backwatch.query.attack.score": score, "backwatch.query.injected": injected}

    def migrate(self, table: Table, rows: Rows, from_version: int) -> Rows:  # noqa: ARG002  version 1 is the only older one
        """A sign that is newer than the rows has not been seen yet."""
        told = np.zeros(len(rows), table.dtype)
        known = rows["seen"].shape[1]
        told["seen"][:, :known] = rows["seen"]
        return told
